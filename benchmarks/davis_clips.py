"""Sequences of DAVIS with joints of BADJA and tracked points: reading them, and how well a flow carries them along."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np
import torch
from torch import Tensor

from mmrefine.errors import InputError
from mmrefine.evaluation import boundary_f, jaccard, summarise
from mmrefine.evaluation.joints.pck import PCK_SHARE, object_sizes, tally_keypoints
from mmrefine.fileio import Joints, read_badja, read_image
from mmrefine.fileio.digest import digest_of_files
from mmrefine.geometry import carry_points
from mmrefine.models import carry_labels
from mmrefine.structures import as_frames

MEASURES = ('J', 'F', 'J5', 'F5', 'PCK', 'D')
RASTER, THRESHOLDS = 256, (1, 2, 4, 8, 16)  # px, of TAP-Vid
SPAN = 5  # frames that J5 and F5 carry a mask
Flow = Callable[[Tensor, Tensor], Tensor]  # (B, 3, H, W) RGB in [0, 1], twice -> (B, 2, H, W) px


class Clip(NamedTuple):
    """A sequence: frames at the working size, and the truth at its own size by the number of the frame."""
    name: str
    frames: List[np.ndarray]  # (h, w, 3) uint8 RGB
    masks: List[np.ndarray]  # (H, W) bool
    joints: Dict[int, Joints]  # px of (H, W)
    ends: np.ndarray  # (N, 2, 2) px of (H, W): where points are in the first frame and in the last
    digest: str  # of the files, not of the working size


def sequences(davis: Path) -> List[str]:
    """Names of all sequences, sorted."""
    folder = davis / 'JPEGImages' / '480p'
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise InputError(
            f'{folder}: there are no sequences; give the folder of DAVIS that holds JPEGImages and '
            'Annotations with --davis')
    return names


def read_clip(davis: Path, badja: Optional[Path], name: str, size: Tuple[int, int], most: Optional[int] = None,
              points: Optional[Path] = None) -> Clip:
    """The frames resized by area to ``size`` (h, w), the masks, joints and points as they are; of the first ``most``
    frames."""
    parts = {part: davis / part / '480p' / name for part in ('JPEGImages', 'Annotations')}
    frames, masks = (sorted(parts[part].glob(f'*{suffix}'))[:most] for part, suffix in zip(parts, ('.jpg', '.png')))
    if len(frames) < 3 or [path.stem for path in frames] != [path.stem for path in masks]:
        raise InputError(f'{parts["JPEGImages"]}: needs 3 or more frames (.jpg), each with a mask (.png) in '
                         f'{parts["Annotations"]}, found {len(frames)} and {len(masks)}; give the folder of DAVIS '
                         'with --davis, a sequence with --sequences')
    if badja is not None and not badja.is_dir():
        raise InputError(
            f'{badja}: there is no such folder of joints; correct --badja, or leave it out for a table without PCK')
    files = [(str(path.relative_to(davis)), path) for path in frames + masks]
    truth = [read_image(path)[..., 0] > 127 for path in masks]
    joints: Dict[int, Joints] = {}
    clicked = None if badja is None else badja / f'{name}.json'
    if clicked is not None and clicked.is_file():
        files.append((clicked.name, clicked))
        found = read_badja(clicked, truth[0].shape)
        joints = {t: found[path.stem] for t, path in enumerate(frames) if path.stem in found}
    shrunk = [cv2.resize(read_image(path), size[::-1], interpolation=cv2.INTER_AREA) for path in frames]
    ends = _read_ends(points, name, len(frames)) if points is not None else np.zeros((0, 2, 2))
    return Clip(name, shrunk, truth, joints, ends, digest_of_files(files))


def _read_ends(path: Path, name: str, frames: int) -> np.ndarray:
    """The points of a sequence, see :class:`Clip`; none if only a part of it is used."""
    try:
        with open(path, newline='', encoding='utf-8') as file:
            rows = [row for row in csv.DictReader(file) if row['sequence'] == name and int(row['frames']) == frames]
        numbers = [[[float(row[f'{end}_{axis}']) for axis in 'xy'] for end in ('first', 'last')] for row in rows]
    except (KeyError, OSError, ValueError) as error:
        raise InputError(f'{path}: is no table of points with the columns sequence, frames, first_x, first_y, last_x '
                         f'and last_y ({type(error).__name__}: {error}); correct --points') from error
    return np.array(numbers).reshape(-1, 2, 2)


@torch.no_grad()
def score_clip(clip: Clip, flow_of: Flow) -> Dict[str, Optional[float]]:
    """The :data:`MEASURES`, each in [0, 1] or None, of what is carried from frame to frame.

    J and F: the first mask, all along the video, as DAVIS scores it (without the first and the last frame). J5 and F5:
    every mask carried :data:`SPAN` frames on and scored there, so that one bad step does not decide over all that
    follow. PCK: the joints of the first clicked frame. D: the points of the first frame, carried to the last one; the
    mean over 1, 2, 4, 8 and 16 px of how many are closer than that, on a raster of 256x256 px. Masks stay soft, are
    thresholded only for scoring, and what comes into view is not followed back
    (:func:`~mmrefine.models.carry_labels`).
    """
    height, width = clip.frames[0].shape[:2]
    scale = np.array([clip.masks[0].shape[1] / width, clip.masks[0].shape[0] / height])
    first, last = (min(clip.joints), max(clip.joints)) if clip.joints else (0, 0)
    points = torch.from_numpy(clip.joints[first].points / scale).float() if clip.joints else torch.zeros(0, 2)
    far = torch.from_numpy(clip.ends[:, 0] / scale).float()
    chain, spans = soft_mask(clip, 0), {}  # the masks on their way; of the spans by the frame where they began
    found: Dict[str, List[float]] = {measure: [] for measure in MEASURES[:-2]}
    carried: Dict[int, np.ndarray] = {}
    for t in range(1, len(clip.frames)):
        before, now = (as_frames([clip.frames[i]]) for i in (t - 1, t))
        forward, backward = flow_of(before, now)[0], flow_of(now, before)[0]
        spans[t - 1] = soft_mask(clip, t - 1)
        chain, *on_the_way = carry_labels(torch.stack([chain, *spans.values()]), backward, forward)
        spans = dict(zip(spans, on_the_way))
        if t < len(clip.frames) - 1:
            _score(found, 'J', 'F', chain, clip.masks[t])
        if t - SPAN in spans:
            _score(found, f'J{SPAN}', f'F{SPAN}', spans.pop(t - SPAN), clip.masks[t])
        far = carry_points(far, forward) if len(far) else far
        if first < t <= last:
            points = carry_points(points, forward)
            if t in clip.joints:
                carried[t] = points.numpy() * scale
    scores: Dict[str, Optional[float]] = {measure: summarise(values)['mean'] if values else None
                                          for measure, values in found.items()}
    return {**scores, 'PCK': pck_of(clip, first, carried), 'D': share_close(ends_off(clip, far.numpy() * scale))}


def ends_off(clip: Clip, carried: np.ndarray) -> np.ndarray:
    """How far points ``(N, 2)`` px of the truth are from where they should end, ``(N,)`` px of the raster."""
    raster = RASTER / np.array(clip.masks[0].shape[::-1])
    return np.asarray(np.linalg.norm((carried - clip.ends[:, 1]) * raster, axis=1))


def share_close(off: np.ndarray) -> Optional[float]:
    """How many points end where they should, mean over the thresholds; None without points."""
    return float(np.mean([(off < threshold).mean() for threshold in THRESHOLDS])) if len(off) else None


def soft_mask(clip: Clip, t: int) -> Tensor:
    """The mask of frame t at the working size, ``(h, w)`` in [0, 1]."""
    size = clip.frames[0].shape[1::-1]
    return torch.from_numpy(cv2.resize(clip.masks[t].astype(np.float32), size, interpolation=cv2.INTER_AREA))


def hard_mask(soft: Tensor, size: Tuple[int, int]) -> np.ndarray:
    """A soft mask ``(h, w)`` as it is scored, bool of ``size`` (H, W)."""
    return np.asarray(cv2.resize(soft.numpy(), size[::-1], interpolation=cv2.INTER_LINEAR) > 0.5)


def _score(found: Dict[str, List[float]], region: str, edge: str, soft: Tensor, truth: np.ndarray) -> None:
    mask = hard_mask(soft, truth.shape)
    found[region].append(jaccard(mask, truth))
    found[edge].append(boundary_f(mask, truth))


def pck_of(clip: Clip, first: int, carried: Dict[int, np.ndarray]) -> Optional[float]:
    """PCK of joints that were carried from frame ``first``, ``(N, 2)`` px of the truth by frame: of those seen in the
    first clicked frame and in the one where they are scored; None if there are none."""
    if not carried or not clip.joints[first].visible.any():
        return None
    clicked = [clip.joints[t] for t in (first, *carried)]
    truth, visible = np.stack([joints.points for joints in clicked]), np.stack([joints.visible for joints in clicked])
    sizes = object_sizes('mask', truth, visible, np.stack([clip.masks[t] for t in (first, *carried)]))
    return tally_keypoints(np.stack([truth[0], *carried.values()]), truth, visible,
                           sizes).scores().get(f'PCK@{PCK_SHARE:g}')
