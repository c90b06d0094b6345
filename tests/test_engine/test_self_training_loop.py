"""Rounds, and where the data come from."""
import os
import signal
import threading
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from mmrefine.datasets import DrawSampler
from mmrefine.engine import SelfTrainingLoop
from mmrefine.engine.runtime import interrupts
from mmrefine.errors import ConfigError, InputError


class Numbers(Dataset):
    """Items 0 .. 7, or an error in place of one of them."""

    def __init__(self, broken=None):
        self.broken, self.labels = broken, None

    def __len__(self):
        return 8

    def __getitem__(self, item):
        index, draw = item if isinstance(item, tuple) else (item, item)
        if index == self.broken:
            raise InputError(f'frame_{index}.png: is broken; delete it')
        return draw, str(self.labels)


class FakeRunner:
    """Notes the hooks that are called, and the batches."""
    seed = 0

    def __init__(self, on_hook=None):
        self.hooks, self.batches, self.on_hook = [], [], on_hook
        self.optim_wrapper = self.val_loop = None
        self.model = SimpleNamespace(train=lambda: None, modules=list, train_step=lambda batch,
                                     optim_wrapper: self.batches.append(batch))

    def call_hook(self, name, **kwargs):
        if 'iter' not in name:
            self.hooks.append(name)
        if self.on_hook is not None:
            self.on_hook(name)


def loop_over(data, max_iters, rounds=1, on_hook=None, batch_size=2, workers=0, **sampler):
    runner = FakeRunner(on_hook)
    loader = DataLoader(data, batch_size, sampler=DrawSampler(data, seed=0, shuffle=False, **sampler),
                        num_workers=workers,
                        persistent_workers=workers > 0)
    return SelfTrainingLoop(runner, loader, max_iters=max_iters, rounds=rounds)


@pytest.mark.parametrize('max_iters, rounds, '
                         'ends', [(7, 3, [2, 4, 7]), (6, 3, [2, 4, 6]), (5, 1, [5]), (3, 3, [1, 2, 3])])
def test_rounds_are_equal_and_the_last_takes_the_remainder(max_iters, rounds, ends):
    loop = loop_over(Numbers(), max_iters, rounds)
    assert [loop.last_iter_of(k) for k in range(rounds)] == ends
    begins = [0] + ends[:-1]
    for k, (begin, end) in enumerate(zip(begins, ends)):
        assert [loop.round_of(step) for step in range(begin, end)] == [k] * (end - begin)
    loop.run()
    assert loop.iter == max_iters and loop.runner.hooks == [
        'before_train', *['before_train_epoch', 'after_train_epoch'] * rounds, 'after_train']


@pytest.mark.parametrize('max_iters, rounds', [(0, 1), (3, 0), (3, 4), (2.5, 1)])
def test_lengths_that_cannot_be_meant_are_refused(max_iters, rounds):
    with pytest.raises(ConfigError, match=f'got {max_iters} and {rounds}'):
        loop_over(Numbers(), max_iters, rounds)


@pytest.mark.parametrize('workers', [0, 1])
def test_the_data_are_opened_after_the_labels_exist_and_anew_in_each_round(workers):
    """F9."""
    data, rounds = Numbers(), iter('ab')

    def label(name):
        if name == 'before_train_epoch':
            data.labels = next(rounds)

    loop = loop_over(data, max_iters=4, rounds=2, on_hook=label, workers=workers)
    loop.run()
    assert [batch[1] for batch in loop.runner.batches] == [('a', 'a')] * 2 + [('b', 'b')] * 2
    # and no draw is lost or seen twice at the seam
    assert torch.cat([batch[0] for batch in loop.runner.batches]).tolist() == list(range(8))


def test_a_resumed_loop_continues_with_the_draw_that_was_next():
    loop = loop_over(Numbers(), max_iters=6, rounds=2)
    loop._iter = 4
    loop.run()
    assert [batch[0].tolist() for batch in loop.runner.batches] == [[8, 9], [10, 11]]
    assert loop.runner.hooks.count('before_train_epoch') == 1


def test_what_a_step_draws_is_decided_by_seed_and_step():
    def drawn(seed, begin):
        loop, draws = loop_over(Numbers(), max_iters=4), []
        loop._iter, loop.runner.seed = begin, seed
        loop.runner.model.train_step = lambda batch, optim_wrapper: draws.append(float(torch.rand(())))
        loop.run()
        return draws

    whole = drawn(seed=5, begin=0)
    assert len(set(whole)) == 4 and drawn(seed=5, begin=2) == whole[2:]
    assert not set(drawn(seed=6, begin=0)) & set(whole)


