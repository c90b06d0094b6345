"""Stage 1 over a whole source of video: share out, skip what is there, label, write, finish."""
from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, Callable, Collection, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from mmengine.dist import get_dist_info

from mmrefine.engine.runtime.machine import Machine
from mmrefine.engine.runtime.processes import together
from mmrefine.engine.runtime.progress import Progress
from mmrefine.engine.runtime.read_ahead import ReadAhead
from mmrefine.engine.stage1.outlook import Outlook
from mmrefine.engine.stage1.scene_batches import scene_batches
from mmrefine.errors import ConfigError, NoLabelsError, TeacherError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.layout import by, fingerprint_of, wanted_of
from mmrefine.fileio.store.statistics import summarize
from mmrefine.registry import LABEL_JUDGES
from mmrefine.structures import LabelBatch, Labeled, Labeler, LabelJudge, LabelSource, LabelUnit, Teacher, name_units
from mmrefine.values import as_count

Batch = Sequence[LabelUnit]


@dataclass(frozen=True)
class LabelRun:
    """What stage 1 did.

    Args:
        labels: labels in the store; fewer than the source gives if only a part was asked for.
        made: how many of them this process made now (the others were there already, or other processes made them).
        kept: mean weight over all labels, in [0, 1].
        seconds: wall-clock time.
    """
    labels: int
    made: int
    kept: float
    seconds: float


def label_fingerprint(teacher: Teacher, labeler: Labeler, source: LabelSource, version: str,
                      batch_size: int = 1) -> Dict[str, str]:
    """Everything that decides what the labels of ``source`` are, as short digests by name.

    ``teacher`` stands for the weights, ``reading`` for what the weights do not tell, see ``Teacher.describe``; of a
    teacher whose answers depend on which units share a pass (``depends_on_batch``) also the size of a batch.
    """
    reading = dict(teacher.describe())
    if getattr(teacher, 'depends_on_batch', False):
        reading['batch_size'] = batch_size
    made_from = dict(
        teacher=teacher.digest(),
        reading=digest_of(reading),
        labeler=digest_of(labeler.describe()),
        frames=digest_of(source.digests()),
        pairs=digest_of_units(source.units),
        version=version)
    return fingerprint_of(made_from, labeler.codec.kind)


def digest_of_units(units: Sequence[LabelUnit]) -> str:
    """What identifies the units that are labelled, by their keys."""
    return digest_of(sorted(unit.key for unit in units))


def judge_of(kind: str) -> Optional[LabelJudge]:
    """What judges labels of this kind; None if nothing does."""
    LABEL_JUDGES.import_from_location()
    part = LABEL_JUDGES.module_dict.get(kind)
    return None if part is None else part()


def wanted_keys(source: LabelSource, labeler: Labeler) -> List[str]:
    """The keys of all labels that ``labeler`` makes of ``source``, in order.

    Raises:
        ConfigError: two labels would have one key; of frames whose names hold ``__``, or because both the data set and
            the labeler make the backward pairs.
    """
    keys = [key for unit in source.units for key in labeler.keys(unit)]
    if len(set(keys)) < len(keys):
        twice = next(key for key, count in Counter(keys).items() if count > 1)
        named = [unit for unit in source.units if twice in labeler.keys(unit)]
        if len({frozenset(unit.names) for unit in named}) > 1:
            raise ConfigError(f'the label {twice} would be that of the frames {" and ".join(named[0].names)}, and that '
                              f'of {" and ".join(named[1].names)}; rename these frames')
        raise ConfigError(f'the labeler would make {len(keys) - len(set(keys))} labels of the data set twice, the '
                          f"first is {twice}; if both have directions='both', set directions='forward' in the data set")
    return keys


