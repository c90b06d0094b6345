"""Damage inputs at random and see what their readers say: files that are refused in one sentence, or mended, or valid
files of other contents; never another error, a hang, a crash, or a changed file that its checksums should have told.

    python benchmarks/fuzz.py --inputs 100000

Input number n depends on the seed and on n alone, so a run can be split (``--first``), and a fault can be repeated
(``--first N --inputs 1``). A table of counts is printed; the exit status is 1 if there was any fault.
"""
from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import torch
from fuzz_readers import copy_into, damaged, plain, readers

from mmrefine.apis.commands import run_command
from mmrefine.errors import MMRefineError

LIMIT = 5.  # s for one input
SHARE = 500  # inputs of a child process, so that a crash ends no more
KINDS = ('inputs', 'refused', 'as before', 'another valid file')
FAULTS = ('accepted although changed', 'another error', 'longer than 5 s', 'crash')
Result = Tuple[Dict[str, Counter], List[str]]


class Hang(BaseException):
    """An input takes too long."""


class Bench:
    """Whole inputs, and what their readers make of damaged ones."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.seed, self.readers = folder, seed, readers()
        self.files: Dict[str, List[str]] = {}
        self.whole: Dict[str, Any] = {}
        pool = []
        for name, reader in self.readers.items():
            root = folder / 'whole' / name
            root.mkdir(parents=True)
            self.files[name] = [path.relative_to(root).as_posix() for path in reader.make(root)]
            pool += [(root / file).read_bytes() for file in self.files[name]]
            copy_into(root, folder / 'now')
            self.whole[name] = plain(reader.read(folder / 'now'))
        self.pool = sorted(pool, key=len)[:-2]

    def outcome(self, number: int) -> Tuple[str, str, str]:
        """The reader of an input, what came of it, and a line about a fault."""
        draw = random.Random(self.seed * 1_000_003 + number)
        name = draw.choice(list(self.readers))
        file, place = draw.choice(self.files[name]), self.folder / 'now'
        copy_into(self.folder / 'whole' / name, place)
        before = (place / file).read_bytes()
        data = damaged(before, draw, self.pool)
        (place / file).write_bytes(data)
        line = f'{name}, input {number}, {file}'
        begun = time.monotonic()
        try:
            found = plain(self.readers[name].read(place))
        except MMRefineError as error:
            one_line = str(error) and '\n' not in str(error)
            result, more = ('refused', '') if one_line else ('another error', f'{line}: not one line: {error!r}')
        except Hang:
            return name, 'longer than 5 s', line
        except Exception as error:
            place_of = traceback.extract_tb(error.__traceback__)[-1]
            return name, 'another error', f'{line}: {type(error).__name__}: {str(error)[:100]} ({place_of.filename}:' \
                                          f'{place_of.lineno})'
        else:
            same = found == self.whole[name]
            result, more = ('as before' if same else 'another valid file'), ''
            if not same and self.readers[name].sealed:
                result, more = 'accepted although changed', line
        return (name, 'longer than 5 s', line) if time.monotonic() - begun > LIMIT else (name, result, more)

    def run(self, first: int, count: int, at: Any = None) -> Result:
        """The outcomes of inputs ``first`` to ``first + count - 1``; the one in progress is noted in ``at``."""
        counts: Dict[str, Counter] = {name: Counter() for name in self.readers}
        lines: List[str] = []
        with _quick(), _alarm() as restart:
            for number in range(first, first + count):
                if at is not None:
                    at.value = number
                restart()
                name, result, line = self.outcome(number)
                counts[name].update(('inputs', result))
                lines += [line] if line else []
        return counts, lines


@contextlib.contextmanager
def _quick() -> Iterator[None]:
    """No waiting for the disk, and nothing that libraries print."""
    fsync = os.fsync
    setattr(os, 'fsync', lambda handle: None)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        setattr(os, 'fsync', fsync)


@contextlib.contextmanager
def _alarm() -> Iterator[Any]:
    """A clock that interrupts an input that takes too long, as far as it can be interrupted."""

    def ring(number: int, frame: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_REAL, 2 * LIMIT)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def in_children(bench: Bench, first: int, count: int) -> Result:
    """``bench.run`` in child processes: one that crashes is counted, and the next goes on behind it."""
    counts: Dict[str, Counter] = {name: Counter() for name in bench.readers}
    lines: List[str] = []
    todo = [(at, min(SHARE, first + count - at)) for at in range(first, first + count, SHARE)]
    context = multiprocessing.get_context('fork')
    while todo:
        begin, number = todo.pop(0)
        at, (here, there) = context.Value('q', begin), context.Pipe(duplex=False)

        def work() -> None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libpng, libjpeg and FFmpeg print there
            there.send(bench.run(begin, number, at))

        child = context.Process(target=work)
        child.start()
        there.close()
        try:
            found, more = here.recv()
        except EOFError:
            lines.append(f'input {at.value}: crash')
            counts[next(iter(counts))].update(('crash', ))
            todo[:0] = [part for part in ((begin, at.value - begin), (at.value + 1, begin + number - at.value - 1))
                        if part[1] > 0]
        else:
            lines += more
            for name, counter in found.items():
                counts[name].update(counter)
        child.join()
    return counts, lines


def table(counts: Dict[str, Counter]) -> str:
    """The counts in Markdown."""
    heads = (*KINDS, *FAULTS)
    total: Counter = sum(counts.values(), Counter())
    rows = [[name, *(str(counter[head]) for head in heads)] for name, counter in [*counts.items(), ('all', total)]]
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [['read as', *heads], ['---'] * (len(heads) + 1), *rows])


def main() -> int:
    """Run the inputs, print the table and the faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--inputs', type=int, default=2000, help='how many (default: 2000)')
    parser.add_argument('--first', type=int, default=0, help='number of the first one (default: 0)')
    parser.add_argument('--seed', type=int, default=0, help='default: 0')
    args = parser.parse_args()
    torch.set_num_threads(1)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counts, lines = in_children(Bench(Path(folder), args.seed), args.first, args.inputs)
    print(table(counts))
    print(f'\n{args.inputs} inputs in {time.monotonic() - begun:.0f} s; {len(lines)} faults')
    print('\n'.join(lines[:50]))
    return 1 if lines else 0


if __name__ == '__main__':
    run_command(main)
