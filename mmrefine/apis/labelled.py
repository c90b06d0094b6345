"""The option ``--labelled`` of the command: pairs with ground truth are learned from, too."""
from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Callable, List, Mapping, Sequence, Tuple, Union

from mmengine.config import Config

from mmrefine.apis.inference import is_correspondence, is_tracker
from mmrefine.config.load import building, complete, name_of
from mmrefine.datasets import LabelledPairs
from mmrefine.engine.judging.overlap import shared_frames
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import ConfigError
from mmrefine.fileio.atomic import write_errors
from mmrefine.registry import DATASETS
from mmrefine.synthetic import render_clip, write_clips

RENDERED = 'rendered'  # instead of a folder: clips that are rendered
CLIPS, LOOK = 100, 'source'
_SEEDS = range(90_000, 90_000 + CLIPS)  # far from the seeds of the guard, the demo, tests and trainings
LEAST_SIZE = (192, 256)  # (height, width) of a rendered frame, px; more where a crop needs it
# half of the pairs have truth at first, one of ten at the end
SHARE = [(0., 0.5), (1., 0.1)]
# transforms of labels that say nothing about truth; SelfWarp makes truth where there is none
_OF_LABELS = ('LoadLabel', 'SelfWarp')


def check_labelled(labelled: Union[str, Path], cfg: Config) -> None:
    """Refuse what cannot be mixed in, before anything of the video is read.

    Args:
        labelled: a folder of a layout that :class:`~mmrefine.datasets.LabelledPairs` recognises, or ``'rendered'``.
        cfg: the config, not filled in.

    Raises:
        ConfigError: the config is that of a tracker, mixes already and has no key ``labelled``, or its training data
            cannot be mixed with others.
        InputError: the folder is missing, of no known layout, or without ground truth, or its first pair cannot be
            read.
    """
    if is_tracker(cfg) or is_correspondence(cfg):
        what = 'follows points' if is_tracker(cfg) else 'learns features'
        raise ConfigError(f'{name_of(cfg)}: {what}, and labelled={labelled} mixes in frame pairs whose flow is known; '
                          'leave labelled out, or take a model that estimates flow')
    data = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    if _mixes(data):
        if 'labelled' not in cfg or set(data.get('parts') or {}) != {'labelled', 'unlabelled'}:
            raise ConfigError(f'{name_of(cfg)}: mixes pairs with ground truth in already (train_dataloader.dataset is '
                              'MixedPairs), and has no key labelled for their folder; leave labelled out, and set the '
                              'key of the config that names it (--set, or in a config file of your own)')
    elif 'pipeline' not in data:
        raise ConfigError(f'{name_of(cfg)}: train_dataloader.dataset has no pipeline, so labelled={labelled} cannot '
                          'be augmented in the same way; take a config whose data set is FramePairs')
    if labelled != RENDERED:
        LabelledPairs(labelled, [dict(type='LoadTruth')])[0]


def mix_in(cfg: Config, labelled: Union[str, Path], out: Path, log: Callable[[str], None] = print) -> Config:
    """A copy of a config that learns from pairs with ground truth, too: its training data become the part
    ``unlabelled`` of :class:`~mmrefine.datasets.MixedPairs`, as they are, and the others the part ``labelled``. A
    config that mixes already only learns where they are.

    The labelled pairs get the augmentations of the config and the same size of crop; smaller frames are enlarged. The
    key ``labelled`` of the config is their folder.

    Args:
        cfg: not filled in, with its video, and of :func:`with_labelled`.
        labelled: see :func:`check_labelled`, which has been called.
        out: folder of results, in which clips are rendered.
        log: called with a line.

    Raises:
        ConfigError: training data without a size of crop, or labelled pairs that are frames of the video.
    """
    filled = complete(cfg)
    mixed = filled.train_dataloader.dataset.to_dict()
    data = mixed['parts']['unlabelled'] if _mixes(mixed) else mixed
    with building(cfg):
        unlabelled = DATASETS.build(dict(data, pipeline=[]))
    crop = _crop_of(data['pipeline'], unlabelled, name_of(cfg))
    if labelled == RENDERED:
        height, width = size = _rendered_size(crop)
        root = out.resolve() / f'rendered_{height}x{width}'
        what = f'{CLIPS} rendered frame pairs of {width} x {height} px, {root} (about {_megabytes(size):.0f} MB)'
    else:
        root, found = Path(labelled).resolve(), LabelledPairs(labelled)
        with building(cfg):  # what the guard keeps back is the video's, too
            whole = DATASETS.build(dict(data, pipeline=[], **(dict(held_out=0.) if 'held_out' in data else {})))
        _refuse_overlap(found, whole)
        what = f'{len(found)} frame pair(s) with ground truth, {found.layout}, {found.data_root}'
    if _mixes(mixed):
        log(f'labelled: {what}')
        return with_labelled(cfg, str(root))
    first, last = (share for _, share in SHARE)
    log(f'labelled: {what}; {100 * first:g} % of what is learned from at first, {100 * last:g} % at the end')
    plain = cfg.to_dict()
    loader = plain['train_dataloader']
    unmixed = loader['dataset']
    if plain.get('scene') == 'each':  # the crop must be one that fits the frames of every scene
        unmixed = dict(unmixed, pipeline=_with_crop(data['pipeline'], crop))
    loader['dataset'] = dict(
        type='MixedPairs',
        parts=dict(
            labelled=dict(type='LabelledPairs', data_root='{labelled}', seed=data.get('seed', 0),
                          pipeline=_labelled_pipeline(data['pipeline'], crop)),
            unlabelled=unmixed))
    sampler = loader.get('sampler') or {}
    loader['sampler'] = dict(
        {key: sampler[key] for key in ('seed', 'shuffle') if key in sampler}, type='MixedSampler',
        shares=dict(labelled=SHARE))
    return with_labelled(Config(plain, filename=cfg.filename), str(root))


