"""Before against after, once the training is over."""
from __future__ import annotations

import copy
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import cv2
import mmengine
import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

import mmrefine
from mmrefine.compat.installation import library_versions
from mmrefine.compat.published_weights import whose_weights
from mmrefine.engine.hooks.pseudo_label_hook import LABELS_INFO, PseudoLabelHook
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO
from mmrefine.engine.hooks.rounds_hook import ROUNDS_INFO
from mmrefine.engine.judging.judge import judge, open_group, sample_type
from mmrefine.engine.judging.kept_flows import KeptFlows
from mmrefine.engine.judging.overlap import refuse_learned_truth
from mmrefine.engine.judging.pictures import PICTURES, Drawn, ReportPictures, named_pairs, spread_over
from mmrefine.engine.judging.track_pictures import Examine, TrackPictures
from mmrefine.engine.runtime.passes import Passes
from mmrefine.engine.runtime.processes import model_of
from mmrefine.engine.stage1.examine import label_examiner
from mmrefine.engine.stage1.run import LabelRun, judge_of
from mmrefine.errors import CheckpointError, MMRefineError
from mmrefine.fileio.atomic import remove_leftovers
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.models import load_estimator
from mmrefine.registry import HOOKS
from mmrefine.report import (changes_record, format_table, group_record, keeps_original, most_changed, pair_changes,
                             thin_curve, write_report)
from mmrefine.structures import FlowSample, TrackSample
from mmrefine.values import as_count

# of the message hub, by the name in the record
CURVES = ('loss', 'epe_to_label', 'error_to_label', 'lr', 'grad_norm')
# in the message hub, so that the report of a resumed run is about the whole run
RUN_INFO = 'mmrefine_run'


