"""A tiny JHMDB in its layout, with SciPy or with what stands in for it where it is not installed."""
from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from mmrefine.fileio import write_image, write_joint_positions

SIZE, JOINTS = (24, 32), 15


@pytest.fixture
def mat_files(monkeypatch):
    """Whether ``.mat`` are written by SciPy itself."""
    if importlib.util.find_spec('scipy') is not None:
        return True
    stand_in = SimpleNamespace(savemat=lambda file, arrays: np.savez(file, **arrays),
                               loadmat=lambda file, variable_names: {
                                   name: value for name, value in np.load(file).items() if name in variable_names})
    for name, module in (('scipy', SimpleNamespace(io=stand_in)), ('scipy.io', stand_in)):
        monkeypatch.setitem(sys.modules, name, module)
    return False


def joints(seed, frames):
    """``(T, 15, 2)`` px inside of the frame, but for joint 3, which is outside of the first frame."""
    points = np.random.default_rng(seed).uniform(0, 23, (frames, JOINTS, 2))
    points[0, 3] = -2., 5.
    return points


def jhmdb_tree(root):
    """Two videos of a class, one of each part; ``a`` has a frame more than joints, ``b`` is for training."""
    for seed, (name, frames) in enumerate((('a', 5), ('b', 3))):
        known = joints(seed, frames - 1 if name == 'a' else frames)
        write_joint_positions(root / f'joint_positions/catch/{name}/joint_positions.mat', known)
        for t in range(frames):
            write_image(root / f'Rename_Images/catch/{name}/{t + 1:05d}.png', np.full((*SIZE, 3), 10 * t, np.uint8))
    (root / 'splits').mkdir()
    (root / 'splits/catch_test_split1.txt').write_text('a.avi 2\nb.avi 1\n\n')
    return root
