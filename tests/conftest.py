"""What all tests share: seeds, and the folder of real inputs."""
from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Iterator

import mmengine.config.config
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope

# A GPU gives other bytes than a CPU, and forked processes cannot use one:
# only `MMREFINE_TEST_GPU=1 pytest tests/test_gpu.py` does.
if not os.environ.get('MMREFINE_TEST_GPU'):
    os.environ['CUDA_VISIBLE_DEVICES'] = ''

# MMEngine lays out the config of each run five times, which takes longer than the runs of most tests
mmengine.config.config.FormatCode = lambda text, **options: (text, True)

# fixtures that several folders of tests share: small_runs.material, small_trees.trees and weights,
# jhmdb_trees.mat_files
pytest_plugins = ['small_runs', 'small_trees', 'jhmdb_trees']

SHARED_DATA = Path(__file__).resolve().parents[2] / 'shared' / 'data'


@pytest.fixture(autouse=True)
def seeds() -> None:
    """Every test starts from the same random state, alone or in company."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def default_scope() -> Iterator[None]:
    """A runner sets MMEngine's default scope for the whole process; the next test must not inherit it."""
    DefaultScope._instance_dict.clear()
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder with real frames, weights and official oracles."""
    if not SHARED_DATA.is_dir():
        pytest.skip('the folder shared/data with real inputs is not beside the repository')
    return SHARED_DATA
