"""The code of docs/propagation.md runs as it stands there."""
from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jhmdb_trees import jhmdb_tree
from small_trees import FRAMES, SIZE

from mmrefine.fileio import read_ids, write_ids

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r'^```python\n(.*?)^```', (ROOT / 'docs/propagation.md').read_text(encoding='utf-8'),
                    re.MULTILINE | re.DOTALL)


def test_the_blocks_run_in_order(tmp_path, monkeypatch, trees, weights, mat_files, capsys):
    monkeypatch.chdir(tmp_path)
    mask = np.zeros(SIZE, np.uint8)
    mask[20:40, 30:60] = 2
    write_ids('first.png', mask)
    jhmdb_tree(tmp_path / 'data/JHMDB')
    names = {'my.mp4': str(trees['video']), 'configs/': f'{ROOT}/configs/',
             'work_dirs/my/refined.pth': str(weights['small'])}
    found = {}
    assert len(BLOCKS) == 3
    for block in BLOCKS:
        for name, there in names.items():
            block = block.replace(name, there)
        exec(compile(block, 'docs/propagation.md', 'exec'), found)
        if 'propagator' in found:
            found['propagator'].network.test_iters = 1
    assert np.array_equal(found['ids'][0], mask) and found['tracks'].points.shape == (1, FRAMES, 2)
    masks = sorted(Path('masks').iterdir())
    assert len(masks) == FRAMES and np.array_equal(read_ids(masks[0]), mask)
    assert re.search(r"'PCK@0.1_joints': [01]\.", capsys.readouterr().out)