@HOOKS.register_module()
class ReportHook(Hook):
    """Judges the original and the refined network on the same data; writes report.json, report.html and pictures.

    Args:
        groups: data set configs by name; ``refined`` are the videos that were refined, ``unseen`` others. Pipelines of
            frame pairs end in :class:`~mmrefine.datasets.transforms.PackPair`, those of clips in
            :class:`~mmrefine.datasets.transforms.PackClip`; where these have no ground truth, label-free scores are
            reported. Videos with masks or joints (``DavisClips``) are judged by what the network
            carries along; ``dict(dataset=…, metrics=[…])`` names metrics of their own.
        before: file name in the work dir of the original network (:class:`~mmrefine.engine.WeightsHook` writes it).
        batch_size: pairs per forward pass.
        pictures: before/after pictures per group, from pairs or clips spread evenly over it.
        extremes: how many of the most improved pairs or clips of each group are shown, and of the most degraded ones.
        without_truth: of a group without ground truth at most this many pairs are judged, spread evenly, so that the
            report of a long video takes no longer than that of a short one; None: all.
        video: frame pairs at most that ``before_after.mp4`` shows, the first ones of the first group of frame pairs;
            0: no video. There is none either where the original network is handed back, as both sides are the same,
            and of a data set that has no method ``size(scene)``.

    Raises:
        ConfigError: a number out of range.
    """
    priority = 'LOWEST'

    def __init__(self,
                 groups: Mapping[str, Dict[str, Any]],
                 before: str = 'teacher.pth',
                 batch_size: int = 1,
                 pictures: int = 4,
                 extremes: int = 2,
                 without_truth: Optional[int] = 100,
                 video: int = 60) -> None:
        for key, value, least in (('batch_size', batch_size, 1), ('pictures', pictures, 0), ('extremes', extremes, 0),
                                  ('video', video, 0)):
            as_count(f'ReportHook.{key}', value, least)
        if without_truth is not None:
            as_count('ReportHook.without_truth', without_truth)
        self.groups, self.before, self.batch_size = groups, before, batch_size
        self.pictures, self.extremes, self.without_truth, self.video = pictures, extremes, without_truth, video
        self._groups: Dict[str, Any] = {}  # data set and metrics
        self._timings: Dict[str, float] = {}
        self._before: Dict[str, Any] = {}  # what the parts of a resumed run before this one knew
        self._started, self._labelled = 0., 0.

    def before_train(self, runner: Runner) -> None:
        """Open the data and look for the original network: what is missing should not show after hours of training."""
        self._groups = {name: open_group(config) for name, config in self.groups.items()}
        for name, (dataset, _) in self._groups.items():
            refuse_learned_truth(runner.train_dataloader.dataset, dataset, f'ReportHook.groups.{name}')
        if is_main_process():
            remove_leftovers(Path(runner.work_dir, PICTURES))
        before = Path(runner.work_dir, self.before)
        if runner.iter > 0:
            self._timings['resumed_at_iter'] = runner.iter
            if not before.is_file():
                raise CheckpointError(f'{before}: the original network is gone, and the report of this resumed run '
                                      'compares with it; put the file back, or start again in a new work dir')
        self._before = runner.message_hub.runtime_info.get(RUN_INFO) or dict(load_from=runner._load_from)
        runner.message_hub.update_info(RUN_INFO, self._before)
        self._started, self._labelled = time.monotonic(), 0.

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Keep the time so far, to which a run that goes on from there adds its own.

        The message hub has been copied into the checkpoint by now.
        """
        checkpoint['message_hub']['runtime_info'][RUN_INFO] = {**self._before, **self._seconds()}

    def after_label(self, runner: Runner, run: LabelRun, store: LabelStore, round_: int) -> None:
        """Count the time of stage 1, which is not training time."""
        self._labelled += run.seconds

    def _seconds(self) -> Dict[str, float]:
        """What all parts of the run took so far."""
        labels = self._before.get('labels_seconds', 0.) + self._labelled
        train = self._before.get('train_seconds', 0.) + time.monotonic() - self._started - self._labelled
        return dict(train_seconds=round(train, 1), **(dict(labels_seconds=round(labels, 1)) if labels else {}))

    def passes(self, pairs: int, has_truth: bool) -> Passes:
        """How often the report of a group asks networks, where the refined one is handed back; about.

        Args:
            pairs: of the group.
            has_truth: whether they have ground truth; else both directions are scored, of so many pairs at most, and
                the pictures also ask for those of the others that they show.
        """
        if has_truth:
            return Passes(one_way=2 * pairs)
        judged = min(pairs, self.without_truth or pairs)
        shown = min(pairs, self.pictures) + min(pairs, self.video)
        return Passes(one_way=2 * shown * (1 - judged / pairs), both_ways=2 * judged)

    def after_train(self, runner: Runner) -> None:
        """Judge both networks and write the report."""
        self._timings.update(self._seconds())
        model = model_of(runner)
        model.eval()
        teacher = copy.deepcopy(model)
        load_estimator(teacher, Path(runner.work_dir, self.before))
        networks = dict(before=teacher, after=model)
        if keeps_original(runner.message_hub.runtime_info.get(GUARD_INFO) or {}):
            networks = dict(before=teacher)  # both have the same weights
        device = str(next(model.parameters()).device)
        groups: Dict[str, Any] = {}
        drawn: List[Drawn] = []
        clip: Dict[str, str] = {}
        for name, (dataset, metrics) in self._groups.items():
            runner.logger.info(f'Judging before and after on the group {name!r}, which has {len(dataset)} samples')
            kept = [KeptFlows(spread_over(range(len(dataset)), self.pictures)) for _ in networks]
            judged = [
                judge(network, dataset, device, self.batch_size, metrics=metrics, at_most=self.without_truth,
                      what=f'Report: group {name}, {side}', log=runner.logger.info, seen=flows.keep)
                for (side, network), flows in zip(networks.items(), kept)]
            before, after = judged[0], judged[-1]
            groups[name] = group_record(before.scores(), after.scores(), before.figures)
            headline = before.headline
            changes = pair_changes(before.results, after.results, headline) if headline else []
            if headline and changes:
                groups[name]['changes'] = changes_record(changes, headline)
            if is_main_process():
                chosen = most_changed(changes, self.extremes)
                pictures = self._drawer(runner, name, dataset, teacher, model, device, (kept[0], kept[-1]))
                drawn.append(Drawn() if pictures is None else pictures.draw(
                    self.pictures, [one for some in chosen.values() for one in some]))
                if isinstance(pictures, ReportPictures):
                    clip = clip or self._clip(runner, pictures)
                groups[name].get('changes', {}).update(named_pairs(chosen, drawn[-1]))
        if is_main_process():
            record = write_report(runner.work_dir, dict(self._record(runner, groups, drawn), video=clip))
            runner.logger.info('Before against after:\n' + format_table(record))
            runner.logger.info(f'The report: {Path(runner.work_dir, "report.html")}')

    def _drawer(self, runner: Runner, name: str, dataset: Any, teacher: Any, model: Any, device: str,
                kept: Tuple[KeptFlows, KeptFlows]) -> Optional[Union[ReportPictures, TrackPictures]]:
        """What draws the samples of a group; None if nothing does."""
        samples, store = sample_type(dataset), self._store(runner)
        if issubclass(samples, FlowSample):
            return ReportPictures(Path(runner.work_dir), name, dataset, teacher, model, device, store, kept)
        if issubclass(samples, TrackSample):
            return TrackPictures(Path(runner.work_dir), name, dataset, teacher, model, device, store,
                                 _examiner(runner, store, teacher))
        return None

    def _clip(self, runner: Runner, pictures: ReportPictures) -> Dict[str, str]:
        """The video of a group; a report is not lost because its video cannot be written."""
        knows_sizes = callable(getattr(pictures.dataset, 'size', None))
        if not self.video or not knows_sizes or keeps_original(runner.message_hub.runtime_info.get(GUARD_INFO) or {}):
            return {}
        try:
            return pictures.draw_clip(self.video, runner.logger.info)
        except MMRefineError as error:
            runner.logger.warning(f'Report: no video of before and after: {error}')
            return {}

    def _record(self, runner: Runner, groups: Dict[str, Any], drawn: List[Drawn]) -> Dict[str, Any]:
        cfg, labels = runner.cfg, self._labels(runner)
        overlays, clips = ([one for group in drawn for one in getattr(group, name)] for name in ('overlays', 'clips'))
        wheel = next((group.wheel for group in drawn if group.wheel), '')
        labels.update(dict(overlays=overlays, wheel=wheel) if overlays else {}, **(dict(clips=clips) if clips else {}))
        return dict(
            groups=groups,
            labels=labels,
            rounds=runner.message_hub.runtime_info.get(ROUNDS_INFO, []),
            guard=runner.message_hub.runtime_info.get(GUARD_INFO, dict(verdict='not run')),
            settings=dict(
                config=cfg.filename or '',
                load_from=self._before.get('load_from'),
                whose=whose_weights(str(self._before.get('load_from') or '')),
                recipe=cfg.get('recipe'),
                losses=cfg.model.get('losses'),
                max_iters=runner.max_iters,
                rounds=getattr(runner.train_loop, 'rounds', 1),
                labelled=getattr(runner.train_loop.dataloader.dataset, 'describe_truth', list)(),
                optim_wrapper=cfg.get('optim_wrapper'),
                train_dataloader=cfg.get('train_dataloader'),
                custom_hooks=cfg.get('custom_hooks')),
            seeds=dict(seed=runner.seed),
            versions=dict(
                mmrefine=mmrefine.__version__,
                torch=torch.__version__,
                mmengine=mmengine.__version__,
                **library_versions(),
                numpy=np.__version__,
                opencv=cv2.__version__,
                python=platform.python_version()),
            timings=self._timings,
            command=_command(),
            pictures=[sheet for one in drawn for sheet in one.sheets],
            curves=_curves(runner))

    def _labels(self, runner: Runner) -> Dict[str, Any]:
        """What stage 1 kept and how good it is; the message hub knows it in a resumed run, too."""
        info = runner.message_hub.runtime_info.get(LABELS_INFO)
        if not info:
            return {}
        found = dict(store=info['store'], labels=info['labels'], **info['summary'])
        if info.get('labelled_by'):
            found['labelled_by'] = info['labelled_by']
        if 'calibration' in info:
            found['calibration'] = info['calibration']
        quality = info.get('quality')  # a run that an older version began has none
        if quality is None:
            return found
        store = self._store(runner)
        label_judge = None if store is None else judge_of(store.codec.kind)
        if 'truth' not in quality and label_judge is not None:
            # the pairs to label need no truth, but those that are judged may have it
            for dataset, _ in self._groups.values():
                if 'truth' not in quality and issubclass(sample_type(dataset), FlowSample):
                    quality = label_judge.judge_with_truth(store, dataset, quality)
        return dict(found, quality=quality)

    def _store(self, runner: Runner) -> Optional[LabelStore]:
        """The labels of the last round, if they are there and complete."""
        info = runner.message_hub.runtime_info.get(LABELS_INFO)
        root = Path(runner.work_dir, info['store']) if info else None
        return LabelStore.open(root) if root is not None and (root / 'manifest.json').is_file() else None


def _examiner(runner: Runner, store: Optional[LabelStore], teacher: Any) -> Optional[Examine]:
    """What says of tracks why they were dropped; None without labels, or where their teacher cannot be asked again."""
    hook = next((hook for hook in runner.hooks if isinstance(hook, PseudoLabelHook)), None)
    return None if hook is None or store is None else label_examiner(store, hook.labeler, hook.teachers, teacher)


def _command() -> str:
    """The command line that was run; of ``python -m`` Python keeps only the file, which need not be executable."""
    spec = getattr(sys.modules.get('__main__'), '__spec__', None)
    if spec is None or not spec.name:
        return shlex.join(sys.argv)
    name = spec.name
    return shlex.join(['python', '-m', name[:-len('.__main__')] if name.endswith('.__main__') else name, *sys.argv[1:]])


def _curves(runner: Runner) -> Dict[str, Any]:
    """What the message hub kept of every step, in a resumed run of those before it, too."""
    found = {name: runner.message_hub.log_scalars.get(f'train/{name}') for name in CURVES}
    return {name: thin_curve(history.data[0], runner.iter) for name, history in found.items() if history is not None}
