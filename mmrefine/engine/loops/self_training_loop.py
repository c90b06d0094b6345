"""The loop of labelling and training: one round in Refine, several in CLIP-FLow."""
from __future__ import annotations

import itertools
import re
from typing import Any, Dict, Iterator, Sequence, Union

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.runner import BaseLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mmrefine.engine.runtime.interrupts import HeldInterrupts
from mmrefine.engine.runtime.processes import together
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.registry import LOOPS
from mmrefine.values import as_count


@LOOPS.register_module()
class SelfTrainingLoop(BaseLoop):
    """Rounds of training on labels that hooks make before each round.

    A round is one "epoch": ``before_train_epoch`` is where :class:`~mmrefine.engine.PseudoLabelHook` labels. The data
    iterator opens only after that (MMEngine's iteration loop opens it before the weights are loaded, F9 in
    docs/platform.md) and again for each round. A resumed run continues with the draw that was next, so it ends with the
    same weights as an uninterrupted one; that needs a sampler with ``set_start``
    (:class:`~mmrefine.datasets.DrawSampler`). One with ``set_course`` (:class:`~mmrefine.datasets.MixedSampler`) is
    told the size of a batch over all processes and the number of steps. What is drawn from torch's global generator in
    a step depends only on the seed of the run and the number of the step. Ctrl-C, and SIGTERM where it does the same,
    waits for the end of the step; then ``on_interrupt`` is called on every hook that has such a method
    (:class:`~mmrefine.engine.AtomicCheckpointHook` saves), in all processes of a distributed run. A second one stops at
    once.

    Args:
        runner: the runner.
        dataloader: config of the training data, or a loader.
        max_iters: optimiser steps in all rounds together, a whole number; it may be written as 1e3.
        rounds: how many times to label and train, a whole number in [1, max_iters]; rounds have equal length, except
            that the last one takes the remainder.
        val_interval: steps between two runs of the validation loop, where the config has one (``val_dataloader``,
            ``val_cfg``, ``val_evaluator``); it also runs after the last step.
        val_begin: the first step after which it may run.

    Raises:
        ConfigError: ``max_iters`` below 1, ``rounds`` outside [1, max_iters], or ``val_interval`` or ``val_begin`` that
            are not whole numbers of at least 1.
    """

    def __init__(self,
                 runner: Runner,
                 dataloader: Union[DataLoader, Dict],
                 max_iters: float,
                 rounds: float = 1,
                 val_interval: int = 1000,
                 val_begin: int = 1) -> None:
        if max_iters != int(max_iters) or rounds != int(rounds) or not 1 <= rounds <= max_iters:
            raise ConfigError('train_cfg needs whole numbers, max_iters >= 1 and 1 <= rounds <= max_iters, got '
                              f'{max_iters} and {rounds}')
        super().__init__(runner, dataloader)
        self._max_iters = int(max_iters)
        self.rounds = int(rounds)
        self.val_interval = as_count('train_cfg.val_interval', val_interval)
        self.val_begin = as_count('train_cfg.val_begin', val_begin)
        self._epoch = 0
        self._iter = 0
        self.stop_training = False  # MMEngine's EarlyStoppingHook sets it

    @property
    def max_epochs(self) -> int:
        """Rounds; MMEngine's name."""
        return self.rounds

    @property
    def max_iters(self) -> int:
        """Optimiser steps in all rounds together."""
        return self._max_iters

    @property
    def epoch(self) -> int:
        """The current round, from 0; MMEngine's name."""
        return self._epoch

    @property
    def iter(self) -> int:
        """Optimiser steps done."""
        return self._iter

    def last_iter_of(self, round_: int) -> int:
        """The number of steps done when round ``round_`` (from 0) is over."""
        return self.max_iters if round_ == self.rounds - 1 else (round_ + 1) * (self.max_iters // self.rounds)

    def round_of(self, step: int) -> int:
        """The round that step ``step`` (from 0) belongs to."""
        return min(step // (self.max_iters // self.rounds), self.rounds - 1)

    def run(self) -> nn.Module:
        """Label with a frozen copy of the student, train on the labels, repeat."""
        self.runner.call_hook('before_train')
        self._epoch = self.round_of(self._iter)
        while self._iter < self.max_iters and not self.stop_training:
            self.runner.call_hook('before_train_epoch')  # stage 1: labels
            self._train(until=self.last_iter_of(self._epoch))  # stage 2: steps
            self.runner.call_hook('after_train_epoch')
            self._epoch += 1
        self.runner.call_hook('after_train')
        return self.runner.model

    def _train(self, until: int) -> None:
        batches = self._batches()
        with HeldInterrupts() as held:
            while self._iter < until and not self.stop_training:
                self.runner.model.train()
                self.run_iter(_next(batches))
                if self._must_validate():
                    self.runner.val_loop.run()
                number = held.pending()
                if number:
                    # no process stops before the checkpoint is written
                    together(lambda: self.runner.call_hook('on_interrupt'))
                    held.release(number)

    def _must_validate(self) -> bool:
        due = self._iter % self.val_interval == 0 or self._iter == self.max_iters
        return self.runner.val_loop is not None and due and self._iter >= self.val_begin

    def _batches(self) -> Iterator[Any]:
        """An endless stream of batches, beginning with the next draw."""
        sampler, size = self.dataloader.sampler, (self.dataloader.batch_size or 1) * get_world_size()
        if hasattr(sampler, 'set_course'):
            sampler.set_course(size, self.max_iters)
        if hasattr(sampler, 'set_start'):
            sampler.set_start(self._iter * size)
        # persistent workers would continue with their copy of the data set, which has the labels of the previous round
        self.dataloader._iterator = None
        for epoch in itertools.count():
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)
            empty = True
            for batch in self.dataloader:
                empty = False
                yield batch
            if empty:
                raise ConfigError('train_dataloader yields no batch; is batch_size larger than the data set, with '
                                  'drop_last=True?')

    def run_iter(self, data_batch: Sequence[dict]) -> None:
        """One optimiser step on one batch."""
        self.runner.call_hook('before_train_iter', batch_idx=self._iter, data_batch=data_batch)
        # torch keeps 32 bits of a seed on a CPU, so seed and step are mixed before
        torch.manual_seed(int(np.random.SeedSequence((self.runner.seed, self._iter)).generate_state(1)[0]))
        outputs = self.runner.model.train_step(data_batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.call_hook(
            'after_train_iter', batch_idx=self._iter, data_batch=data_batch, outputs=outputs)
        self._iter += 1


def _next(batches: Iterator[Any]) -> Any:
    """The next batch; errors of this package lose the traceback of the worker that PyTorch puts around them."""
    try:
        return next(batches)
    except MMRefineError as error:
        name = type(error).__qualname__
        found = re.search(rf'^Caught {name} in DataLoader worker.*^[\w.]*{name}: (.*)\Z', str(error),
                          re.DOTALL | re.MULTILINE)
        if found is None:
            raise
        raise type(error)(found.group(1).strip()) from error
