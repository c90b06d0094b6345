"""Two processes do what one does."""
from __future__ import annotations

import json
import os
import signal

import pytest
from helpers_cli import DEMO_WEIGHTS, SIZE, rendered
from mmengine.dist import get_rank
from small_runs import build, exit_code, files_of, in_child, in_two_processes, run, small_config

from mmrefine.apis import refine
from mmrefine.engine import SelfTrainingLoop
from mmrefine.errors import MMRefineError, TeacherError
from mmrefine.fileio.digest import digest_of_state
from mmrefine.labeling import FlowLabeler


def record_keys(runner, path):
    """Write the keys of each step's batch to a file."""
    step, keys = runner.model.train_step, []

    def recording(data, optim_wrapper):
        keys.append([sample.key for sample in data['data_samples']])
        path.write_text(json.dumps(keys))
        return step(data, optim_wrapper)

    runner.model.train_step = recording


def whole_run(material, work_dir, notes, **more):
    runner = build(small_config(material, work_dir, max_iters=3, report=True, **more))
    record_keys(runner, notes / f'keys{get_rank()}.json')
    runner.train()
    module = getattr(runner.model, 'module', runner.model)
    (notes / f'weights{get_rank()}').write_text(digest_of_state(module.state_dict()))


@pytest.fixture(scope='module')
def one(material, tmp_path_factory):
    """The folder of a run in one process; its work dir is ``run``."""
    root = tmp_path_factory.mktemp('one')
    assert exit_code(in_child(lambda: whole_run(material, root / 'run', root))) == 0
    return root


@pytest.fixture(scope='module')
def two(material, tmp_path_factory):
    """The folder of the same run in two processes, half of the batch in each."""
    root = tmp_path_factory.mktemp('two')
    half = dict(train_dataloader=dict(batch_size=1))
    assert in_two_processes(lambda rank: whole_run(material, root / 'run', root, launcher='pytorch', **half)) == [0, 0]
    return root


def test_the_label_store_is_the_same_to_the_byte(one, two):
    found = files_of(two / 'run/labels')
    assert found == files_of(one / 'run/labels') and len(found) == 7


def test_the_processes_share_the_draws_of_one(one, two):
    whole, first, second = (json.loads(path.read_text())
                            for path in (one / 'keys0.json', two / 'keys0.json', two / 'keys1.json'))
    assert len(whole) == 3
    assert [a + b for a, b in zip(first, second)] == whole


def test_both_processes_end_with_the_same_weights(two):
    assert (two / 'weights0').read_text() == (two / 'weights1').read_text()


def test_the_report_and_refined_pth_are_written_once(two):
    assert json.loads((two / 'run/report.json').read_text())['groups']['refined']['pairs'] == 4
    assert (two / 'run/refined.pth').exists()
    text = ''.join(path.read_text() for path in two.glob('run/*/*.log'))
    assert 'Failed to search registry' not in text  # every registry of the runner has a child of ours
    assert text.count('The report: ') == 1 and text.count('of the first of 2 processes') == 1


def test_a_video_is_refined_by_two_processes(tmp_path):
    frames = rendered(tmp_path / 'frames', 8)
    values = {'model.train_iters': 1, 'model.test_iters': 1, 'labeler.view.scales': (1., ), 'labeler.balance': None,
              'crop_size': SIZE, 'max_iters': 1, 'batch_size': 2, 'held_out': 0., 'launcher': 'pytorch'}

    def refined(rank):
        report = refine(frames, 'demo', tmp_path / 'out', DEMO_WEIGHTS, **values)
        (tmp_path / f'pairs{rank}').write_text(str(report['groups']['refined']['pairs']))

    assert in_two_processes(refined) == [0, 0]
    assert [(tmp_path / f'pairs{rank}').read_text() for rank in (0, 1)] == ['7', '7']


def test_scores_do_not_depend_on_the_number_of_processes(one, two):
    before = [json.loads((root / 'run/report.json').read_text())['groups'] for root in (one, two)]
    for group in ('refined', 'unseen'):
        assert before[0][group]['before'] == before[1][group]['before']


def test_an_error_in_one_process_is_the_error_of_all(material, tmp_path, monkeypatch):
    label = FlowLabeler.label

    def spoiled(self, *given, **named):
        if get_rank() == 1:
            raise TeacherError('nan everywhere')
        return label(self, *given, **named)

    monkeypatch.setattr(FlowLabeler, 'label', spoiled)

    def work(rank):
        with pytest.raises(MMRefineError) as caught:
            run(small_config(material, tmp_path / 'run', launcher='pytorch'))
        (tmp_path / f'error{rank}').write_text(f'{type(caught.value).__name__}: {caught.value}')

    assert in_two_processes(work) == [0, 0]
    told = (tmp_path / 'error0').read_text()
    assert told == (tmp_path / 'error1').read_text()
    assert told.startswith('TeacherError: target_0002/frame_0001__frame_0002, ') and told.endswith('nan everywhere')


def test_an_interrupt_of_one_process_ends_both_after_the_same_step(material, tmp_path, monkeypatch):
    step = SelfTrainingLoop.run_iter

    def stopped(self, batch):
        step(self, batch)
        if get_rank() == 1 and self.iter == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(SelfTrainingLoop, 'run_iter', stopped)

    def work(rank):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt):
            run(small_config(material, tmp_path / 'run', launcher='pytorch', max_iters=4))
        assert (tmp_path / 'run/last_checkpoint').read_text() == str(tmp_path / 'run/iter_2.pth')

    assert in_two_processes(work) == [0, 0]
    assert sorted(path.name for path in tmp_path.glob('run/iter_*')) == ['iter_2.pth']
