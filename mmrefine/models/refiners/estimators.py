"""Build a stock network from its config, load weights into it, feed it frames."""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import torch
from mmengine.config import ConfigDict
from mmengine.dist import is_distributed
from mmengine.logging import print_log
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

import mmrefine
from mmrefine.compat.checkpoints import learned_with, load_checkpoint_file
from mmrefine.compat.stock_names import stock_names
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.models.networks import ConvexUpsamplingDecoder, OfficialRAFTEncoder
from mmrefine.registry import MODELS

# what stands before the stock keys in a training checkpoint of ours
_PREFIX = 'estimator.'
_UPSAMPLING = 'decoder.mask_pred.'


def build_estimator(estimator: Union[Mapping[str, Any], nn.Module]) -> nn.Module:
    """A flow estimator from its (stock) config, or the module itself.

    The nested types of a stock config carry no scope, so the whole dict is built under the scope ``mmflow`` (F16);
    parts of ours are reachable from there as ``mmrefine.<name>``. ``SyncBN`` becomes plain batch norm unless the run is
    distributed (F15). Nested ``init_cfg=dict(type='Pretrained', ...)`` (the stages of FlowNet2 and MaskFlowNet) is left
    out: a refinement starts from a checkpoint of the whole network, and a download in between would replace it.

    Args:
        estimator: a model config with its ``type``, or a built network.

    Raises:
        ConfigError: a dict without ``type``, or something else than a dict or a module.
    """
    if isinstance(estimator, nn.Module):
        network = estimator
    elif isinstance(estimator, Mapping):
        if 'type' not in estimator:
            raise ConfigError('model.estimator has no `type`, got the keys '
                              f'{", ".join(sorted(map(str, estimator)))}; name a flow estimator, '
                              "for example by _base_ = 'mmflow::_base_/models/raft.py'")
        cfg = _without_nested_downloads(estimator)
        cfg.setdefault('_scope_', 'mmflow')
        network = MODELS.build(cfg)
    else:
        raise ConfigError('model.estimator must be a config dict or a torch module, '
                          f'got {type(estimator).__name__}')
    return network if is_distributed() else revert_sync_batchnorm(network)


def _without_nested_downloads(cfg: Mapping[str, Any]) -> Dict[str, Any]:
    """A deep copy whose stages name no pretrained file of their own."""
    plain = cfg.to_dict() if isinstance(cfg, ConfigDict) else cfg
    top: Dict[str, Any] = copy.deepcopy(dict(plain))
    for stage, value in top.items():
        if isinstance(value, dict):
            _drop_pretrained(value, stage)
    return top


def _drop_pretrained(cfg: Dict[str, Any], where: str) -> None:
    init = cfg.get('init_cfg')
    if isinstance(init, Mapping) and init.get('type') == 'Pretrained':
        print_log(
            f'model.estimator.{where}: init_cfg Pretrained ({init.get("checkpoint")}) is left out, '
            'load a checkpoint of the whole network instead',
            logger='current')
        del cfg['init_cfg']
    for key, value in cfg.items():
        if isinstance(value, dict):
            _drop_pretrained(value, f'{where}.{key}')


class FrameNormalizer:
    """RGB frames in [0, 1] as a network's own data preprocessor would have fed them.

    mmflow reads images as BGR grey levels, so a network sees BGR unless its ``data_preprocessor`` says
    ``bgr_to_rgb=True`` (weights of the official RAFT want that), and grey levels unless it has a ``mean`` and ``std``.
    Noise and other augmentation of that preprocessor stay out: the pipeline owns augmentation.

    Args:
        data_preprocessor: of the built estimator; None is one that changes nothing.
    """

    def __init__(self, data_preprocessor: Optional[nn.Module]) -> None:
        # a swap of channels, in whichever direction it is written, makes RGB of what mmflow reads
        self.to_bgr = not getattr(data_preprocessor, 'channel_conversion', False)
        self.mean = _values(getattr(data_preprocessor, 'mean', None), 0.)
        self.std = _values(getattr(data_preprocessor, 'std', None), 1.)

    def __call__(self, frames: Tensor) -> Tensor:
        """``(B, 3, H, W)`` RGB in [0, 1] -> a new tensor in the network's range and channel order."""
        if self.to_bgr:
            frames = frames.flip(1)
        mean = frames.new_tensor(self.mean).view(1, -1, 1, 1)
        std = frames.new_tensor(self.std).view(1, -1, 1, 1)
        return (frames * 255. - mean) / std


def _values(buffer: Any, default: float) -> List[float]:
    return [default] if buffer is None else [float(v) for v in torch.as_tensor(buffer).flatten()]


