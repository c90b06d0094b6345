"""Damaged inputs, drawn at random, are refused in one sentence, mended, or other valid files; never anything else."""
from __future__ import annotations

import importlib
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Iterator

import pytest
from small_trees import ROOT

from mmrefine.errors import InputError

INPUTS = 1200


@pytest.fixture(scope='module')
def fuzz() -> Iterator[ModuleType]:
    """The module of ``benchmarks/fuzz.py``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when it is run: it imports the file beside it
        yield importlib.import_module('fuzz')
        for name in ('fuzz', 'fuzz_readers'):
            sys.modules.pop(name, None)


def test_no_damage_ends_in_anything_but_a_sentence(fuzz: ModuleType, tmp_path: Path) -> None:
    counts, faults = fuzz.Bench(tmp_path, 1).run(0, INPUTS)
    assert not faults, faults[:5]
    total: Counter = sum(counts.values(), Counter())
    assert total['inputs'] == INPUTS == sum(total[kind] for kind in fuzz.KINDS[1:])
    assert all(counter['inputs'] > 20 for counter in counts.values())  # each reader had its share
    assert all(counter['refused'] > 0 for name, counter in counts.items() if name != 'resume')


def test_the_same_number_gives_the_same_input_and_a_run_can_be_split(fuzz: ModuleType, tmp_path: Path) -> None:
    bench = fuzz.Bench(tmp_path, 2)
    whole, parts = bench.run(0, 40)[0], [bench.run(first, 20)[0] for first in (0, 20)]
    assert all(whole[name] == parts[0][name] + parts[1][name] for name in whole)


def test_faults_of_each_kind_are_found(fuzz: ModuleType, tmp_path: Path) -> None:
    """Readers with a fault each: another error, more than a line, a changed file that is accepted, an endless loop."""

    def lines(root: Path) -> None:
        if _changed(root):
            raise InputError('two\nlines')

    def endless(root: Path) -> None:
        while _changed(root):
            pass

    def divide(root: Path) -> float:
        return 1 / (not _changed(root))

    limit = fuzz.LIMIT
    for read, sealed, result in ((divide, False, 'another error'), (lines, False, 'another error'),
                                 (endless, False, 'longer than 5 s'), (_changed, True, 'accepted although changed')):
        fuzz.LIMIT = 0.3 if read is endless else limit  # the alarm also rings for whatever a busy machine delays
        bench = fuzz.Bench(tmp_path / f'{read.__name__}{sealed}', 0)
        bench.readers = {'mask': bench.readers['mask']._replace(read=read, sealed=sealed)}
        bench.whole = {'mask': fuzz.plain(False if read is _changed else None)}
        counts, faults = bench.run(0, 3)
        assert len(faults) == counts['mask'][result] == 3, (read, counts)


def _changed(root: Path) -> bool:
    return (root / 'a.png').read_bytes() != (root.parent / 'whole/mask/a.png').read_bytes()
