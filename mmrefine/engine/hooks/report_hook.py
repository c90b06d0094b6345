"""Before against after, once the training is over."""
from __future__ import annotations

import copy
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Tuple

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
from mmrefine.engine.hooks.pseudo_label_hook import LABELS_INFO
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO
from mmrefine.engine.label_report import judge_against_truth
from mmrefine.engine.label_run import LabelRun
from mmrefine.errors import CheckpointError
from mmrefine.evaluation import format_table, group_record, write_report
from mmrefine.fileio.images import write_image
from mmrefine.fileio.label_store import LabelStore
from mmrefine.models import load_estimator
from mmrefine.registry import DATASETS, HOOKS
from mmrefine.visualization import before_after_sheet, sequence_scale


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
        self._datasets: Dict[str, Any] = {}
        self._timings: Dict[str, float] = {}
        self._started = 0.

    def before_train(self, runner: Runner) -> None:
        """Open the data and look for the network as it came: what is missing should not show after hours of training."""
        self._datasets = {name: DATASETS.build(config) for name, config in self.groups.items()}
        before = Path(runner.work_dir, self.before)
        if runner.iter > 0:
            self._timings['resumed_at_iter'] = runner.iter
            if not before.is_file():
                raise CheckpointError(f'{before}: the network as it came is gone, and the report of this resumed run compares with it; '
                                      'put the file back, or start again in a new work dir')
        self._started = time.monotonic()

    def after_label(self, runner: Runner, run: LabelRun, store: LabelStore, round_: int) -> None:
        """Keep the time of stage 1 apart."""
        self._timings['labels_seconds'] = round(self._timings.get('labels_seconds', 0.) + run.seconds, 1)

    def after_train(self, runner: Runner) -> None:
        """Judge both networks and write the report."""
        self._timings['train_seconds'] = round(time.monotonic() - self._started - self._timings.get('labels_seconds', 0.), 1)
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        model.eval()
        teacher = copy.deepcopy(model)
        load_estimator(teacher, Path(runner.work_dir, self.before))
        device = str(next(model.parameters()).device)
        groups: Dict[str, Any] = {}
        pictures: List[Dict[str, str]] = []
        for name, dataset in self._datasets.items():
            runner.logger.info(f'Judging before and after on {len(dataset)} pairs of the group {name!r}')
            before, after = (score_pairs(network, dataset, device, self.batch_size) for network in (teacher, model))
            groups[name] = group_record(before, after)
            if is_main_process():
                pictures += self._draw(Path(runner.work_dir), name, dataset, teacher, model, device)
        if is_main_process():
            record = write_report(runner.work_dir, self._record(runner, groups, pictures))
            runner.logger.info('Before against after:\n' + format_table(record))
            runner.logger.info(f'The report: {Path(runner.work_dir, "report.html")}')

    def _record(self, runner: Runner, groups: Dict[str, Any], pictures: List[Dict[str, str]]) -> Dict[str, Any]:
        cfg = runner.cfg
        return dict(
            groups=groups,
            labels=self._labels(runner),
            guard=runner.message_hub.runtime_info.get(GUARD_INFO, dict(verdict='not run')),
            settings=dict(
                config=cfg.filename or '',
                load_from=runner._load_from,
                max_iters=runner.max_iters,
                rounds=getattr(runner.train_loop, 'rounds', 1),
                optim_wrapper=cfg.get('optim_wrapper'),
                train_dataloader=cfg.get('train_dataloader'),
                custom_hooks=cfg.get('custom_hooks')),
            seeds=dict(seed=runner.seed),
            versions=dict(
                mmrefine=mmrefine.__version__, torch=torch.__version__, mmengine=mmengine.__version__, python=platform.python_version()),
            timings=self._timings,
            command=shlex.join(sys.argv),
            pictures=pictures)

    def _labels(self, runner: Runner) -> Dict[str, Any]:
        """What stage 1 kept and how good it is; the message hub knows it in a resumed run too."""
        info = runner.message_hub.runtime_info.get(LABELS_INFO)
        if not info:
            return {}
        found = dict(store=info['store'], labels=info['labels'], **info['summary'])
        if 'calibration' in info:
            found['calibration'] = info['calibration']
        quality = info.get('quality')  # a run that an older version began has none
        if quality is None:
            return found
        root = Path(runner.work_dir, info['store'])
        if 'truth' not in quality and (root / 'manifest.json').is_file():
            # the pairs to label need no truth, but those that are judged may have it
            store = LabelStore.open(root)
            for dataset in self._datasets.values():
                if 'truth' not in quality:
                    quality = judge_against_truth(store, dataset, quality)
        return dict(found, quality=quality)

    def _draw(self, work_dir: Path, group: str, dataset: Any, teacher: Any, model: Any, device: str) -> List[Dict[str, str]]:
        """Sheets of a few pairs; one colour scale for each scene, so that its pictures can be compared."""
        chosen = sorted({int(i) for i in np.linspace(0, len(dataset) - 1, min(self.pictures, len(dataset)))})
        panels = [_panels(dataset[i], teacher, model, device) for i in chosen]
        flows: Dict[str, List[np.ndarray]] = {}
        for scene, _, _, flow, more in panels:
            flows.setdefault(scene, []).extend([more['truth']] if 'truth' in more else [flow['before'], flow['after']])
        pictures = []
        for scene, key, frame1, flow, more in panels:
            sheet = before_after_sheet(frame1, flow['before'], flow['after'], max_motion=sequence_scale(flows[scene]), **more)
            path = Path('pictures', group, f'{key.replace("/", "_")}.png')
            write_image(work_dir / path, sheet)
            pictures.append(dict(path=path.as_posix(), caption=f'{group}: {key}'))
        return pictures


def _panels(item: Dict[str, Any], teacher: Any, model: Any, device: str) -> Tuple[str, str, np.ndarray, Dict[str, np.ndarray], Dict]:
    """Scene, key, frame 1, the flows before and after, and what else there is to show of a pair."""
    frames = item['inputs'][:, None].to(device).float() / 255
    with torch.no_grad():
        flow = {
            name: _image(network.estimate(frames[0], frames[1])[-1][0].float())
            for name, network in (('before', teacher), ('after', model))
        }
    sample = item['data_samples']
    more = dict(frame2=_image(item['inputs'][1]))
    if 'flow' in sample:
        more['valid'] = _image(sample.weight)[..., 0] > 0
        more['truth'] = np.where(more['valid'][..., None], _image(sample.flow), np.nan)
    return sample.scene, sample.key, _image(item['inputs'][0]), flow, more


def _image(tensor: Tensor) -> np.ndarray:
    """``(C, H, W)`` -> ``(H, W, C)``."""
    return tensor.detach().cpu().numpy().transpose(1, 2, 0)