def load_estimator(refiner: nn.Module, path: Union[str, Path]) -> None:
    """Load weights into ``refiner.estimator``, strictly and safely.

    Args:
        refiner: a :class:`FlowRefiner`.
        path: a stock mmflow checkpoint, a ``refined.pth``, a training checkpoint of a FlowRefiner, or an official RAFT
            file (of its authors or of torchvision), whose weights are renamed.

    Raises:
        CheckpointError: a file that is missing, broken or unsafe, or weights of another network; it names the keys.
    """
    state = estimator_state(refiner, load_checkpoint_file(path), source=str(path))
    refiner.get_submodule('estimator').load_state_dict(state, strict=True)


def estimator_state(refiner: nn.Module, checkpoint: Mapping[str, Any], source: str) -> Dict[str, Tensor]:
    """The weights of ``refiner.estimator`` in a loaded checkpoint, under their stock names; nothing is loaded yet.

    Learned upsampling that a checkpoint lacks begins as bilinear (:class:`~mmrefine.models.ConvexUpsamplingDecoder`).

    Args:
        refiner: a :class:`FlowRefiner`.
        checkpoint: with a ``state_dict``, or a state dict itself.
        source: file name for the message.

    Raises:
        CheckpointError: weights of another network, whose keys it names, or features that were learned with other
            settings than those of ``refiner``, as far as the checkpoint says.
    """
    network = refiner.get_submodule('estimator')
    encoder = getattr(network, 'encoder', None)
    state = stock_names(checkpoint, encoder.net_type if isinstance(encoder, OfficialRAFTEncoder) else None, source)
    if any(key.startswith(_PREFIX) for key in state):
        state = {key[len(_PREFIX):]: value for key, value in state.items() if key.startswith(_PREFIX)}
    decoder = getattr(network, 'decoder', None)
    if isinstance(decoder, ConvexUpsamplingDecoder) and not any(key.startswith(_UPSAMPLING) for key in state):
        state.update({_UPSAMPLING + key: value for key, value in decoder.bilinear_head().items()})
    wanted = network.state_dict()
    missing, unexpected, reshaped = _differences(state, wanted)
    if missing or unexpected or reshaped:
        story = [f'{title} {_some(keys)}' for title, keys in
                 (('missing', missing), ('unexpected', unexpected), ('of another shape or type', reshaped)) if keys]
        learned = not missing and not reshaped and all(key.startswith(_UPSAMPLING) for key in unexpected)
        raise CheckpointError(
            f'{source}: these are not the weights of the configured '
            f'{type(network).__name__} ({len(state)} tensors found, {len(wanted)} wanted; '
            f'{"; ".join(story)}); name the config that this checkpoint was trained with' +
            (', such as raft_small_convex, whose upsampling is learned' if learned else ''))
    _refuse_other_use(refiner, checkpoint, source)
    return state


def meta_of(refiner: nn.Module, **more: Any) -> Dict[str, Any]:
    """What is kept with weights of a network, beside ``more``: our version, and what they must be used with."""
    learned: Any = getattr(refiner, 'learned_with', None)
    return dict(mmrefine=mmrefine.__version__, **more, **({} if learned is None else dict(learned_with=learned())))


def _refuse_other_use(refiner: nn.Module, checkpoint: Mapping[str, Any], source: str) -> None:
    known, own = learned_with(checkpoint), getattr(refiner, 'learned_with', None)
    here = {} if own is None else {key: value for key, value in own().items() if key in known and known[key] != value}
    if here:
        then, now = (' and '.join(f'model.{key}={values[key]!r}' for key in here) for values in (known, here))
        raise CheckpointError(f'{source}: was trained with {then}, and this config has {now}, so its features would be '
                              'others; name the config that it was trained with, a copy of which lies in the '
                              'work dir of that training, or set the former values in this one')


def _differences(found: Mapping[str, Tensor],
                 wanted: Mapping[str, Tensor]) -> Tuple[List[str], List[str], List[str]]:
    """Keys that are missing, unexpected, and there with another shape or whole numbers in the place of others."""
    missing = [key for key in wanted if key not in found]
    unexpected = [key for key in found if key not in wanted]
    reshaped = [f'{key} {tuple(found[key].shape)} instead of {tuple(value.shape)}'
                for key, value in wanted.items() if key in found and found[key].shape != value.shape]
    reshaped += [f'{key} {found[key].dtype} instead of {value.dtype}' for key, value in wanted.items()
                 if key in found and found[key].is_floating_point() != value.is_floating_point()]
    return missing, unexpected, reshaped


def _some(keys: List[str], most: int = 6, shown: int = 3) -> str:
    """All of a few names, the first of many."""
    return ', '.join(keys) if len(keys) <= most else f'{", ".join(keys[:shown])} and {len(keys) - shown} more'
