"""What benchmarks that teach many students share: a small network, taught for a short while on labels that are in memory."""
from __future__ import annotations

import copy
from typing import List, NamedTuple, Sequence

import numpy as np
import torch
from torch import Tensor

import mmrefine
from mmrefine.models import FlowRefiner
from mmrefine.structures import FlowSample

CROP = (96, 160)  # px
BATCH = 4


class Lesson(NamedTuple):
    """A frame pair and what is said of it: ``(3, H, W)``, ``(3, H, W)``, ``(2, H, W)`` px, ``(1, H, W)``."""
    frame1: Tensor
    frame2: Tensor
    flow: Tensor
    weight: Tensor


def teach(teacher: FlowRefiner, lessons: Sequence[Lesson], rate: float, steps: int) -> FlowRefiner:
    """A student of the teacher: batches of random crops, AdamW, a rate that rises to ``rate`` for a tenth of the steps and falls to 0.

    The same arguments give the same student. One that diverges is returned as it was before it did.
    """
    student = copy.deepcopy(teacher)
    rng = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(student.parameters(), rate)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps + 5, pct_start=0.1, anneal_strategy='linear')
    student.train()
    for _ in range(steps):
        batch = [_crop(rng, lessons[i]) for i in rng.integers(0, len(lessons), BATCH)]
        samples = [_sample(lesson) for lesson in batch]
        inputs = torch.stack([torch.stack([lesson.frame1, lesson.frame2]) for lesson in batch])
        try:
            losses = student(inputs, samples, mode='loss')
        except mmrefine.errors.MMRefineError:
            break  # it has diverged, and that is the student
        optimizer.zero_grad()
        torch.stack([value for key, value in losses.items() if 'loss' in key]).sum().backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 5.)
        optimizer.step()
        pace.step()
    student.eval()
    return student


def _sample(lesson: Lesson) -> FlowSample:
    sample = FlowSample(metainfo=dict(scene='', key=''))
    sample.flow, sample.weight = lesson.flow, lesson.weight
    return sample


def _crop(rng: np.random.Generator, lesson: Lesson) -> Lesson:
    height, width = lesson.flow.shape[1:]
    top, left = int(rng.integers(0, height - CROP[0] + 1)), int(rng.integers(0, width - CROP[1] + 1))
    parts: List[Tensor] = [part[:, top:top + CROP[0], left:left + CROP[1]] for part in lesson]
    return Lesson(*parts)
