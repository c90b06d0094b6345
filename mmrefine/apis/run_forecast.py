"""How long a whole run takes, told before it starts: a few passes over small frames are timed."""
from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config

from mmrefine.apis.inference import init_model, usable_device
from mmrefine.apis.timing import seconds_a_pixel, shrunk, tell
from mmrefine.config.load import building, complete, hooks_of
from mmrefine.engine import BFloat16OptimWrapper
from mmrefine.engine.guard.flow_witnesses import RENDERED_SIZE
from mmrefine.engine.guard.other_teacher import other_teachers
from mmrefine.engine.judging.judge import open_group
from mmrefine.engine.judging.track_scores import grid_points
from mmrefine.engine.runtime.passes import Passes
from mmrefine.engine.stage1.forecast import size_text, time_text
from mmrefine.engine.stage1.outlook import pass_bytes
from mmrefine.models import (CorrespondenceLearner, FlowRefiner, FrozenGroup, FrozenTeacher, FrozenTracker,
                             SelfSupervisionLoss, TrackRefiner)
from mmrefine.models.training_progress import at_progress
from mmrefine.registry import DATASETS, HOOKS, LABELERS
from mmrefine.structures import FlowSample, LabelBatch, TrackSample, as_frames, members_of

MOST_SAMPLES = 4  # of a timed training step
TRACKS = 128  # of a timed training step


@dataclass(frozen=True)
class RunForecast:
    """Seconds of each part of a run, by name, in their order; and bytes of a pass over the largest frame, beside the
    training: of the network that learns, or of others that teach it. 0 if its own labels, which measure it, are
    made before."""
    seconds: Mapping[str, float]
    memory: int = 0

    def line(self) -> str:
        """The forecast for people."""
        parts = ', '.join(f'{name} {time_text(seconds)}' for name, seconds in self.seconds.items())
        whole = time_text(math.fsum(self.seconds.values()))
        memory = f'; a pass over the largest frame takes about {size_text(self.memory)} of memory' * bool(self.memory)
        return (f'forecast: about {whole} in all: {parts} (from small frames; less exact than what each part will say)'
                f'{memory}')


def forecast_run(cfg: Config, labels_only: bool = False, read_stored: bool = False) -> Optional[RunForecast]:
    """Time a label, a training step and a pass on small frames, and multiply by what the run will do of each.

    Takes a few seconds. Reading of frames and writing of files do not count.

    Args:
        cfg: with ``load_from``; not filled in.
        labels_only: of stage 1 alone.
        read_stored: read the files of teachers that are folders of motion, as the run itself does first.

    Returns:
        None where too little is known of the parts of the run, such as a teacher that is neither a network nor a
        folder, or training data whose frames cannot be asked for one by one.

    Raises:
        MMRefineError: what is wrong with data, config or checkpoint.
    """
    runs = cfg.get('scene')
    cfg = complete(cfg)
    with building(cfg):
        hooks = {kind: [HOOKS.build(hook) for hook in hooks_of(cfg, kind)]
                 for kind in ('PseudoLabelHook', 'RegressionGuardHook', 'ReportHook')}
    labels = hooks['PseudoLabelHook'][0] if hooks['PseudoLabelHook'] else None
    if labels is None and labels_only:
        return None
    given = labels is not None and labels.labels is not None
    source = DATASETS.build(dict(cfg.train_dataloader.dataset if labels is None else labels.dataset, pipeline=[]))
    if not hasattr(source, 'units'):
        return None
    device = usable_device()
    network = init_model(cfg, cfg.load_from, device)
    clock = _Clock(network, source, device)
    steps, rounds = int(cfg.train_cfg.max_iters), int(cfg.train_cfg.get('rounds', 1))
    seconds: Dict[str, float] = {}
    largest = max((source.size(scene) for scene in source.scene_names), key=math.prod)
    memory = _pass_bytes(network, largest) if labels is None else 0
    memory = _teacher_bytes(labels, network, largest) if labels is not None and not given else memory
    if labels is not None and not given:
        label = clock.label(labels, read_stored)
        if label is None:
            return None
        times = rounds if labels.relabel == 'every_round' and not labels_only else 1
        seconds['labels'] = label * times * sum(_pixels(source, source.units))
        if labels_only:
            return RunForecast(seconds, memory)
    look = clock.look()  # seconds a pixel
    all_steps = steps * (len(source.scene_names) if runs == 'each' else 1)
    smallest = min((source.size(scene) for scene in source.scene_names), key=math.prod)
    batch = int(cfg.train_dataloader.batch_size)
    whole = any(part.get('type') == 'KeepWholeFrames' for part in _pipeline(cfg.train_dataloader.dataset))
    seconds['training'] = (clock.mean_step(cfg.optim_wrapper, min(batch, MOST_SAMPLES), whole) * all_steps * batch
                           * _crop(cfg.train_dataloader.dataset, smallest))
    # the guard compares them with the student
    looks = [clock.look(one.frozen(network).refiner) for one in other_teachers(hooks['PseudoLabelHook'])]
    for hook in hooks['RegressionGuardHook']:
        if not hook.off:
            held = DATASETS.build(dict(hook.config, pipeline=[]))
            asked = hook.passes(len(held.units), steps, rounds).taking(look)
            asked += sum(map(hook.passes_of_one(len(held.units)).taking, looks))
            rendered = Passes(one_way=2 * hook.general).taking(look) * math.prod(RENDERED_SIZE)
            seconds['guard'] = asked * fmean(_pixels(held, held.units)) + rendered
    for hook in hooks['ReportHook']:
        groups = [open_group(config)[0] for config in hook.groups.values()]
        records = [(group, getattr(group, 'pairs', None) or getattr(group, 'clips', None)) for group in groups]
        seconds['report'] = sum(hook.passes(len(group), any(one.get('truth') for one in some)).taking(look)
                                * fmean(_pixels(group, group.units)) for group, some in records if some)
    return RunForecast(seconds, memory)


