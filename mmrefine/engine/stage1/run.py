"""Stage 1 over a whole data set: which pairs are missing, label them, fold the store."""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dist import get_dist_info
from torch import Tensor

from mmrefine.engine.runtime.machine import Machine
from mmrefine.engine.runtime.processes import together
from mmrefine.engine.runtime.read_ahead import ReadAhead
from mmrefine.engine.stage1.batches import scene_batches
from mmrefine.engine.stage1.outlook import Outlook
from mmrefine.engine.stage1.pair_quality import look_at_pair
from mmrefine.errors import ConfigError, NoLabelsError, TeacherError
from mmrefine.evaluation import speed_stats
from mmrefine.evaluation.labels.sums import LabelSums
from mmrefine.fileio.codecs.flow import as_stored
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.layout import wanted_of
from mmrefine.fileio.store.statistics import summarize
from mmrefine.labeling import FlowLabeler, Middle, PairLabels
from mmrefine.models import FrozenTeacher
from mmrefine.values import as_count


@dataclass(frozen=True)
class LabelRun:
    """What stage 1 did.

    Args:
        labels: labels in the store; fewer than the data set has pairs if only a part was asked for.
        made: how many of them this process made now (the others were there already, or other processes made them).
        kept: mean weight over all labels, in [0, 1].
        seconds: wall-clock time.
    """
    labels: int
    made: int
    kept: float
    seconds: float


def label_fingerprint(teacher: FrozenTeacher, labeler: FlowLabeler, dataset: Any, version: str, batch_size: int = 1) -> Dict[str, str]:
    """Everything that decides what the labels of ``dataset`` are, as short digests by name.

    ``teacher`` stands for the weights, ``reading`` for what the weights do not tell: the kind of network, its iterations, how frames
    are fed to it, and its shortcuts, if it takes any; with an early exit also the pairs of a batch, which stop together.
    """
    network = teacher.refiner
    reading = dict(network=type(network.estimator).__name__, iters=network.test_iters, frames=dict(vars(network.normalize)),
                   **teacher.shortcuts())
    if 'exit_below' in reading:
        reading['batch_size'] = batch_size
    return dict(
        teacher=teacher.digest(),
        reading=digest_of(reading),
        labeler=digest_of(labeler.describe()),
        frames=digest_of(dataset.digests()),
        pairs=digest_of(sorted(pair['key'] for pair in dataset.pairs)),
        version=version)


def backward_key(key: str) -> str:
    """The key of the same pair the other way round: ``scene/a__b`` -> ``scene/b__a``."""
    scene, _, pair = key.rpartition('/')
    first, _, second = pair.partition('__')
    return f'{scene}/{second}__{first}'