def test_a_run_that_was_killed_after_its_last_step_has_only_its_end_left():
    loop = loop_over(Numbers(), max_iters=3)
    loop._iter = 3
    loop.run()
    assert loop.runner.hooks == ['before_train', 'after_train'] and not loop.runner.batches


def test_a_finite_sampler_starts_again_in_a_new_order():
    loader = DataLoader(Numbers(), batch_size=4, sampler=Reversing())
    loop = SelfTrainingLoop(FakeRunner(), loader, max_iters=4)
    loop.run()
    assert torch.cat([batch[0] for batch in loop.runner.batches]).tolist() == [*range(8), *range(7, -1, -1)]


class Reversing:
    """Forwards in even passes, backwards in odd ones."""

    epoch = 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter(range(8) if self.epoch % 2 == 0 else range(7, -1, -1))

    def __len__(self):
        return 8


def test_data_without_a_batch_are_refused_instead_of_waited_for():
    loader = DataLoader(Numbers(), batch_size=9, drop_last=True)
    with pytest.raises(ConfigError, match='drop_last'):
        SelfTrainingLoop(FakeRunner(), loader, max_iters=1).run()


@pytest.mark.parametrize('workers', [0, 1])
def test_an_error_of_the_data_is_one_sentence_also_from_a_worker(workers):
    loop = loop_over(Numbers(broken=3), max_iters=3, workers=workers)
    with pytest.raises(InputError) as caught:
        loop.run()
    assert str(caught.value) == 'frame_3.png: is broken; delete it'


def test_a_hook_may_stop_the_training():
    loop = loop_over(Numbers(), max_iters=9, rounds=3,
                     on_hook=lambda name: stop(loop) if name == 'after_train_iter' else None)
    loop.run()
    assert loop.iter == 2 and loop.runner.hooks[-1] == 'after_train'


def test_validation_runs_at_its_interval_and_after_the_last_step():
    at = []
    for begin in (1, 4):
        loop = loop_over(Numbers(), 5)
        loop.val_interval, loop.val_begin = 2, begin
        loop.runner.val_loop = SimpleNamespace(run=lambda loop=loop: at.append(loop.iter))
        loop.run()
    assert at == [2, 4, 5, 4, 5]
    with pytest.raises(ConfigError, match=r'train_cfg\.val_interval must be .* got 0'):
        SelfTrainingLoop(FakeRunner(), DataLoader(Numbers()), 5, val_interval=0)


def stop(loop):
    loop.stop_training = loop.iter == 1


@pytest.fixture
def ctrl_c():
    """Python's own handler, which a shell's background job begins without; it must be back after the loop."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield lambda: os.kill(os.getpid(), signal.SIGINT)
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler


def test_an_interrupt_waits_for_the_end_of_its_step(ctrl_c, monkeypatch, capfd):
    told = []

    def on_hook(name):
        if name == 'before_train_iter' and loop.iter == 1:
            ctrl_c()
            ctrl_c()  # a launcher passes on what the terminal sent already
        if name == 'on_interrupt':
            told.append((loop.iter, len(loop.runner.batches)))

    loop = loop_over(Numbers(), max_iters=4, on_hook=on_hook)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert told == [(2, 2)] and loop.runner.hooks[-1] == 'on_interrupt'
    assert capfd.readouterr().err.count('once more stops at once') == 1


def test_a_second_interrupt_does_not_wait(ctrl_c, monkeypatch):
    monkeypatch.setattr(interrupts, 'SAME_STOP', -1.)
    loop = loop_over(Numbers(), max_iters=4,
                     on_hook=lambda name: ctrl_c() if name in ('before_train_iter', 'after_train_iter') else None)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert loop.iter == 0 and 'on_interrupt' not in loop.runner.hooks


def test_another_handler_is_asked_and_an_ignored_signal_stays_ignored(ctrl_c):
    asked = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.append((number, loop.iter)))
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def on_hook(name):
        if name == 'before_train_iter' and loop.iter == 1:
            ctrl_c()
            os.kill(os.getpid(), signal.SIGTERM)

    loop = loop_over(Numbers(), max_iters=4, on_hook=on_hook)
    try:
        loop.run()  # that handler does not mind
    finally:
        signal.signal(signal.SIGTERM, before)
        assert signal.signal(signal.SIGINT, signal.default_int_handler) is signal.SIG_IGN
    assert asked == [(signal.SIGTERM, 2)] and loop.iter == 4


def test_a_thread_trains_without_touching_signals():
    loop = loop_over(Numbers(), max_iters=2)
    thread = threading.Thread(target=loop.run)
    thread.start()
    thread.join()
    assert loop.iter == 2
