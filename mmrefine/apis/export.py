"""A refined network for other software, written only if it gives the same flow, tracks or features there."""
from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import torch
from mmengine.config import Config
from torch import Tensor, nn

import mmrefine
from mmrefine.apis.export_features import export_encoder, use_of
from mmrefine.apis.export_tracks import export_tracker
from mmrefine.apis.inference import is_tracker
from mmrefine.apis.named_models import is_corrflow, is_craft, learns_upsampling, load_named, official_kind, open_model
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.craft_checkpoints import convert_craft, convert_craft_checkpoint
from mmrefine.compat.official_checkpoints import convert_raft, convert_raft_checkpoint
from mmrefine.config.load import name_of
from mmrefine.errors import CheckpointError, ConfigError, MMRefineError
from mmrefine.fileio.atomic import save_checkpoint, write_bytes, write_errors
from mmrefine.models import FlowRefiner, build_estimator
from mmrefine.structures import as_frames
from mmrefine.synthetic import render_clip
from mmrefine.values import as_size

# form -> whose names the parameters have; official is the code of its authors, of RAFT, CRAFT, PIPs or
# CorrFlow
FORMS = {'mmflow': 'mmflow', 'official': 'princeton', 'torchvision': 'torchvision', 'onnx': 'onnx'}
ONNX_PACKAGES = ('onnx', 'onnxscript', 'onnxruntime')
# px; how far the flow may differ: of a renamed network, which computes the same, and of another runtime, which adds in
# another order
SAME, NEARLY = 0., 0.01
CHECK_SIZE = (136, 184)  # (height, width) px of the pair that both are run on
LEAST_SIDE = 16  # px of a rendered pair


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        path: the file.
        form: one of :data:`FORMS`.
        network: class of the network.
        difference: the largest difference of the flows of a rendered pair, of the tracks of a rendered clip (px), or
            of the features of a rendered frame, before and after.
        use: how the other software loads it, in one sentence.
        what: was compared: ``'flows'``, ``'tracks'`` or ``'features'``.
    """
    path: Path
    form: str
    network: str
    difference: float
    use: str
    what: str = 'flows'


def export_model(checkpoint: Union[str, Path],
                 to: str,
                 out: Union[str, Path],
                 model: Union[str, Path, Config] = 'raft_small',
                 size: Tuple[int, int] = (440, 1024),
                 log: Callable[[str], None] = print) -> Exported:
    """Write a network as stock mmflow, as its authors' code has it (RAFT, CRAFT, PIPs, CorrFlow), as torchvision's
    RAFT, or as ONNX.

    Nothing is written unless the exported network gives the same flow as the original on a rendered pair (PIPs: the
    same tracks on a rendered clip; CorrFlow: the same features of a rendered frame): exactly, for ONNX within 0.01 px.

    Args:
        checkpoint: a ``refined.pth``, a training checkpoint, a stock mmflow checkpoint, or an official RAFT,
            CRAFT, PIPs or CorrFlow file.
        to: one of :data:`FORMS`.
        out: the file to write.
        model: the network of the weights, see :func:`~mmrefine.apis.named_models.open_model`.
        size: (height, width) px of the frames that an ONNX file takes.
        log: called with a line before what takes minutes.

    Raises:
        ConfigError: an unknown form, a network that has no such form, frames that are too small, or packages that ONNX
            needs and that are not installed.
        CheckpointError: weights that are missing, broken, or of another network.
        MMRefineError: the flows differ, or the file cannot be written.
    """
    path = Path(out)
    if to not in FORMS:
        raise ConfigError(f'the form of an exported network must be one of {", ".join(FORMS)}, got {to!r}')
    if to == 'onnx':
        size = as_size('--size', size, LEAST_SIDE)
    cfg = load_named(model)
    if is_tracker(cfg):
        difference, network = export_tracker(cfg, checkpoint, to, path)
        return Exported(path, to, network, difference, "the authors' code loads it, from a folder that holds it as "
                        'model-000000001.pth', 'tracks')
    if is_corrflow(cfg):
        difference, network = export_encoder(cfg, checkpoint, to, path)
        return Exported(path, to, network, difference, use_of(cfg), 'features')
    if to == 'onnx':
        _check_onnx()
    kind = official_kind(cfg)
    craft = is_craft(cfg)
    if craft and (to == 'torchvision' or to == 'official' and cfg.model.estimator.encoder.get('net_type') != 'Basic'):
        whose = 'torchvision has no CRAFT' if to == 'torchvision' else "the authors' code has no CRAFT of this size"
        raise ConfigError(f'{name_of(cfg)}: {whose}; use --to mmflow')
    if to in ('official', 'torchvision') and kind is None and not craft:
        raise ConfigError(f'{name_of(cfg)}: its network is not the official RAFT, whose encoder and colours differ '
                          "from mmflow's, so its weights would give wrong flow there; use --to mmflow, or name the "
                          'config it was refined with (--model raft_small, --model raft_official)')
    if to in ('official', 'torchvision') and learns_upsampling(cfg):
        raise ConfigError(f'{name_of(cfg)}: its network learns to enlarge its flow, which the official RAFT-small does '
                          'not, so its weights have no place there; use --to mmflow or --to onnx')
    refiner = open_model(cfg, checkpoint, 'cpu')
    network = type(refiner.estimator).__name__
    if to == 'onnx':
        log('writing out every iteration as ONNX, which takes minutes for 32 of them')
        difference = _export_onnx(refiner, path, size)
        frames = f'{size[0]}, {size[1]}'
        return Exported(path, to, network, difference,
                        f'inputs frames1 and frames2 (1, 3, {frames}) RGB in [0, 1], output flow (1, 2, {frames}) px')
    state = {key: value.detach().cpu().clone() for key, value in refiner.estimator.state_dict().items()}
    content: Dict[str, Any] = dict(state_dict=state, meta=dict(mmrefine=mmrefine.__version__))
    if to == 'official' and craft:
        content = convert_craft_checkpoint(content, to, str(checkpoint))
    elif to != 'mmflow':
        content = convert_raft_checkpoint(content, FORMS[to], str(checkpoint))[0]
    difference = _difference(refiner, cfg, content, to)
    if difference > SAME:
        raise MMRefineError(f'{path}: not written, because the flows before and after differ by {difference:g} px; '
                            'report this with the checkpoint')
    save_checkpoint(path, content)
    return Exported(path, to, network, difference, _use(to, cfg, kind, craft))


def _use(to: str, cfg: Config, kind: Optional[str], craft: bool) -> str:
    if to == 'official' and craft:
        return "the authors' code loads it: python evaluate.py --model FILE --craft --f2 full --setrans"
    if to == 'official':
        small = ' --small' if kind == 'Small' else ''
        return f"the authors' code loads it: python demo.py --model FILE{small}"
    if to == 'torchvision':
        name = 'raft_small' if kind == 'Small' else 'raft_large'
        return f'torchvision.models.optical_flow.{name}().load_state_dict(torch.load("FILE"))'
    return f'load_from = "FILE" in a config with the network of {cfg.filename}'


def _difference(refiner: FlowRefiner, cfg: Config, content: Dict[str, Any], to: str) -> float:
    """px between the flows of the original network and of a new one with the weights of the exported file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'exported.pth')
        save_checkpoint(file, content)
        exported = load_checkpoint_file(file)
    if to == 'mmflow':
        state = exported['state_dict']
    else:
        state = convert_craft(exported['model']) if 'model' in exported else convert_raft(exported)[0]
    # only the stock network of the config, as the other software builds it, in a refiner that only feeds it frames
    network = build_estimator(cfg.model.estimator if 'estimator' in cfg.model else cfg.model)
    network.load_state_dict(state, strict=True)
    other = FlowRefiner(network, test_iters=refiner.test_iters).eval()
    frames = _pair(CHECK_SIZE)
    with torch.no_grad():
        flows = [model.estimate(frames[0], frames[1])[-1] for model in (refiner, other)]
    return _most(flows[0], flows[1])


