"""Judge a network on any data set, whatever its samples are."""
from __future__ import annotations

from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

from torch import Tensor

from mmrefine.engine.judging.clip_scores import judge_clips
from mmrefine.engine.judging.pair_scores import judge_pairs
from mmrefine.engine.judging.sample_scores import judge_samples
from mmrefine.engine.judging.track_scores import judge_tracks
from mmrefine.errors import ConfigError
from mmrefine.evaluation import Judged
from mmrefine.registry import DATASETS
from mmrefine.structures import ClipSample, FlowSample, TrackSample

Metrics = Optional[Sequence[Dict[str, Any]]]


def open_group(config: Mapping[str, Any]) -> Tuple[Any, Metrics]:
    """The data set and the metrics of a group.

    Args:
        config: of a data set, or ``dict(dataset=…, metrics=[…])`` with metrics of its own.
    """
    return DATASETS.build(config.get('dataset', config)), config.get('metrics')


def sample_type(dataset: Any) -> type:
    """The class of the samples of a data set, from its first item."""
    return type(dataset[0].get('data_samples'))


def judge(model: Any,
          dataset: Any,
          device: str = 'cpu',
          batch_size: int = 4,
          benchmark: bool = False,
          metrics: Metrics = None,
          at_most: Optional[int] = None,
          what: str = 'judged',
          log: Optional[Callable[[str], None]] = None,
          seen: Optional[Callable[[int, Tensor], None]] = None) -> Judged:
    """What a network gets on each sample of a data set: motion of frame pairs, tracks of clips, or what it carries
    along videos.

    Args:
        model: the network, in evaluation mode.
        dataset: of :class:`~mmrefine.structures.FlowSample`, see :func:`judge_pairs`; of
            :class:`~mmrefine.structures.TrackSample`, see :func:`judge_tracks`; of
            :class:`~mmrefine.structures.ClipSample`, see :func:`judge_clips`; or of any other samples that ``metrics``
            can judge, see :func:`judge_samples`.
        device: where the network lives.
        batch_size: see :func:`judge_pairs`.
        benchmark: see there.
        metrics: configs of what judges the samples in place of what would by default.
        at_most: see :func:`judge_pairs`.
        what: is judged, for the log.
        log: called with a line now and then; None: silent.
        seen: see :func:`judge_pairs`; of other samples nothing is told.

    Raises:
        ConfigError: samples of another class without metrics, or a metric that has no tally.
        MMRefineError: a prediction that is not finite or does not fit the truth.
    """
    samples = sample_type(dataset)
    if issubclass(samples, ClipSample):
        return judge_clips(model, dataset, device, metrics, what, log)
    if metrics:
        return judge_samples(model, dataset, metrics, what, log)
    if issubclass(samples, FlowSample):
        return judge_pairs(model, dataset, device, batch_size, benchmark, at_most, what, log, seen)
    if issubclass(samples, TrackSample):
        return judge_tracks(model, dataset, device, at_most, what, log)
    raise ConfigError(f'{type(dataset).__name__} gives neither FlowSamples, TrackSamples nor ClipSamples, so it cannot '
                      'be judged; let its pipeline end in PackPair or PackClip, or name metrics of your own: '
                      'dict(dataset=…, metrics=[…])')
