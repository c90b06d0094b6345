"""Whoever writes, and whenever it is killed: the finished store is the same to the byte."""
from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Dict, Iterable, List

import pytest
from helpers_fileio import die_at, in_child, label, tree

from mmrefine.fileio import LabelStore
from mmrefine.fileio.store.layout import wanted_of

KEYS = [f'scene {at % 2}/{at:02d}__{at + 1:02d}' for at in range(24)]


def write_missing(root: Path, keys: Iterable[str]) -> LabelStore:
    """What a labelling run does: go on where the last one stopped."""
    store = LabelStore(root, {'teacher': 'aaaa'})
    store.create()
    store.expect(wanted_of(KEYS))
    for key in keys:
        if not store.has(key):
            at = KEYS.index(key)
            store.write(key, label(at, soft=at % 3 == 1), {'kept': at / 7}, {'weight': at / 3})
    return store


def run(root: Path, keys: List[str]) -> None:
    write_missing(root, keys).finish(keys, {'frames': len(keys)})


def uninterrupted(root: Path, keys: List[str]) -> Dict[str, bytes]:
    run(root, keys)
    return tree(root)


def test_a_run_killed_at_any_of_its_steps_and_resumed_gives_the_same_bytes(tmp_path: Path) -> None:
    keys, ends, tidied = KEYS[:3], [], 0
    wanted = uninterrupted(tmp_path / 'whole', keys)
    for step in range(40):
        root = tmp_path / f'killed {step}'
        ends.append(in_child(die_at(step, lambda: run(root, keys))))
        if ends[-1] == 0:
            break
        if (root / 'manifest.json').exists():  # labelling was over: a run that only looks has to tidy up
            assert tree(root) != wanted
            LabelStore(root, {'teacher': 'aaaa'}).create()
            tidied += 1
        else:
            run(root, keys)
        assert tree(root) == wanted, f'step {step}'
    # fingerprint, wanted, 3 x (flow, statistics) and one file of weights, quality, manifest, then 4 removals: at least
    # 15 steps
    assert len(ends) > 15 and set(ends[:-1]) == {-signal.SIGKILL} and ends[-1] == 0
    assert tidied == 4 and 'quality.json' in wanted and 'wanted.json' not in wanted


@pytest.mark.parametrize('seed', [0, 1])
def test_a_run_killed_at_random_moments_gives_the_same_bytes(tmp_path: Path, seed: int) -> None:
    wanted = uninterrupted(tmp_path / 'whole', KEYS)
    clock, progress = random.Random(seed), []
    for _ in range(6):
        in_child(lambda: run(tmp_path / 'killed', KEYS), kill_after=clock.uniform(0.005, 0.06))
        if (tmp_path / 'killed' / 'fingerprint.json').exists():
            progress.append(len(LabelStore(tmp_path / 'killed', {'teacher': 'aaaa'}).keys()))
    assert progress == sorted(progress)  # nothing whole is ever lost
    run(tmp_path / 'killed', KEYS)
    assert tree(tmp_path / 'killed') == wanted


def test_several_writers_give_the_bytes_of_one(tmp_path: Path) -> None:
    wanted = uninterrupted(tmp_path / 'one', KEYS)
    root = tmp_path / 'several'
    pids = []
    for rank in range(3):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                write_missing(root, KEYS[rank::3])
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    run(root, KEYS)
    assert tree(root) == wanted