def make_labels(teacher: FrozenTeacher,
                labeler: FlowLabeler,
                dataset: Any,
                store: LabelStore,
                batch_size: int = 1,
                min_kept: float = 0.001,
                part: Tuple[int, int] = (1, 1),
                device: str = 'cpu',
                log: Callable[[str], None] = print,
                log_every: float = 10.,
                machine: Optional[Machine] = None,
                read_ahead: int = 1) -> LabelRun:
    """Label every pair of ``dataset`` that ``store`` lacks, and complete the store once it has all.

    The store is the same, byte for byte, whatever the number of processes and however often the run was killed: the batches are cut
    from the whole list of pairs before they are shared out, so each pair always meets the same companions. If one process fails,
    all raise its error.

    After a few pairs it tells what time, memory and disk all will take, and stops there if they do not fit: see
    :class:`~mmrefine.engine.stage1.outlook.Outlook`.

    Args:
        teacher: frozen.
        labeler: turns the teacher's output into labels.
        dataset: frame pairs without a pipeline; forward only if ``labeler`` labels both directions.
        store: where the labels go; created here.
        batch_size: pairs per forward pass; only neighbours of one scene share a pass.
        min_kept: least mean weight over the whole store, in [0, 1].
        part: (k, n), k from 1 to n: label only the k-th n-th of the batches, as one of n machines whose stores are merged later.
        device: where the teacher lives.
        log: called with one line of progress (rank 0).
        log_every: seconds between two of them.
        machine: what there is of memory and disk; default: what the system says.
        read_ahead: batches whose frames a thread of its own reads while the teacher computes, so that ``dataset`` belongs to it
            meanwhile; 0: each batch is read when its turn comes, without a thread. The labels are the same.

    Raises:
        ConfigError: a batch size below 1, a part that does not exist, both the data set and the labeler make the backward pairs, the
            labeler needs a third frame and the data set has no ``third_frame(i)``, it composes and the data set has no
            ``middle_frames(i)``, or the batches do not fit into memory.
        StaleLabelsError: the store was made with other settings.
        LabelStoreError: the store cannot be written, or the labels do not fit on its disk.
        TeacherError: the teacher's motion cannot be used; names the pair.
        NoLabelsError: less than ``min_kept`` survived.
    """
    batch_size = as_count('batch_size of the labels', batch_size)
    if not 1 <= part[0] <= part[1]:
        raise ConfigError(f'part of the labels must be k/n with k from 1 to n, got {part[0]}/{part[1]}')
    if labeler.directions == 'both' and any(pair['reverse'] for pair in dataset.pairs):
        raise ConfigError("the data set to label has directions='both' and so has the labeler, which would label each pair twice; "
                          "set directions='forward' in the data set")
    if labeler.needs_third and not hasattr(dataset, 'third_frame'):
        raise ConfigError(f'labeler.filters need a third frame of each scene, and {type(dataset).__name__} gives none; use FramePairs, '
                          'give the data set a method third_frame(i), or leave CompositeFilter out')
    if labeler.needs_middle and not hasattr(dataset, 'middle_frames'):
        raise ConfigError(f'labeler.view ({type(labeler.view).__name__}) needs the frames between the two of a pair, and '
                          f'{type(dataset).__name__} gives none; use FramePairs, give the data set a method middle_frames(i), or take '
                          'ArbitratedView')
    rank, world = get_dist_info()
    together(lambda: store.create() if rank == 0 else None)  # one sweeps what a killed run left, before the others write
    together(store.create)
    started = time.monotonic()
    keys = wanted_keys(dataset, labeler)
    together(lambda: store.expect(wanted_of(keys)) if rank == 0 else None)
    # decided pair by pair and not once: another run on the same store may complete it between two processes of this one
    batches = scene_batches(dataset.pairs, range(len(dataset.pairs)), batch_size)
    ours = _share(_share(batches, part[0] - 1, part[1]), rank, world)
    todo = [batch for batch in ours if not _all_made(dataset, labeler, store, batch)]
    progress = _Progress(log if rank == 0 else None, log_every, todo, world)
    machine = Machine(device) if machine is None else machine
    outlook = Outlook(teacher, labeler, dataset, store.root, todo, machine, log if rank == 0 else None)
    outlook.begin()
    made = together(lambda: _label(teacher, labeler, dataset, store, todo[:outlook.few], device, progress, read_ahead, outlook))
    outlook.judge()
    made += together(lambda: _label(teacher, labeler, dataset, store, todo[outlook.few:], device, progress, read_ahead))
    together(lambda: _complete(store, keys) if rank == 0 and all(store.has(key) for key in keys) else None)
    if not store.is_complete():
        there = [float(store.stats(key)['kept']) for key in keys if store.has(key)]
        return LabelRun(len(there), made, sum(there) / max(len(there), 1), time.monotonic() - started)
    kept = float(label_summary(store)['kept'])
    if kept < min_kept:
        raise NoLabelsError(f'{store.root}: only {kept:.3%} of the motion survived the checks, under min_kept={min_kept:.3%}; loosen '
                            'labeler.filters (alpha, beta, tolerance), check that the checkpoint belongs to the model, or look at the '
                            'frames (cuts, duplicates and flicker leave nothing to verify), then delete this folder and run again')
    return LabelRun(len(keys), made, kept, time.monotonic() - started)


