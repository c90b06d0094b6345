"""A run of the command `mmrefine refine` as a process, and what each of its phases takes, for time_to_refined.py.

The phases end when the command puts a file in place, so nothing of the command itself is asked, and any version of it
can be timed. Seconds of computing are sampled while it runs.
"""
from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np
import psutil

from mmrefine.errors import MMRefineError

EVERY = 0.2  # seconds between two looks at a process
# a phase ends when its file is there. The last one is the way out; the first reads the video and makes the forecast
ENDS = {'start': 'labels/fingerprint.json', 'labels': 'teacher.pth', 'training': 'iter_*.pth', 'guard': 'refined.pth',
        'report': 'report.json'}


@dataclass(frozen=True)
class TimedRun:
    """A process that has ended well.

    Args:
        began: seconds since the epoch, when it was started.
        ended: the same, when it had ended.
        samples: rows of seconds since the epoch and seconds of computing of the process, its children included, up to
            then; ``(N, 2)``, rising, the first and the last at ``began`` and ``ended``.
        memory: bytes, the most that the process and its children held together at a sample.
    """
    began: float
    ended: float
    samples: np.ndarray
    memory: int

    def cpu(self, first: float, last: float) -> float:
        """Seconds of computing between two moments, in seconds since the epoch; linear between samples."""
        before, after = np.interp([first, last], self.samples[:, 0], self.samples[:, 1])
        return float(after - before)


def watch(command: Sequence[str], folder: Path, env: Dict[str, str], log: Path) -> TimedRun:
    """Run a command to its end.

    Args:
        command: and its arguments.
        folder: where it runs.
        env: its environment.
        log: file for what it prints.

    Raises:
        MMRefineError: it failed; names the log and its last line.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open('w', encoding='utf-8') as out:
        began = time.time()
        process = psutil.Popen(list(command), cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
        samples, memory, spent = [(began, 0.)], 0, {}
        try:
            while process.poll() is None:
                memory = max(memory, _look(process, spent))
                samples.append((time.time(), sum(spent.values())))
                time.sleep(EVERY)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    ended = time.time()
    if process.returncode:
        lines = log.read_text(encoding='utf-8', errors='replace').split('\n')
        last = next((line for line in reversed(lines) if line.strip()), 'nothing was printed')
        raise MMRefineError(f'{" ".join(command)}: ended with status {process.returncode}: {last} (all of it: {log})')
    return TimedRun(began, ended, np.array([*samples, (ended, samples[-1][1])]), memory)


def _look(process: psutil.Process, spent: Dict[int, float]) -> int:
    """Note in ``spent`` the seconds of computing of a process and of its children so far, by process id; bytes that
    they hold. Of a child that has ended the last look counts."""
    memory = 0
    try:
        for one in [process, *process.children(recursive=True)]:
            with one.oneshot():
                times = one.cpu_times()
                spent[one.pid] = times.user + times.system
                memory += one.memory_info().rss
    except psutil.Error:  # it has ended meanwhile
        pass
    return memory


def phases(folder: Path, run: TimedRun) -> Dict[str, Dict[str, float]]:
    """Of each phase, and of all together (``whole``), seconds of the clock (``seconds``) and of computing (``cpu``).

    Args:
        folder: of results of the run, which held none before it.
        run: the process.

    Raises:
        MMRefineError: a phase left no file.
    """
    moments: List[Tuple[str, float]] = []
    for name, pattern in ENDS.items():
        found = [path.stat().st_mtime for path in folder.glob(pattern)]
        if not found:
            raise MMRefineError(f'{folder}: has no {pattern}, with which the phase {name!r} of a run ends; nothing was '
                                'learned, see its log')
        moments.append((name, max(found)))
    moments += [('end', run.ended)]
    record, last = {}, run.began
    for name, moment in moments:
        record[name] = _span(run, last, moment)
        last = moment
    return {**record, 'whole': _span(run, run.began, run.ended)}


def _span(run: TimedRun, first: float, last: float) -> Dict[str, float]:
    return dict(seconds=round(last - first, 2), cpu=round(run.cpu(first, last), 2))


def checkpoints(folder: Path, run: TimedRun) -> List[Dict[str, Any]]:
    """The students that a run left on the way, in their order: ``iter``, their file (``path``), and seconds of the
    clock and of computing from the start of the process until they were there."""
    found = [(int(path.stem.split('_')[1]), path) for path in folder.glob(ENDS['training'])]
    return [dict(iter=step, path=path, **_span(run, run.began, path.stat().st_mtime)) for step, path in sorted(found)]


def tree_of(revision: str, repository: Path, folder: Path) -> Path:
    """The files of a git revision, in a folder of its own in ``folder``; not unpacked again if it is there.

    Raises:
        MMRefineError: git is not there, or does not know the revision.
    """
    named = _git(repository, 'rev-parse', '--verify', f'{revision}^{{commit}}').decode().strip()
    tree = folder / named
    if not tree.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as temp:
            packed, files = Path(temp, 'tree.tar'), Path(temp, 'tree')
            packed.write_bytes(_git(repository, 'archive', named))
            files.mkdir()
            subprocess.run(['tar', '-xf', str(packed), '-C', str(files)], check=True)
            files.rename(tree)
    return tree


def _git(repository: Path, *arguments: str) -> bytes:
    try:
        return subprocess.run(['git', '-C', str(repository), *arguments], check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = ' '.join((getattr(error, 'stderr', None) or b'').decode('utf-8', 'replace').split()) or str(error)
        raise MMRefineError(f'git {" ".join(arguments)} in {repository}: {said}; name a revision of this repository '
                            'with --before, or leave the row "version before" out') from error


def python_of(tree: Path, env: Dict[str, str], threads: int = 0) -> Tuple[List[str], Dict[str, str]]:
    """How to start the command of the sources in ``tree``, and with which environment.

    Args:
        tree: where ``mmrefine`` lies.
        env: the environment to begin with.
        threads: that compute; 0: as the environment or the command chooses.
    """
    env = {key: value for key, value in env.items() if key != 'PYTHONSAFEPATH'}
    env.update(PYTHONPATH=str(tree), **(dict(OMP_NUM_THREADS=str(threads)) if threads else {}))
    return [sys.executable, '-m', 'mmrefine'], env