def _pass_bytes(network: Any, size: Tuple[int, int]) -> int:
    """Bytes of a pass of the network that learns; a pair of frames is looked at both ways."""
    if isinstance(network, FlowRefiner):
        return FrozenTeacher(network).peak_bytes(size, 2)
    return int(network.pass_bytes(size))


def _teacher_bytes(hook: Any, network: Any, size: Tuple[int, int]) -> int:
    """Bytes of the largest pass of teachers with another network among them; 0 where it is the student, or not known.
    """
    if not other_teachers([hook]):
        return 0
    return pass_bytes(hook.teachers.frozen(network), LABELERS.build(hook.labeler), size, hook.batch_size)


def tell_forecast(cfg: Config, labels_only: bool = False, dry_run: bool = False,
                  before: Optional[Callable[[Config], float]] = None) -> None:
    """Print how long a run will take that begins now; one that goes on knows it better.

    Args:
        cfg, labels_only: see :func:`forecast_run`.
        dry_run: nothing follows that would say what is wrong.
        before: seconds that pass before the run, in which clips are rendered.

    Raises:
        MMRefineError: of a dry run, what is wrong with it.
    """
    begun = any(True for name in ('labels', 'last_checkpoint') for _ in Path(cfg.work_dir).rglob(name))
    if begun or os.environ.get('RANK', '0') != '0':
        return

    def line() -> str:
        found = forecast_run(cfg, labels_only, dry_run)
        if found is None:
            return 'no forecast: too little is known of the parts of this run'
        return (replace(found, seconds={'rendering': before(cfg), **found.seconds}) if before else found).line()

    tell(line, dry_run, print)


