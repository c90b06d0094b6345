"""Stage 1 over a whole data set: which pairs are missing, label them, fold the store."""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info
from torch import Tensor

from mmrefine.errors import NoLabelsError, TeacherError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.label_store import LabelStore
from mmrefine.labeling import FlowLabeler
from mmrefine.models import FrozenTeacher


@dataclass(frozen=True)
class LabelRun:
    """What stage 1 did.

    Args:
        labels: labels in the store.
        made: how many of them this run made (the others were there already).
        kept: mean weight over all labels, in [0, 1].
        seconds: wall-clock time.
    """
    labels: int
    made: int
    kept: float
    seconds: float


def label_fingerprint(teacher: FrozenTeacher, labeler: FlowLabeler, dataset: Any, version: str) -> Dict[str, str]:
    """Everything that decides what the labels of ``dataset`` are, as short digests by name."""
    return dict(
        teacher=teacher.digest(),
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
                device: str = 'cpu',
                log: Callable[[str], None] = print,
                log_every: float = 10.) -> LabelRun:
    """Label every pair of ``dataset`` that ``store`` lacks, and complete the store.

    The store is the same, byte for byte, whatever the number of processes and however often the run was killed: the batches are cut
    from the whole list of pairs before they are shared out, so each pair always meets the same companions.

    Args:
        teacher: frozen.
        labeler: turns the teacher's output into labels.
        dataset: frame pairs, forward only (:class:`~mmrefine.datasets.FramePairs` with ``pipeline=[]``).
        store: where the labels go; created here.
        batch_size: pairs per forward pass; only neighbours of one scene share a pass.
        min_kept: least mean weight over the whole store, in [0, 1].
        device: where the teacher lives.
        log: called with one line of progress (rank 0).
        log_every: seconds between two of them.

    Raises:
        StaleLabelsError: the store was made with other settings.
        TeacherError: the teacher's motion cannot be used; names the pair.
        NoLabelsError: less than ``min_kept`` survived.
    """
    rank, world = get_dist_info()
    if rank == 0:
        store.create()
    barrier()
    if rank != 0:
        store.create()
    started = time.monotonic()
    keys = wanted_keys(dataset, labeler)
    if not store.is_complete():
        batches = _cut(dataset.pairs, batch_size)
        todo = [b for b in batches[rank::world] if not all(store.has(k) for i in b for k in _keys_of(dataset.pairs[i], labeler))]
        made = _label(teacher, labeler, dataset, store, todo, device, _Progress(log if rank == 0 else None, log_every, todo, world))
        barrier()
        if rank == 0:
            store.finish(keys, extra=dict(summary=_summary(store, keys)))
        barrier()
    else:
        made = 0
    kept = float(store.manifest['summary']['kept'])
    if kept < min_kept:
        raise NoLabelsError(f'{store.root}: only {kept:.3%} of the motion survived the checks, under min_kept={min_kept:.3%}; loosen '
                            'labeler.filters (alpha, beta, tolerance), check that the checkpoint belongs to the model, or look at '
                            'the frames: cuts, duplicates and flicker leave nothing to verify')
    return LabelRun(len(keys), made, kept, time.monotonic() - started)


def wanted_keys(dataset: Any, labeler: FlowLabeler) -> List[str]:
    """The keys of all labels that ``labeler`` makes of ``dataset``, in order."""
    return [key for pair in dataset.pairs for key in _keys_of(pair, labeler)]


def _keys_of(pair: Dict[str, Any], labeler: FlowLabeler) -> List[str]:
    both = labeler.directions == 'both'
    return [pair['key'], backward_key(pair['key'])] if both else [pair['key']]


def _cut(pairs: Sequence[Dict[str, Any]], batch_size: int) -> List[List[int]]:
    """Indices in batches that never mix scenes (whose frames may differ in size)."""
    batches: List[List[int]] = []
    for i, pair in enumerate(pairs):
        if batches and len(batches[-1]) < batch_size and pairs[batches[-1][0]]['scene'] == pair['scene']:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _label(teacher: FrozenTeacher, labeler: FlowLabeler, dataset: Any, store: LabelStore, batches: Iterable[Sequence[int]],
           device: str, progress: '_Progress') -> int:
    made = 0
    for batch in batches:
        items = [dataset[i] for i in batch]
        frames1, frames2 = (as_frames([item[name] for item in items], device) for name in ('frame1', 'frame2'))
        try:
            labels = labeler.label(teacher, frames1, frames2)
        except TeacherError as error:
            raise TeacherError(f"{', '.join(item['key'] for item in items)}: {error}") from error
        for item, label in zip(items, labels):
            store.write(item['key'], label.forward, label.stats)
            if label.backward is not None:
                store.write(backward_key(item['key']), label.backward, label.stats_backward or {})
            made += 1 + (label.backward is not None)
        progress.step(len(batch))
    return made


def as_frames(images: Sequence[np.ndarray], device: str) -> Tensor:
    """Images ``(H, W, 3)`` uint8 as a batch ``(B, 3, H, W)`` float32 in [0, 1]."""
    return torch.from_numpy(np.stack(images)).to(device).permute(0, 3, 1, 2).float() / 255


def _summary(store: LabelStore, keys: Sequence[str]) -> Dict[str, float]:
    """Means over all labels of what each one's statistics say; rounded, so that the order of addition does not show."""
    stats = [store.stats(key) for key in keys]
    return {name: round(sum(s[name] for s in stats) / len(stats), 6) for name in sorted(stats[0])}


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
        left = int((self.total - self.done) / max(rate, 1e-9))
        share = f' (1 of {self.world} processes)' if self.world > 1 else ''
        self.log(f'labels: {self.done}/{self.total} pairs{share}, {rate:.2f} pairs/s, {left // 60:d} min {left % 60:02d} s left')
