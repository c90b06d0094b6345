"""Before against after, once the training is over."""
from __future__ import annotations

import copy
import platform
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping

import mmengine
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

import mmrefine
from mmrefine.engine.evaluate import score_pairs
from mmrefine.engine.label_run import LabelRun
from mmrefine.evaluation import format_table, group_record, write_report
from mmrefine.fileio.images import write_image
from mmrefine.fileio.label_store import LabelStore
from mmrefine.models import load_estimator
from mmrefine.registry import DATASETS, HOOKS


@HOOKS.register_module()
class ReportHook(Hook):
    """Scores the network as it came and as it is now on the same pairs, and writes report.json, report.html and pictures.

    Args:
        groups: data set configs by name; ``refined`` are the videos that were refined, ``unseen`` others. Their pipelines end in
            :class:`~mmrefine.datasets.transforms.PackPair`. Where there is no ground truth, label-free scores are reported.
        before: file name in the work dir of the network as it came (:class:`~mmrefine.engine.WeightsHook` writes it).
        batch_size: pairs per forward pass.
        pictures: before/after pictures per group, from pairs spread evenly over it.
    """
    priority = 'LOWEST'

    def __init__(self, groups: Mapping[str, Dict[str, Any]], before: str = 'teacher.pth', batch_size: int = 1, pictures: int = 4) -> None:
        self.groups, self.before = groups, before
        self.batch_size, self.pictures = batch_size, pictures
        self._labels: Dict[str, Any] = {}
        self._timings: Dict[str, float] = {}
        self._started = 0.

    def before_train(self, runner: Runner) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def after_label(self, runner: Runner, run: LabelRun, store: LabelStore, round_: int) -> None:
        """Remember what stage 1 kept."""
        self._labels = dict(store=store.root.name, labels=run.labels, **store.manifest['summary'])
        self._timings['labels_seconds'] = round(self._timings.get('labels_seconds', 0.) + run.seconds, 1)

    def after_train(self, runner: Runner) -> None:
        """Judge both networks and write the report."""
        self._timings['train_seconds'] = round(time.monotonic() - self._started - self._timings.get('labels_seconds', 0.), 1)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.eval()
        teacher = copy.deepcopy(model)
        load_estimator(teacher, Path(runner.work_dir) / self.before)
        device = str(next(model.parameters()).device)
        groups: Dict[str, Any] = {}
        pictures: List[Dict[str, str]] = []
        for name, config in self.groups.items():
            dataset = DATASETS.build(config)
            runner.logger.info(f'Judging before and after on {len(dataset)} pairs of the group {name!r}')
            before, after = (score_pairs(network, dataset, device, self.batch_size) for network in (teacher, model))
            groups[name] = group_record(before, after)
            if is_main_process():
                pictures += self._draw(runner.work_dir, name, dataset, teacher, model, device)
        if is_main_process():
            record = write_report(runner.work_dir, self._record(runner, groups, pictures))
            runner.logger.info('Before against after:\n' + format_table(record))
            runner.logger.info(f'The report: {Path(runner.work_dir) / "report.html"}')

    def _record(self, runner: Runner, groups: Dict[str, Any], pictures: List[Dict[str, str]]) -> Dict[str, Any]:
        cfg = runner.cfg
        return dict(
            groups=groups,
            labels=self._labels,
            settings=dict(
                config=cfg.filename or '',
                max_iters=runner.max_iters,
                rounds=runner.train_loop.rounds,
                optim_wrapper=cfg.get('optim_wrapper'),
                train_dataloader=cfg.get('train_dataloader'),
                custom_hooks=cfg.get('custom_hooks')),
            seeds=dict(seed=runner.seed),
            versions=dict(
                mmrefine=mmrefine.__version__, torch=torch.__version__, mmengine=mmengine.__version__, python=platform.python_version()),
            timings=self._timings,
            command=' '.join(sys.argv),
            pictures=pictures)

    def _draw(self, work_dir: str, group: str, dataset: Any, teacher: Any, model: Any, device: str) -> List[Dict[str, str]]:
        """Sheets of a few pairs; one colour scale for the whole group, so that they can be compared."""
        from mmrefine.visualization import before_after_sheet, sequence_scale
        chosen = sorted({int(i) for i in np.linspace(0, len(dataset) - 1, min(self.pictures, len(dataset)))})
        panels = []
        for i in chosen:
            item = dataset[i]
            frames = item['inputs'][:, None].to(device).float() / 255
            with torch.no_grad():
                flows = [_image(network.estimate(frames[0], frames[1])[-1][0].float()) for network in (teacher, model)]
            sample = item['data_samples']
            truth = _image(sample.flow) if 'flow' in sample else None
            valid = _image(sample.weight)[..., 0] > 0 if 'flow' in sample else None
            panels.append((sample.key, _image(item['inputs'][0]), _image(item['inputs'][1]), truth, valid, flows))
        scale = sequence_scale([panel[3] if panel[3] is not None else panel[5][0] for panel in panels])
        pictures = []
        for key, frame1, frame2, truth, valid, (before, after) in panels:
            sheet = before_after_sheet(frame1, before, after, max_motion=scale, frame2=frame2, truth=truth, valid=valid)
            path = Path('pictures') / group / f'{key.replace("/", "_")}.png'
            write_image(Path(work_dir) / path, sheet)
            pictures.append(dict(path=path.as_posix(), caption=f'{group}: {key}'))
        return pictures


def _image(tensor: Tensor) -> np.ndarray:
    """``(C, H, W)`` -> ``(H, W, C)``."""
    return tensor.detach().cpu().numpy().transpose(1, 2, 0)