class _Clock:
    """Seconds a pixel of what a run consists of, on a frame pair or clip of the data."""

    def __init__(self, network: Any, source: Any, device: str) -> None:
        self.network, self.source, self.device = network, source, device
        self.unit = source.units[0]

    def label(self, hook: Any, read_stored: bool) -> Optional[float]:
        """Of a label, 0 if all of it is in files; None if a teacher is neither a network, which can be asked anything,
        nor has files that can be checked."""
        labeler = LABELERS.build(hook.labeler)
        hook.teachers.start(self.network)
        members = members_of(hook.teachers.frozen(self.network))
        networks = [one for one in members if isinstance(one, (FrozenTeacher, FrozenTracker))]
        stored = [one for one in members if one not in networks]
        if not all(hasattr(one, 'check_source') for one in stored):
            return None
        for one in stored if read_stored else ():
            one.check_source(self.source)
        if not networks:
            return 0.
        teacher = networks[0] if len(networks) == 1 else FrozenGroup(networks)
        usable = partial(self.source.usable, self.unit.scene, beside=self.unit.frames[0])
        numbers = [*self.unit.frames, *labeler.extra_frames(self.unit, usable)]

        def run(pixels: int) -> int:
            frames = self._frames(numbers, pixels)
            # the teacher remembers frames by name and size, and a larger pass may have the size of other frames
            names = {number: f'{number} of {pixels} px' for number in numbers}
            unit = replace(self.unit, names=tuple(names[number] for number in self.unit.frames))
            labeler.label(teacher, LabelBatch([unit], [frames], [names], self.device))
            return frames[numbers[0]][..., 0].size

        return seconds_a_pixel(run, self.device)

    def look(self, network: Any = None) -> Passes:
        """Of the passes of a network, by default the student, over a pair; over a clip both are those there and back.
        """
        network = (self.network if network is None else network).eval()
        follows = isinstance(network, (TrackRefiner, CorrespondenceLearner))

        @torch.no_grad()
        def run(pixels: int, both_ways: bool = True) -> int:
            frames = self._unit(pixels)
            if follows:
                network.track_both(frames, grid_points((frames.shape[-2], frames.shape[-1])).to(self.device))
            else:
                (network.estimate_both if both_ways else network.estimate)(frames[:1], frames[1:])
            return frames[0, 0].numel()

        both_ways = seconds_a_pixel(run, self.device)
        if follows:
            return Passes(both_ways, both_ways)
        return Passes(seconds_a_pixel(partial(run, both_ways=False), self.device), both_ways)

    def mean_step(self, optim_wrapper: Mapping[str, Any], samples: int, whole: bool) -> float:
        """Of a training step, for each of its samples, in the mean of a training; ``whole``: losses look into the
        whole frames."""
        # before it such a loss costs nothing
        begin = max((one.begin for one in self.network.modules() if isinstance(one, SelfSupervisionLoss)), default=1.)
        found = 0.
        for share, progress in ((begin, 0.), (1. - begin, 1.)):
            if share:
                with at_progress(progress):
                    found += share * self.step(optim_wrapper, samples, whole)
        return found

    def step(self, optim_wrapper: Mapping[str, Any], samples: int, whole: bool) -> float:
        """The same, as far as the training is now."""
        self.network.train()
        kind = torch.device(self.device).type
        reduced = optim_wrapper.get('type') == 'AmpOptimWrapper' and kind != 'cpu'
        if optim_wrapper.get('type') == 'BFloat16OptimWrapper':
            weights = torch.optim.SGD(self.network.parameters(), lr=0.)
            wrapper = BFloat16OptimWrapper(weights, precision=optim_wrapper.get('precision', 'bfloat16'))
            reduced = wrapper.choose(kind)[0]

        def run(pixels: int) -> int:
            frames = self._unit(pixels)
            sample = self._label(frames)
            if whole:
                sample.whole_frames = (255 * frames).round().byte()
                sample.set_metainfo(dict(corner=(0, 0)))
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=reduced):
                losses = self.network(frames.expand(samples, *frames.shape), samples * [sample], mode='loss')
            loss, _ = self.network.parse_losses(losses)
            loss.backward()
            self.network.zero_grad()
            return samples * frames[0, 0].numel()

        return seconds_a_pixel(run, self.device)

    def _unit(self, pixels: int) -> torch.Tensor:
        return as_frames(list(self._frames(self.unit.frames, pixels).values()), self.device)

    def _label(self, frames: torch.Tensor) -> Any:
        """A label of no motion, or none where nothing is learned from labels."""
        if isinstance(self.network, CorrespondenceLearner):
            return TrackSample()
        if not isinstance(self.network, TrackRefiner):
            return FlowSample(flow=torch.zeros_like(frames[0, :2]), weight=torch.ones_like(frames[0, :1]))
        points = grid_points((frames.shape[-2], frames.shape[-1]), TRACKS).to(self.device)
        still, ones = points[:, None].repeat(1, len(frames), 1), torch.ones(len(points), len(frames))
        return TrackSample(points=still, visible=ones.to(self.device), weight=ones.to(self.device))

    def _frames(self, numbers: Sequence[int], pixels: int) -> Dict[int, np.ndarray]:
        return {number: shrunk(self.source.frame(self.unit.scene, number), pixels) for number in sorted(numbers)}


def _pixels(source: Any, units: Sequence[Any]) -> List[int]:
    """Of a frame of each unit."""
    sizes = {scene: math.prod(source.size(scene)) for scene in {unit.scene for unit in units}}
    return [sizes[unit.scene] for unit in units]


def _pipeline(data: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """What is done to training samples."""
    if data.get('parts'):  # of MixedPairs, whose crops have one size
        data = next(iter(data['parts'].values()))
    return [part for part in data.get('pipeline') or () if isinstance(part, dict)]


def _crop(data: Mapping[str, Any], smallest: Tuple[int, int]) -> int:
    """Pixels of a training sample."""
    for part in _pipeline(data):
        size = part.get('size') if part.get('type') == 'RandomCrop' else None
        if size is not None:
            return min(size[0], smallest[0]) * min(size[1], smallest[1])
    return math.prod(smallest)
