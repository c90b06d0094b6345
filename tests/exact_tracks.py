"""A world of known motion for tracks: its frames, and a tracker that knows where everything goes."""
from __future__ import annotations

import numpy as np
import torch

from mmrefine.structures import Tracks

SIZE = (48, 64)
FRAMES = 5


def translations(x=1.5, y=-0.75, count=FRAMES):
    """Affine maps ``(T, 2, 3)`` from px of the first frame to px of frame t."""
    return np.stack([np.array([[1., 0., x * t], [0., 1., y * t]]) for t in range(count)])


def rotations(degrees=3., count=FRAMES, size=SIZE):
    """The same around the centre of the frame."""
    center, maps = np.array([size[1] - 1, size[0] - 1]) / 2, []
    for t in range(count):
        c, s = np.cos(np.radians(degrees * t)), np.sin(np.radians(degrees * t))
        turn = np.array([[c, -s], [s, c]])
        maps.append(np.column_stack([turn, center - turn @ center]))
    return np.stack(maps)


def render(maps, size=SIZE, seed=0):
    """Frames ``(T, 3, H, W)`` of a smooth texture that moves by ``maps``; without rounding to 8 bit."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-.45, .45, (3, 12, 2))
    phases, heights = rng.uniform(0, 7, (3, 12)), rng.uniform(.4, 1., (3, 12))
    y, x = np.mgrid[:size[0], :size[1]]
    frames = []
    for one in maps:
        at = np.linalg.inv(one[:, :2]) @ (np.stack([x.ravel(), y.ravel()]) - one[:, 2:])
        values = [(h[:, None] * np.sin(w @ at + p[:, None])).sum(axis=0) for w, p, h in zip(waves, phases, heights)]
        frames.append(np.stack(values).reshape(3, *size))
    return torch.from_numpy(0.5 + np.stack(frames) / 20).float().clamp(0, 1)


class ExactTracker:
    """Knows the motion; ``fault(scale, there, back, visible)`` may spoil its answer, px of the frames' own size.

    Corner centres stay corner centres in frames of another size.
    """

    def __init__(self, maps, size=SIZE, fault=None):
        self.maps, self.size, self.fault, self.calls = maps, size, fault, []

    def track(self, frames, queries):
        there, _, visible = self.track_both(frames, queries[:, [2, 1]])
        return Tracks(there, visible, queries, tuple(frames.shape[-2:]))

    def track_both(self, frames, points):
        self.calls.append((tuple(frames.shape), points.clone()))
        ratio = np.array([(frames.shape[-1] - 1) / (self.size[1] - 1), (frames.shape[-2] - 1) / (self.size[0] - 1)])
        own = points.double().numpy() / ratio
        there = np.stack([own @ one[:, :2].T + one[:, 2] for one in self.maps], axis=1)
        back, visible = there.copy(), np.ones(there.shape[:2])
        if self.fault:
            self.fault(round(float(ratio[0]), 1), there, back, visible)
        return tuple(torch.from_numpy(part).float() for part in (there * ratio, back * ratio, visible))
