"""A tracker for the code of its authors, written only if it gives the same tracks there."""
from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Tuple, Union

import torch
from mmengine.config import Config

from mmrefine.apis.named_models import open_tracker
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.pips_checkpoints import convert_pips, convert_pips_checkpoint
from mmrefine.config.load import name_of
from mmrefine.errors import ConfigError, MMRefineError, TeacherError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import TrackRefiner, build_estimator
from mmrefine.structures import as_frames
from mmrefine.synthetic import render_clip

CHECK_SIZE = (136, 184)  # (height, width) px of the clip that both are run on
CHECK_FRAMES = 10  # more than a window of PIPs


def export_tracker(cfg: Config, checkpoint: Union[str, Path], to: str, path: Path) -> Tuple[float, str]:
    """Write PIPs as the code of its authors keeps it.

    Args:
        cfg: the config of the tracker.
        checkpoint: its weights, in any form.
        to: must be ``'official'``.
        path: the file to write.

    Returns:
        the largest difference of the tracks of a rendered clip before and after, px, which is 0; and the class of the
        network.

    Raises:
        ConfigError: another form, which no tracker has.
        CheckpointError: weights that are missing, broken, or of another network.
        MMRefineError: the tracks differ, or the file cannot be written.
    """
    if to != 'official':
        raise ConfigError(f'{name_of(cfg)}: follows points, and --to {to} takes networks that estimate flow; export it '
                          "with --to official, for its authors' code, or use refined.pth as it is with mmrefine track")
    refiner = open_tracker(cfg, checkpoint, 'cpu')
    assert isinstance(refiner, TrackRefiner)
    state = {key: value.detach().cpu().clone() for key, value in refiner.estimator.state_dict().items()}
    content = convert_pips_checkpoint(dict(state_dict=state), 'official', str(checkpoint))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'exported.pth')
        save_checkpoint(file, content)
        exported = convert_pips(load_checkpoint_file(file)['model_state_dict'])
    network = build_estimator(cfg.model.estimator)
    network.load_state_dict(exported, strict=True)
    other = TrackRefiner(network, test_iters=refiner.test_iters, chunk=refiner.chunk).eval()
    difference = _difference(refiner, other)
    if difference > 0:
        raise MMRefineError(f'{path}: not written, because the tracks before and after differ by {difference:g} px; '
                            'report this with the checkpoint')
    save_checkpoint(path, content)
    return difference, type(network).__name__


def _difference(one: TrackRefiner, other: TrackRefiner) -> float:
    """The largest difference of the tracks of two networks, px, and of their visibility; inf if the other one's are
    not finite."""
    frames = as_frames(render_clip(0, CHECK_FRAMES, CHECK_SIZE, 'target').frames)
    y, x = torch.meshgrid(torch.linspace(8., CHECK_SIZE[0] - 9., 5), torch.linspace(8., CHECK_SIZE[1] - 9., 5),
                          indexing='ij')
    queries = torch.stack([torch.zeros(25), y.flatten(), x.flatten()], dim=1)
    wanted = one.track(frames, queries)
    try:
        found = other.track(frames, queries)
    except TeacherError:  # points that are not finite
        return float('inf')
    return max(float((wanted.points - found.points).norm(dim=-1).max()),
               float((wanted.visible - found.visible).abs().max()))
