"""Build a network, estimate motion with it, label a pair with it."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from mmrefine.config.check import check_config
from mmrefine.config.load import building, load_config, name_of
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.images import read_image
from mmrefine.labeling import FlowLabeler
from mmrefine.models import CorrespondenceLearner, FlowRefiner, TrackRefiner, load_estimator
from mmrefine.registry import LABELERS, MODELS
from mmrefine.structures import FlowEstimator, FlowLabel, NamedFrame, PairBatch, as_frames

# the same as configs/_base_/labelers/cascade.py; a test compares them
DEFAULT_LABELER: Dict[str, Any] = dict(
    type='FlowLabeler',
    view=dict(type='CascadeView', scales=(1., 2.), warm_start=True),
    filters=[dict(type='CycleFilter', alpha=0.01, beta=0.5)],
    directions='both')

Image = Union[np.ndarray, str, Path]
Images = Union[Image, Sequence[Image]]


def init_model(config: Union[str, Path, Config],
               checkpoint: Optional[Union[str, Path]] = None,
               device: Optional[str] = None) -> FlowRefiner:
    """A network that is ready to predict, in evaluation mode.

    Args:
        config: a config, its file, or ``mmflow::<stock config>``; its ``model`` is a ``FlowRefiner``, a
            ``TrackRefiner``, a ``CorrespondenceLearner``, or any flow estimator of mmflow.
        checkpoint: a stock mmflow checkpoint, a ``refined.pth``, a training checkpoint or an official RAFT, CRAFT
            or PIPs file; default: random weights.
        device: ``'cpu'``, ``'cuda'``, …; default: the GPU where there is one, as everywhere.

    Raises:
        ConfigError: no such config, one without a model, or a device that cannot be used.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
    """
    device = usable_device(device)
    if isinstance(config, Config):
        cfg = config
        check_config(cfg)
    else:
        cfg = load_config(config)
    model = cfg.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise ConfigError(f'{name_of(cfg)}: has no model with a type; name the config of a flow network')
    if not _is_a(model, FlowRefiner, TrackRefiner, CorrespondenceLearner):
        model = dict(type='FlowRefiner', estimator=model)
    with building(cfg):
        refiner: FlowRefiner = MODELS.build({'_scope_': 'mmrefine', **model})
    if checkpoint is not None:
        load_estimator(refiner, checkpoint)
    refiner.cfg = cfg
    return refiner.to(device).eval()


def is_tracker(cfg: Config) -> bool:
    """Whether the network of a config follows points and does not estimate flow."""
    return _is_a(cfg.get('model') or {}, TrackRefiner)


def is_correspondence(cfg: Config) -> bool:
    """Whether the network of a config gives features by which places are found again."""
    return _is_a(cfg.get('model') or {}, CorrespondenceLearner)


def _is_a(model: Mapping[str, Any], *classes: type) -> bool:
    """Whether the type of a model config is one of these classes or of their kind."""
    found = MODELS.get(str(model.get('type')))
    return isinstance(found, type) and issubclass(found, classes)


def usable_device(device: Optional[str] = None) -> str:
    """The device to compute on: the one that is named, else the GPU if there is one.

    Raises:
        ConfigError: a name that PyTorch does not know, or a device that is not available here.
    """
    if device is None:
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f'device {device!r}: PyTorch knows no such device; name cpu, cuda, or one of several GPUs as '
                          'cuda:1') from error
    try:
        torch.zeros(1, device=device).item()  # AssertionError: PyTorch without CUDA; RuntimeError: no such GPU
    except (AssertionError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(f'device {device!r}: cannot be used here ({reason}); take cpu, or name none to get the best '
                          'one') from error
    return device


@torch.no_grad()
def inference_flow(model: FlowEstimator, frame1: Images, frame2: Images) -> Union[np.ndarray, List[np.ndarray]]:
    """The motion from ``frame1`` to ``frame2``.

    Args:
        model: of :func:`init_model`.
        frame1: ``(H, W, 3)`` uint8 RGB (OpenCV reads BGR: turn it round) or the path of a picture, of any size; or a
            list of these, of any sizes.
        frame2: as many, each of the size of its ``frame1``.

    Returns:
        ``(H, W, 2)`` float32 px (x, y); for lists a list.

    Raises:
        InputError: anything but such frames, a file that is no picture, or lists of different lengths.
    """
    several = list, tuple
    if isinstance(frame1, several) and isinstance(frame2, several):
        if len(frame1) != len(frame2):
            raise InputError(f'frame1 and frame2 must be equally long lists, got {len(frame1)} and {len(frame2)} '
                             'frames')
        return [_flow(model, *_pair(model, one, two, f'pair {i}: '))
                for i, (one, two) in enumerate(zip(frame1, frame2))]
    if isinstance(frame1, several) or isinstance(frame2, several):
        raise InputError('frame1 and frame2 must both be frames or both be lists of frames, '
                         f'got {type(frame1).__name__} and {type(frame2).__name__}')
    return _flow(model, *_pair(model, frame1, frame2))


def label_pair(model: FlowEstimator,
               frame1: Image,
               frame2: Image,
               labeler: Optional[Union[Mapping[str, Any], FlowLabeler]] = None,
               frame3: Optional[Image] = None,
               middles: Sequence[Image] = ()) -> FlowLabel:
    """The label of a pair, the motion from ``frame1`` to ``frame2`` that can be trusted: stage 1 on one pair.

    Args:
        model: the teacher, of :func:`init_model`.
        frame1: ``(H, W, 3)`` uint8 RGB, or the path of a picture.
        frame2: the same, of the same size.
        labeler: a labeler or its config; default: two passes at 1x and 2x, and a cycle check (:data:`DEFAULT_LABELER`).
        frame3: the same, the next frame of the scene or the one before; only for labelers with a filter that
            needs it.
        middles: the same, the frames between ``frame1`` and ``frame2`` in their order; only for labelers whose
            view composes (``ComposedView``); without any, it runs on the pair alone.

    Returns:
        flow ``(2, H, W)`` px and weight ``(1, H, W)`` in [0, 1], on the CPU.

    Raises:
        ConfigError: the labeler needs a third frame, and ``frame3`` is None.
        InputError: anything but frames of one size.
        TeacherError: the motion is nan or infinite.
    """
    part: Any = labeler if isinstance(labeler, FlowLabeler) else LABELERS.build(labeler or DEFAULT_LABELER)
    one, two = _pair(model, frame1, frame2)
    thirds: Optional[Sequence[Tensor]] = None
    if part.needs_third:
        if frame3 is None:
            raise ConfigError('labeler.filters has a filter that needs a third frame (such as CompositeFilter), and '
                              'label_pair was given two; give it frame3, the next frame of the scene or the one '
                              'before, or leave the filter out')
        thirds = list(_pair(model, frame1, frame3, names=('frame1', 'frame3'))[1])
    between = [NamedFrame(_pair(model, frame1, frame, names=('frame1', f'middles[{i}]'))[1][0])
               for i, frame in enumerate(middles)]
    return part.label_pairs(model, PairBatch(one, two, thirds, middles=[between]))[0].forward


def _pair(model: Any, frame1: Any, frame2: Any, where: str = '',
          names: Sequence[str] = ('frame1', 'frame2')) -> List[Tensor]:
    """Two checked frames as ``(1, 3, H, W)`` in [0, 1] on the device of the model."""
    frame1, frame2 = (checked_frame(frame, f'{where}{name}') for name, frame in zip(names, (frame1, frame2)))
    if frame1.shape != frame2.shape:
        raise InputError(f'{where}{names[0]} and {names[1]} must have one size, got {frame1.shape[:2]} and '
                         f'{frame2.shape[:2]} (height, width)')
    device = next(model.parameters()).device
    return [as_frames([frame], device) for frame in (frame1, frame2)]


def checked_frame(frame: Any, name: str) -> np.ndarray:
    """A frame ``(H, W, 3)`` uint8 RGB, or the one in the file that is named.

    Args:
        frame: an array or a path.
        name: of the argument, for the message.

    Raises:
        InputError: anything else.
    """
    found = read_image(frame) if isinstance(frame, (str, Path)) else frame
    whole = isinstance(found, np.ndarray) and found.ndim == 3 and found.shape[2] == 3 and 0 not in found.shape
    if not whole or found.dtype != np.uint8:
        got = f'{found.dtype} {found.shape}' if isinstance(found, np.ndarray) else type(found).__name__
        raise InputError(f'{name} must be the path of a picture or an array (H, W, 3) of uint8 RGB, got {got}')
    return found


def _flow(model: FlowEstimator, frame1: Tensor, frame2: Tensor) -> np.ndarray:
    return model.estimate(frame1, frame2)[-1][0].float().permute(1, 2, 0).contiguous().cpu().numpy()