def _share(batches: List[List[int]], which: int, count: int) -> List[List[int]]:
    """One of ``count`` equal runs of neighbours, which share their frames, numbered from 0."""
    ends = [-(-len(batches) * at // count) for at in (which, which + 1)]
    return batches[ends[0]:ends[1]]


def label_summary(store: LabelStore) -> Dict[str, Any]:
    """Means of the statistics over all labels of a complete store, and the same for each scene under ``scenes``."""
    summary = store.manifest['extra'].get('summary')
    return dict(summary) if summary else summarize((key, store.stats(key)) for key in store.keys())


def wanted_keys(dataset: Any, labeler: FlowLabeler) -> List[str]:
    """The keys of all labels that ``labeler`` makes of ``dataset``, in order."""
    return [key for pair in dataset.pairs for key in _keys_of(pair, labeler)]


def _keys_of(pair: Mapping[str, Any], labeler: FlowLabeler) -> List[str]:
    both = labeler.directions == 'both'
    return [pair['key'], backward_key(pair['key'])] if both else [pair['key']]


def _frame_names(items: Sequence[Mapping[str, Any]]) -> Tuple[List[str], List[str]]:
    """Names of the first and of the second frames; what two pairs share has one name."""
    first, second = [], []
    for key in (item['key'] for item in items):
        scene, _, pair = key.rpartition('/')
        frames = pair.split('__')
        # a name with two underscores of its own cannot be told apart from the other: then the pair shares nothing
        names = [f'{scene}/{frame}' for frame in frames] if len(frames) == 2 else [f'{key} 1', f'{key} 2']
        first.append(names[0])
        second.append(names[1])
    return first, second


@dataclass(frozen=True)
class _Read:
    """A batch with its frames: items of the data set, and for each the third frame of its scene and those between its two by name,
    if wanted and there."""
    batch: Sequence[int]
    items: Sequence[Any]
    thirds: Sequence[Optional[np.ndarray]]
    middles: Sequence[Mapping[str, np.ndarray]]


def _read(dataset: Any, labeler: FlowLabeler, store: LabelStore, batches: Iterable[Sequence[int]]) -> Iterator[_Read]:
    """The batches with their frames, or without any where all labels are there by now."""
    for batch in batches:
        items: List[Any] = []
        thirds: List[Optional[np.ndarray]] = []
        middles: List[Mapping[str, np.ndarray]] = []
        for i in () if _all_made(dataset, labeler, store, batch) else batch:  # a pair and its other frames are neighbours in a video
            items.append(dataset[i])
            middles.append(dataset.middle_frames(i) if labeler.needs_middle else {})
            thirds.append(dataset.third_frame(i) if labeler.needs_third else None)
        yield _Read(batch, items, thirds, middles)


def _all_made(dataset: Any, labeler: FlowLabeler, store: LabelStore, batch: Sequence[int]) -> bool:
    return all(store.has(key) for i in batch for key in _keys_of(dataset.pairs[i], labeler))


def _label(teacher: FrozenTeacher, labeler: FlowLabeler, dataset: Any, store: LabelStore, batches: Iterable[Sequence[int]],
           device: str, progress: '_Progress', read_ahead: int, outlook: Optional[Outlook] = None) -> int:
    made = 0
    apart = labeler.directions == 'forward' and any(pair['reverse'] for pair in dataset.pairs)
    began = None if outlook is None else outlook.machine.clock()
    with ReadAhead(_read(dataset, labeler, store, batches), read_ahead) as reading:
        for read in reading:
            if not read.items or _all_made(dataset, labeler, store, read.batch):
                progress.step(len(read.batch))  # another run on the same store has made them meanwhile
                continue
            keys = _label_batch(teacher, labeler, store, read, device, apart)
            if outlook is not None and began is not None:
                now = outlook.machine.clock()  # what had to be waited for counts
                outlook.add(read.batch, keys, now - began)
                began = now
            made += len(keys)
            progress.step(len(read.batch))
    return made


def _label_batch(teacher: FrozenTeacher, labeler: FlowLabeler, store: LabelStore, read: _Read, device: str, apart: bool) -> List[str]:
    """The keys of the labels that a batch gave, all of them in the store; ``apart``: the way back of a pair is a pair of its own."""
    items = read.items
    thirds = [None if third is None else as_frames([third], device)[0] for third in read.thirds]
    frames1, frames2 = (as_frames([item[name] for item in items], device) for name in ('frame1', 'frame2'))
    more: Dict[str, Any] = {}
    if labeler.needs_middle:
        more['middles'] = [[Middle(as_frames([frame], device)[0], f'{item["scene"]}/{name}') for name, frame in its.items()]
                           for item, its in zip(items, read.middles)]
    try:
        labels = labeler.label(teacher, frames1, frames2, thirds if labeler.needs_third else None, _frame_names(items), **more)
    except TeacherError as error:
        raise TeacherError(f"{', '.join(item['key'] for item in items)}: {error}") from error
    return [key for item, label in zip(items, labels) for key in _write_pair(store, item, label, apart)]


def _write_pair(store: LabelStore, item: Mapping[str, Any], label: PairLabels, apart: bool) -> List[str]:
    """Put the labels of a pair into the store, and with them what they are judged by, unless the way back is labelled ``apart``."""
    labels, stats = [label.forward], [{**label.stats, **speed_stats(label.forward)}]
    if label.backward is not None:
        labels.append(label.backward)
        stats.append({**(label.stats_backward or {}), **speed_stats(label.backward)})
    keys = [item['key'], backward_key(item['key'])][:len(labels)]
    sums: Sequence[Optional[LabelSums]] = [None] * len(labels)
    if not apart:
        frames1, frames2 = (as_frames([item[name]], 'cpu') for name in ('frame1', 'frame2'))
        sums = look_at_pair(frames1, frames2, [as_stored(its) for its in labels], stats)
    for key, its, its_stats, its_sums in zip(keys, labels, stats, sums):
        store.write(key, its, its_stats, None if its_sums is None else its_sums.plain())
    return keys


def _complete(store: LabelStore, keys: Sequence[str]) -> None:
    if not store.is_complete():
        store.finish(keys, extra=dict(summary=summarize((key, store.stats(key)) for key in keys)))


def as_frames(images: Sequence[np.ndarray], device: str) -> Tensor:
    """Images ``(H, W, 3)`` uint8 as a batch ``(B, 3, H, W)`` float32 in [0, 1]."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float() / 255


class _Progress:
    """A line every few seconds: how many, how fast, how long still."""

    def __init__(self, log: Optional[Callable[[str], None]], every: float, batches: Sequence[Sequence[int]], world: int) -> None:
        self.log, self.every, self.world = log, every, world
        self.total = sum(len(batch) for batch in batches)
        self.done, self.started = 0, time.monotonic()
        self.last = self.started

    def step(self, pairs: int) -> None:
        self.done += pairs
        now = time.monotonic()
        if self.log is None or (now - self.last < self.every and self.done < self.total):
            return
        self.last = now
        rate = self.done / max(now - self.started, 1e-9)
        left = round((self.total - self.done) / max(rate, 1e-9))
        share = f' of the first of {self.world} processes' if self.world > 1 else ''
        self.log(f'labels: {self.done}/{self.total} pairs{share}, {rate:.2f} pairs/s, {left // 60} min {left % 60:02d} s left')
