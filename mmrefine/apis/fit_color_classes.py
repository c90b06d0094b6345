"""Classes of colours that fit one's own videos."""
from __future__ import annotations

from pathlib import Path
from typing import List, Union

import cv2
import numpy as np
import torch

from mmrefine.errors import InputError
from mmrefine.fileio.color_centroids import MOST, write_centroids
from mmrefine.fileio.video.reader import open_frames
from mmrefine.fileio.video.scenes import Roots, common_root, list_scenes
from mmrefine.geometry import lab
from mmrefine.values import as_count, as_number


def fit_color_classes(video: Roots, path: Union[str, Path], classes: int = 16, frames: int = 200,
                      pixels: int = 1000, seed: int = 0) -> np.ndarray:
    """Find by k-means the colours (a, b) of CIE L*a*b* that stand for those of videos best, and write them for
    ``ColorClasses(centroids=…)``.

    Args:
        video: a video file, a folder of frames, or a folder of such folders and files.
        path: of the file to write, ``.json``.
        classes: how many.
        frames: that are looked at, spread evenly over all videos together.
        pixels: of each of these frames, drawn at random.
        seed: of the draws and of k-means.

    Returns:
        ``(classes, 2)``, that of the most pixels first.

    Raises:
        ConfigError: a number out of range.
        InputError: no such video, or fewer different colours than classes.
        OSError: the disk is full or the folder cannot be written.
    """
    classes = int(as_number('classes', as_count('classes', classes, 2), f'[2, {MOST}]'))
    frames, pixels = as_count('frames', frames), as_count('pixels', pixels)
    colors = np.concatenate(_sample(video, frames, pixels, np.random.default_rng(seed)))
    different = len(np.unique(colors.round(2), axis=0))  # equal pixels may differ in the last bits
    if different < classes:
        raise InputError(f'{common_root(video)}: its sampled pixels have {different} different colours (a, b), too few '
                         f'for {classes} classes; ask for fewer classes, or add other videos')
    cv2.setRNGSeed(seed)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 100, 1e-3)
    members = np.zeros((len(colors), 1), np.int32)
    _, chosen, centroids = cv2.kmeans(colors, classes, members, stop, 3, cv2.KMEANS_PP_CENTERS)
    centroids = centroids[np.argsort(-np.bincount(np.ravel(chosen), minlength=classes), kind='stable')]
    write_centroids(path, centroids, video=str(common_root(video)), frames=frames, pixels=pixels, seed=seed)
    return centroids


def _sample(video: Roots, frames: int, pixels: int, rng: np.random.Generator) -> List[np.ndarray]:
    """(a, b) of pixels of each of some frames."""
    sources = [open_frames(place) for place in list_scenes(video).values()]
    ends = np.cumsum([len(source) for source in sources])
    found = []
    for number in np.unique(np.linspace(0, ends[-1] - 1, min(frames, int(ends[-1]))).round().astype(int)):
        scene = int(np.searchsorted(ends, number, side='right'))
        flat = sources[scene][int(number - (ends[scene - 1] if scene else 0))].reshape(-1, 3)
        drawn = flat[rng.integers(len(flat), size=pixels)]
        color = lab(torch.from_numpy(drawn.T.astype(np.float32) / 255)[None, :, None])
        found.append(np.ascontiguousarray(color[0, 1:, 0].T.numpy()))
    return found