def make_labels(teacher: Teacher,
                labeler: Labeler,
                source: LabelSource,
                store: LabelStore,
                batch_size: int = 1,
                min_kept: float = 0.001,
                part: Tuple[int, int] = (1, 1),
                device: str = 'cpu',
                log: Callable[[str], None] = print,
                log_every: float = 10.,
                machine: Optional[Machine] = None,
                read_ahead: int = 1,
                labelled_by: str = '') -> LabelRun:
    """Label every unit of ``source`` that ``store`` lacks, and complete the store once it has all.

    The store is the same, byte for byte, whatever the number of processes and however often the run was killed: the
    batches are cut from the whole list of units before they are shared out, so each unit always shares its pass with
    the same others. If one process fails, all raise its error.

    After a few batches it forecasts what time, memory and disk all will take, and stops there if they do not fit: see
    :class:`~mmrefine.engine.stage1.outlook.Outlook`.

    Args:
        teacher: frozen.
        labeler: turns what the teacher sees into labels.
        source: frame pairs or clips without a pipeline; forward only if ``labeler`` labels both directions.
        store: where the labels go; created here.
        batch_size: units per forward pass; only neighbours of one scene share a pass.
        min_kept: least mean weight over the whole store, in [0, 1].
        part: (k, n), k from 1 to n: label only the k-th n-th of the batches, as one of n machines whose stores are
            merged later.
        device: where the teacher lives.
        log: called with one line of progress (rank 0).
        log_every: seconds between two of them.
        machine: what there is of memory and disk; default: what the system says.
        read_ahead: batches whose frames a thread of its own reads while the teacher computes, so that ``source``
            belongs to it meanwhile; 0: each batch is read when its turn comes, without a thread. The labels are the
            same.
        labelled_by: who the teacher is, in words, for the manifest.

    Raises:
        ConfigError: a batch size below 1, a part that does not exist, both the data set and the labeler make the
            backward pairs, or the batches do not fit into memory.
        StaleLabelsError: the store was made with other settings.
        LabelStoreError: the store cannot be written, or the labels do not fit on its disk.
        InputError: the teacher reads files that do not fit ``source`` (``check_source``).
        TeacherError: the teacher's motion cannot be used; names the units.
        NoLabelsError: less than ``min_kept`` survived.
    """
    batch_size = as_count('batch_size of the labels', batch_size)
    if not 1 <= part[0] <= part[1]:
        raise ConfigError(f'part of the labels must be k/n with k from 1 to n, got {part[0]}/{part[1]}')
    keys = wanted_keys(source, labeler)
    if hasattr(teacher, 'check_source'):
        teacher.check_source(source)
    rank, world = get_dist_info()
    # one sweeps what a killed run left, before the others write
    together(lambda: store.create() if rank == 0 else None)
    together(store.create)
    started = time.monotonic()
    together(lambda: store.expect(wanted_of(keys, labelled_by)) if rank == 0 else None)
    # decided unit by unit and not once: another run on the same store may complete it between two processes of this one
    ours = _share(_share(_batches(source, batch_size), part[0] - 1, part[1]), rank, world)
    run = _Run(teacher, labeler, source, store, device, keys)
    todo = [batch for batch in ours if not run.has_made(batch)]
    log = log if rank == 0 else lambda line: None
    share = f' of the first of {world} processes' if world > 1 else ''
    name = name_units(source.units).split()[-1]
    progress = Progress(f'labels: {{}} {name}{share}', sum(map(len, todo)), log, log_every, end=True)
    outlook = Outlook(teacher, labeler, source, store, todo, machine or Machine(device), log)
    outlook.begin()
    few = todo[:outlook.few]
    made = together(lambda: run.label(few, read_ahead, progress, outlook))
    outlook.judge()
    rest = progress.beyond(sum(map(len, few)))
    made += together(lambda: run.label(todo[outlook.few:], read_ahead, rest))
    # of a run that makes all labels, one that is missing now was damaged meanwhile, which finish() refuses
    whole = part[1] == 1 or all(map(store.has, keys))
    together(lambda: _complete(store, keys, labelled_by) if rank == 0 and whole else None)
    if not store.is_complete():
        there = [float(store.stats(key)['kept']) for key in keys if store.has(key)]
        return LabelRun(len(there), made, sum(there) / max(len(there), 1), time.monotonic() - started)
    kept = float(label_summary(store)['kept'])
    if kept < min_kept:
        raise NoLabelsError(f'{store.root}: only {kept:.3%} of the motion survived the checks, under '
                            f'min_kept={min_kept:.3%}; loosen labeler.filters, check that the '
                            'checkpoint belongs to the model, or look at the frames (cuts, duplicates and flicker '
                            'leave nothing to verify), then delete this folder and run again')
    return LabelRun(len(keys), made, kept, time.monotonic() - started)


