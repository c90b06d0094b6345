"""What benchmarks that teach many students share: a small network,
taught for a short while on labels that are in memory.
"""
from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
import torch
from torch import Tensor

from mmrefine.config.load import load_config
from mmrefine.errors import MMRefineError
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.models import FlowRefiner
from mmrefine.registry import TRANSFORMS

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'demo' / 'raft_small_target.py'
BATCH = 4


class Lesson(NamedTuple):
    """A frame pair and what is said of it: ``(3, H, W)`` in [0, 1] twice, ``(2, H, W)`` px, ``(1, H, W)``, and what
    share of the frame lies under something that never changes in its scene.
    """
    frame1: Tensor
    frame2: Tensor
    flow: Tensor
    weight: Tensor
    overlaid: float = 0.


def recipe_digest() -> str:
    """Of all that decides how :func:`teach` teaches, but for its arguments."""
    return digest_of([digest_of_bytes(path.read_bytes()) for path in (CONFIG, Path(__file__))])


def teach(teacher: FlowRefiner, lessons: Sequence[Lesson], rate: float, steps: int,
          pipeline: Optional[Sequence[Dict[str, Any]]] = None) -> FlowRefiner:
    """A student of the teacher, taught as the demo teaches: its augmentations, AdamW, bfloat16, a rate that rises for a
    tenth of the steps to ``rate`` and falls to 0.

    The same arguments give the same student. One that diverges is returned as it was before it did. ``pipeline`` are
    the configs of other augmentations.
    """
    student = copy.deepcopy(teacher)
    # the first transform reads a label from a store; these labels are in memory
    parts = load_config(CONFIG).train_pipeline[1:] if pipeline is None else pipeline
    augment = [TRANSFORMS.build({'_scope_': 'mmrefine', **part}) for part in parts]
    pairs = [_as_loaded(lesson) for lesson in lessons]
    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(student.parameters(), rate, weight_decay=1e-4)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps + 5, pct_start=0.1, anneal_strategy='linear')
    student.train()
    for step in range(steps):
        batch: List[Dict[str, Any]] = []
        for draw, i in enumerate(rng.integers(0, len(pairs), BATCH)):
            results = dict(pairs[i], rng=np.random.default_rng((0, BATCH * step + draw)))
            for transform in augment:
                results = transform(results)
            batch.append(results)
        inputs = torch.stack([pair['inputs'] for pair in batch]).float() / 255
        try:
            with torch.autocast('cpu', dtype=torch.bfloat16):
                losses = student(inputs, [pair['data_samples'] for pair in batch], mode='loss')
        except MMRefineError:
            break  # it has diverged, and that is the student
        optimizer.zero_grad()
        torch.stack([value for key, value in losses.items() if 'loss' in key]).sum().backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 5.)
        optimizer.step()
        pace.step()
    student.eval()
    return student


def _as_loaded(lesson: Lesson) -> Dict[str, Any]:
    """What a pair is once its label has been read."""
    frame1, frame2 = (np.ascontiguousarray((frame * 255).round().byte().permute(1, 2, 0).numpy())
                      for frame in lesson[:2])
    flow, weight = (part.permute(1, 2, 0).numpy() for part in lesson[2:4])
    return dict(frame1=frame1, frame2=frame2, flow=flow, weight=weight, key='', scene='', size=frame1.shape[:2],
                share_overlaid=lambda: lesson.overlaid)
