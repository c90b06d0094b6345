"""An encoder for the code of its authors, written only if it gives the same features there."""
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Tuple, Union

import torch
from mmengine.config import Config
from torch import nn

from mmrefine.apis.named_models import find_weights
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.corrflow_checkpoints import convert_corrflow, convert_corrflow_checkpoint
from mmrefine.config.load import building, name_of
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import build_estimator, load_estimator
from mmrefine.structures import as_frames
from mmrefine.synthetic import render_clip

RADIUS = 6  # cells, of the window in the code of its authors
CHECK_SIZE = (136, 184)  # (height, width) px of the frame that both are run on


def export_encoder(cfg: Config, checkpoint: Union[str, Path], to: str, path: Path) -> Tuple[float, str]:
    """Write CorrFlow's encoder as the code of its authors keeps it.

    Args:
        cfg: the config of the network: its ``model``, or the ``estimator`` of that, is a ``CorrFlowEncoder``.
        checkpoint: its weights, in any form.
        to: must be ``'official'``.
        path: the file to write.

    Returns:
        the largest difference of the features of a rendered frame before and after, which is 0; and the class of the
        network.

    Raises:
        ConfigError: another form, which CorrFlow does not have, or a network that sees grey frames, which theirs does
            not.
        CheckpointError: weights that are missing, broken, or of another network.
        MMRefineError: the features differ, or the file cannot be written.
    """
    if to != 'official':
        raise ConfigError(f'{name_of(cfg)}: gives features, and --to {to} takes networks that estimate flow; export it '
                          "with --to official, for its authors' code, or use refined.pth as it is")
    seen = (cfg.model.get('bottleneck') or {}).get('type', '')
    if seen.split('.')[-1] == 'GreyInput':
        raise ConfigError(f'{name_of(cfg)}: its network sees grey frames (model.bottleneck), and the code of its '
                          'authors shows it colours, so its features would be others there; use refined.pth as it is')
    before, after = _encoder(cfg), _encoder(cfg)
    load_estimator(nn.ModuleDict(dict(estimator=before)), find_weights(cfg, checkpoint))
    state = {key: value.detach().cpu().clone() for key, value in before.state_dict().items()}
    content = convert_corrflow_checkpoint(dict(state_dict=state), to, str(checkpoint))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'exported.pth')
        save_checkpoint(file, content)
        after.load_state_dict(convert_corrflow(load_checkpoint_file(file)['state_dict']), strict=True)
    frame = as_frames(render_clip(0, 1, CHECK_SIZE, 'target').frames)
    with torch.no_grad():
        difference = float((before(frame) - after(frame)).abs().max())
    if not difference <= 0:  # nan, too
        raise MMRefineError(f'{path}: not written, because the features before and after differ by {difference:g}; '
                            'report this with the checkpoint')
    save_checkpoint(path, content)
    return difference, type(before).__name__


def use_of(cfg: Config) -> str:
    """How the code of its authors loads the encoder, and whether it looks as far there."""
    use, radius = "the authors' code loads it: python benchmark.py --resume FILE", cfg.model.get('radius', RADIUS)
    return use if radius == RADIUS else (f'{use}; there each cell looks {RADIUS} cells far, which is fixed, and here '
                                         f'model.radius={radius}, so what it copies will differ')


def _encoder(cfg: Config) -> nn.Module:
    """The network of a config with random weights, in evaluation mode."""
    with building(cfg):
        return build_estimator(cfg.model.get('estimator', cfg.model)).eval()
