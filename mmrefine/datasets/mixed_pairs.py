"""Frame pairs with ground truth and frame pairs with pseudo-labels in one training."""
from __future__ import annotations

import bisect
import itertools
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from torch.utils.data import Dataset

from mmrefine.datasets.transforms.loaders import LoadLabel, LoadTruth
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.video.frame_cache import FrameCache
from mmrefine.registry import DATASETS
from mmrefine.schedule import Course, Schedule
from mmrefine.structures import FlowSample, MixedPart


@DATASETS.register_module()
class MixedPairs(Dataset):
    """Named parts, each a data set of frame pairs with a pipeline of its own, one behind the other.

    A part whose pipeline has :class:`~mmrefine.datasets.transforms.LoadLabel` learns from the labels of stage 1, and
    only such parts are asked for by ``PseudoLabelHook``; one with :class:`~mmrefine.datasets.transforms.LoadTruth`
    learns from ground truth. How often each part is drawn says :class:`~mmrefine.datasets.MixedSampler`.

    The losses of each part are means of their own, so that sparse labels are not outvoted by dense truth: with ``n_k``
    of ``N`` pairs of a batch from part ``k`` the loss is ``sum_k loss_weights_k n_k / N loss(pairs of k)``. Over the
    training a part counts in proportion to its share times its weight.

    Items are ``ds[(index, draw)]``, or ``ds[(index, draw, progress)]`` where weights follow a schedule.

    Args:
        parts: name -> config of a data set whose items are asked for as ``data[index, draw]`` and come from
            :class:`~mmrefine.datasets.transforms.PackPair`: :class:`~mmrefine.datasets.FramePairs`, its benchmarks,
            :class:`~mmrefine.datasets.MMFlowPairs`.
        loss_weights: name -> factor on the losses of the part, at least 0, or knots ``[(progress, factor), …]``
            between which it changes linearly (:class:`~mmrefine.schedule.Schedule`). Default: 1. A part of
            weight 0 has no influence, but for the place that its pairs take in the batch.

    Attributes:
        parts: name -> data set.
        part_sizes: name -> its length.
        sources: ``part/scene`` -> FrameSource, of all parts that have such.

    Raises:
        ConfigError: no part, names that are not plain words, an unknown part in ``loss_weights``, or an empty part.
        InputError: a pair without ground truth in a part that learns from it.
    """

    def __init__(self, parts: Mapping[str, Any], loss_weights: Optional[Mapping[str, Course]] = None) -> None:
        loss_weights = loss_weights or {}
        for name in parts:
            # 'loss' because MMEngine adds up whatever has it in its name
            if not str(name).isidentifier() or 'loss' in name:
                raise ConfigError(f'MixedPairs.parts: {name!r} cannot name a part, as its figures are logged under it; '
                                  "take letters, digits and _, without 'loss'")
        for name in loss_weights:
            if name not in parts:
                raise ConfigError(f'MixedPairs.loss_weights names {name!r}, which is no part of the data set; it has '
                                  f'{", ".join(parts)}')
        if not parts:
            raise ConfigError('MixedPairs.parts is empty; name one data set or more')
        self.parts: Dict[str, Any] = {name: DATASETS.build(part) for name, part in parts.items()}
        self.part_sizes = {name: len(part) for name, part in self.parts.items()}
        for name, size in self.part_sizes.items():
            if not size:
                raise ConfigError(f'MixedPairs.parts.{name} is empty, there is nothing to draw; leave it out')
        self._weights = {
            name: Schedule(f'MixedPairs.loss_weights.{name}', loss_weights.get(name, 1.)) for name in self.parts}
        self._ends = list(itertools.accumulate(self.part_sizes.values()))
        for name in self.parts:
            self._check_truth(name)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, item: Union[int, Tuple[Any, ...]]) -> Any:
        """An item of a part after its pipeline, whose sample knows its part."""
        index, *more = item if isinstance(item, tuple) else (item, )
        place = range(len(self))[index]
        draw, progress = (*(more or [place]), None)[:2]
        at = bisect.bisect(self._ends, place)
        name = list(self.parts)[at]
        found = self.parts[name][place - self._ends[at] + self.part_sizes[name], draw]
        sample = found.get('data_samples') if isinstance(found, dict) else None
        if not isinstance(sample, FlowSample):
            raise ConfigError(f'MixedPairs.parts.{name}: its items have no FlowSample; let its pipeline end with '
                              "dict(type='PackPair')")
        part = MixedPart(name, self._weights[name].at(progress), tuple(self.parts))
        sample.set_metainfo(dict(part=part))
        return found

    @property
    def metainfo(self) -> Dict[str, Any]:
        """What MMEngine's evaluator and checkpoints record of a dataset."""
        return dict(dataset=type(self).__name__, parts={
            name: getattr(part, 'metainfo', {}) for name, part in self.parts.items()})

    def set_labels(self, root: Union[str, Path]) -> None:
        """Take the pseudo-labels from the label store at ``root`` from now on; call it before the data are read."""
        for name in self._pseudo_labelled():
            self.parts[name].set_labels(root)

    def label_keys(self) -> List[str]:
        """The keys of the pseudo-labels that are needed."""
        return [unit.key for name in self._pseudo_labelled() for unit in self.parts[name].units]

    def truth_files(self) -> List[Tuple[Path, str]]:
        """The frames that are learned from with ground truth, see
        :meth:`~mmrefine.datasets.VideoScenes.frame_files`."""
        return [file for part in self.parts.values() if _transforms(part, LoadTruth) and hasattr(part, 'frame_files')
                for file in part.frame_files()]

    def describe_truth(self) -> List[str]:
        """What is learned from with ground truth, such as ``'frame pairs of data/kitti2012: 194'`` for each part."""
        return [f'frame pairs of {getattr(part, "data_root", type(part).__name__)}: {self.part_sizes[name]}'
                for name, part in self.parts.items() if _transforms(part, LoadTruth)]

    @property
    def sources(self) -> Dict[str, Any]:
        """The frames of all scenes that are video files, by ``part/scene``."""
        return {f'{name}/{scene}': part.sources[scene] for name, part in self._with_video().items()
                for scene in part.video_frames()}

    def video_frames(self) -> Dict[str, List[int]]:
        """``part/scene`` -> numbers of the frames that the items use, of each scene that is a video file."""
        return {f'{name}/{scene}': numbers for name, part in self._with_video().items()
                for scene, numbers in part.video_frames().items()}

    def read_through(self, cache: FrameCache) -> None:
        """Take the frames of video files out of ``cache`` where it has them; call it before the data are read."""
        for part in self._with_video().values():
            part.read_through(cache)

    def _with_video(self) -> Dict[str, Any]:
        return {name: part for name, part in self.parts.items() if hasattr(part, 'video_frames')}

    def _pseudo_labelled(self) -> List[str]:
        """The parts that read the labels of stage 1."""
        return [name for name, part in self.parts.items()
                if any(load.reader.root is None for load in _transforms(part, LoadLabel))]

    def _check_truth(self, name: str) -> None:
        """Refuse a part that learns from ground truth and lacks some, now and not at the first step that needs it."""
        part = self.parts[name]
        if not any(load.required for load in _transforms(part, LoadTruth)):
            return
        pairs: Sequence[Mapping[str, Any]] = getattr(part, 'pairs', ())
        lacking = [pair['key'] for pair in pairs if pair.get('truth') is None]
        if lacking:
            where = getattr(part, 'truth_root', None)
            raise InputError(
                f'MixedPairs.parts.{name}: {len(lacking)} of {len(pairs)} frame pairs have no ground truth'
                f'{f" in {where}" if where else ""}, the first is {lacking[0]}; correct truth_root, or choose scenes, '
                "step and directions that have truth, or let the part learn from labels (dict(type='LoadLabel') in "
                'place of LoadTruth)')


def _transforms(part: Any, kind: type) -> List[Any]:
    """The transforms of a kind in the pipeline of a data set."""
    return [one for one in getattr(part, 'pipeline', None) or () if isinstance(one, kind)]