def label_summary(store: LabelStore) -> Dict[str, Any]:
    """Means of the statistics over all labels of a complete store, and the same for each scene under ``scenes``."""
    summary = store.manifest['extra'].get('summary')
    return dict(summary) if summary else summarize((key, store.stats(key)) for key in store.keys())


def _batches(source: LabelSource, batch_size: int) -> List[Batch]:
    units = list(source.units)
    return [[units[i] for i in batch]
            for batch in scene_batches([unit.scene for unit in units], range(len(units)), batch_size)]


def _share(batches: List[Batch], which: int, count: int) -> List[Batch]:
    """One of ``count`` equal runs of neighbours, which share their frames, numbered from 0."""
    ends = [-(-len(batches) * at // count) for at in (which, which + 1)]
    return batches[ends[0]:ends[1]]


def _complete(store: LabelStore, keys: Sequence[str], labelled_by: str) -> None:
    if not store.is_complete():
        store.finish(keys, dict(summary=summarize((key, store.stats(key)) for key in keys), **by(labelled_by)))


class _Run:
    """What one process does with its batches; ``wanted`` are the keys of all labels of the store."""

    def __init__(self, teacher: Teacher, labeler: Labeler, source: LabelSource, store: LabelStore, device: str,
                 wanted: Collection[str]) -> None:
        self.teacher, self.labeler, self.source, self.store, self.device = teacher, labeler, source, store, device
        self.wanted = frozenset(wanted)
        self.judge = judge_of(labeler.codec.kind)

    def has_made(self, batch: Batch) -> bool:
        """Whether the store has all labels of a batch."""
        return all(self.store.has(key) for unit in batch for key in self.labeler.keys(unit))

    def label(self, batches: Iterable[Batch], read_ahead: int, progress: Callable[[int], None],
              outlook: Optional[Outlook] = None) -> int:
        """Label what is missing of these batches; how many labels were made."""
        made = done = 0
        began = None if outlook is None else outlook.machine.clock()
        with ReadAhead(map(self._read, batches), read_ahead) as reading:
            for batch in reading:
                units = batch.units
                # else another run on the same store has made them meanwhile
                if batch.frames and not self.has_made(units):
                    keys = self._label_batch(batch)
                    made += len(keys)
                    if outlook is not None and began is not None:
                        now = outlook.machine.clock()  # what had to be waited for counts
                        outlook.add(units, keys, now - began)
                        began = now
                done += len(units)
                progress(done)
        return made

    def _read(self, units: Batch) -> LabelBatch:
        """The units with their frames, or without any where all labels are there by now."""
        frames: List[Mapping[int, Any]] = []
        names: List[Mapping[int, str]] = []
        for unit in () if self.has_made(units) else units:
            extra = self.labeler.extra_frames(unit, partial(self.source.usable, unit.scene, beside=unit.frames[0]))
            numbers = [*unit.frames, *extra]  # neighbours in a video
            frames.append({number: self.source.frame(unit.scene, number) for number in numbers})
            names.append({number: self.source.frame_name(unit.scene, number) for number in numbers})
        return LabelBatch(units, frames, names, self.device)

    def _label_batch(self, batch: LabelBatch) -> List[str]:
        """The keys of the labels that a batch gave, all of them in the store."""
        try:
            labels = {label.key: label for label in self.labeler.label(self.teacher, batch)}
        except TeacherError as error:
            raise TeacherError(f"{', '.join(unit.key for unit in batch.units)}: {error}") from error
        wanted = [key for unit in batch.units for key in self.labeler.keys(unit)]
        if list(labels) != wanted:
            raise ValueError(f'{type(self.labeler).__name__}.label() must give the labels {wanted}, as keys() says, '
                             f'got {list(labels)}')
        written = []
        for unit, frames in zip(batch.units, batch.frames):
            found = [labels[key] for key in self.labeler.keys(unit)]
            judged: List[Tuple[Labeled, Optional[Mapping[str, Any]]]] = [(label, None) for label in found]
            if self.judge is not None:
                judged = self.judge.look(unit, frames, found, self.wanted)
            for label, quality in judged:
                self.store.write(label.key, label.label, label.statistics, quality)
                written.append(label.key)
        return written