def render_labelled(cfg: Config, log: Callable[[str], None] = print) -> None:
    """Render the clips of a config of :func:`mix_in` with ``'rendered'``; those that are there stay.

    Raises:
        MMRefineError: the disk is full, or the folder cannot be written.
    """
    progress, size = Progress('labelled: {} clips rendered', CLIPS, log), _size_in(cfg)
    with write_errors(Path(cfg.labelled)):
        for done, seed in enumerate(_SEEDS, start=1):
            write_clips(cfg.labelled, [seed], 2, size, LOOK)
            progress(done)


def rendering_seconds(cfg: Config) -> float:
    """How long :func:`render_labelled` will take, from the time of one clip."""
    waiting = [seed for seed in _SEEDS if not Path(cfg.labelled, 'scenes', f'{LOOK}_{seed:04d}.json').exists()]
    began = time.perf_counter()
    for seed in waiting[:1]:
        render_clip(seed, 2, _size_in(cfg), LOOK)
    return (time.perf_counter() - began) * len(waiting)


def with_labelled(cfg: Config, folder: str) -> Config:
    """A copy of a config whose key ``labelled`` is that folder."""
    return Config(dict(cfg.to_dict(), labelled=folder), filename=cfg.filename)


def _mixes(data: Mapping[str, Any]) -> bool:
    return data.get('type') == 'MixedPairs'


def _rendered_size(crop: Tuple[int, int]) -> Tuple[int, int]:
    return max(crop[0], LEAST_SIZE[0]), max(crop[1], LEAST_SIZE[1])


def _size_in(cfg: Config) -> Tuple[int, int]:
    """The size of the rendered frames of a mixed config."""
    pipeline = complete(cfg).train_dataloader.dataset.parts.labelled.pipeline
    return _rendered_size(next(one['size'] for one in pipeline if one['type'] == 'RandomCrop'))


def _megabytes(size: Tuple[int, int]) -> float:
    """What the clips take: 8 bytes a pixel of flow, and what frames, masks and visibility were found to take."""
    return CLIPS * size[0] * size[1] * 12 / 1e6


def _refuse_overlap(labelled: LabelledPairs, video: Any) -> None:
    """Refuse truth of frames that are to be labelled, or judged on."""
    shared = shared_frames(labelled.frame_files(), getattr(video, 'frame_files', list)())
    if shared:
        path, frame = shared[0]
        raise ConfigError(f'{labelled.data_root}: its labelled pairs hold {len(shared)} frames of the video itself, '
                          f'the first is {path}{f", {frame}" if frame else ""}; name labelled pairs of other frames, '
                          'or another video')


def _crop_of(pipeline: Sequence[Any], data: Any, name: str) -> Tuple[int, int]:
    """(height, width) px of a training sample."""
    for part in pipeline:
        if _kind(part) == 'RandomCrop':
            height, width = part['size']
            if not part.get('fit'):
                return height, width
            smallest = data.smallest_size()
            return min(height, smallest[0]), min(width, smallest[1])
    if not hasattr(data, 'smallest_size'):
        raise ConfigError(f'{name}: the pipeline of train_dataloader.dataset has no RandomCrop, so the size of its '
                          "samples, which labelled pairs must have, too, is unknown; add dict(type='RandomCrop', "
                          'size=…)')
    found: Tuple[int, int] = data.smallest_size()
    return found


def _with_crop(pipeline: Sequence[Any], crop: Tuple[int, int]) -> List[Any]:
    return [dict(part, size=crop) if _kind(part) == 'RandomCrop' else part for part in pipeline]


def _labelled_pipeline(pipeline: Sequence[Any], crop: Tuple[int, int]) -> List[Any]:
    """The pipeline of labelled pairs: that of unlabelled ones, but for what is about labels."""
    found = [part for part in pipeline if _kind(part) not in _OF_LABELS]
    scaled = [dict(part, crop_size=crop) if _kind(part) == 'RandomScaleStretch' else part for part in found]
    if not any(_kind(part) == 'RandomScaleStretch' for part in found):  # only what is smaller than the crop is scaled
        scaled.insert(0, dict(type='RandomScaleStretch', prob=0., crop_size=crop))
    if not any(_kind(part) == 'RandomCrop' for part in scaled):
        scaled.insert(1, dict(type='RandomCrop', size=crop))
    # all frames are at least as large now, and fit=True asks for the sizes of all frames
    fixed = [dict(part, fit=False) if _kind(part) == 'RandomCrop' else part for part in _with_crop(scaled, crop)]
    return [dict(type='LoadTruth'), *fixed]


def _kind(part: Any) -> str:
    """The class of a transform, without its scope; '' of one that is no config."""
    return str(part.get('type')).rpartition('.')[2] if isinstance(part, Mapping) else ''