def _most(one: Tensor, other: Tensor) -> float:
    """The largest distance, px; inf if any is not finite, so that nan never passes as equal."""
    distance = (one - other).norm(dim=1)
    return float(distance.max()) if bool(torch.isfinite(distance).all()) else float('inf')


def _pair(size: Tuple[int, int]) -> List[Tensor]:
    """Two rendered frames ``(1, 3, H, W)`` in [0, 1], with motion between them."""
    frames = render_clip(0, 2, size, 'target').frames
    return [as_frames([frame]) for frame in frames]


class _Pair(nn.Module):
    """A refiner as a function from two frames to one flow, for ONNX."""

    def __init__(self, refiner: FlowRefiner) -> None:
        super().__init__()
        self.refiner = refiner

    def forward(self, frames1: Tensor, frames2: Tensor) -> Tensor:
        """``(1, 3, H, W)`` RGB in [0, 1] twice -> ``(1, 2, H, W)`` px."""
        return self.refiner.plain_flows(frames1, frames2)[-1]


def _check_onnx() -> None:
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f'--to onnx needs {", ".join(missing)}, which mmrefine does not install by itself; run: pip '
                          "install 'mmrefine[onnx]'")


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """No warnings of torch's exporter, which are about its own code and about packages that are not needed."""
    log = logging.getLogger('torch.onnx')
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        log.setLevel(before)


def _export_onnx(refiner: FlowRefiner, path: Path, size: Tuple[int, int]) -> float:
    """Write the file if ONNX Runtime gives the same flow from it."""
    runtime: Any = importlib.import_module('onnxruntime')
    frames = _pair(size)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'model.onnx')
        try:
            with torch.no_grad(), _quiet_exporter():
                torch.onnx.export(_Pair(refiner).eval(), tuple(frames), str(file), input_names=['frames1', 'frames2'],
                                  output_names=['flow'], opset_version=18, dynamo=True, external_data=False,
                                  verbose=False)
        except Exception as error:  # torch's exporter raises a dozen kinds for operators that it does not support
            raise ConfigError(f'{type(refiner.estimator).__name__} cannot be exported to ONNX by this PyTorch '
                              f'({type(error).__name__}); use --to mmflow, or a RAFT') from error
        data = file.read_bytes()
    session = runtime.InferenceSession(data, providers=['CPUExecutionProvider'])
    found = session.run(None, dict(zip(('frames1', 'frames2'), (frame.numpy() for frame in frames))))[0]
    with torch.no_grad():
        wanted = refiner.plain_flows(frames[0], frames[1])[-1]
    difference = _most(wanted, torch.from_numpy(found))
    if difference > NEARLY:
        raise MMRefineError(f'{path}: not written, because ONNX Runtime gives a flow that differs by {difference:g} '
                            'px; use --to mmflow')
    with write_errors(path, CheckpointError):
        write_bytes(path, data)
    return difference
