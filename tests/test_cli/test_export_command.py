"""``mmrefine export`` and ``mmrefine report``: what leaves is what was there."""
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, error_of, status_of

from mmrefine.apis import export as exporting
from mmrefine.apis import export_model, open_model
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.config_names import own_config_root
from mmrefine.compat.official_checkpoints import convert_raft, detect_raft
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.report import write_report


@pytest.fixture(autouse=True)
def small_check(monkeypatch):
    """A smaller pair than users get, for speed."""
    monkeypatch.setattr(exporting, 'CHECK_SIZE', (64, 80))


@pytest.mark.parametrize('to, layout',
                         [('official', 'princeton'), ('torchvision', 'torchvision'), ('mmflow', 'mmrefine')])
def test_the_weights_leave_under_the_names_of_the_other_software_and_come_back(to, layout, tmp_path, capsys):
    out = tmp_path / 'new' / 'out.pth'
    assert status_of('export', DEMO_WEIGHTS, '--to', to, '--out', out, '--model', 'demo') == 0
    text = capsys.readouterr().out
    assert (f'{out}: RAFT for {to}; the flows before and after differ by at most 0 px' in text
            and str(out) in text.splitlines()[1])
    file = load_checkpoint_file(out)
    names = [name.replace('module.', '', 1) if to == 'official' else name
             for name in (file['state_dict'] if to == 'mmflow' else file)]
    assert detect_raft(names).name == layout
    back, _ = convert_raft(file['state_dict'] if to == 'mmflow' else file)
    wanted = load_checkpoint_file(DEMO_WEIGHTS)['state_dict']
    assert back.keys() == wanted.keys() and all(torch.equal(back[key], wanted[key].float()) for key in wanted)


def test_what_was_exported_gives_the_same_flow_when_it_is_opened_again(tmp_path):
    export_model(DEMO_WEIGHTS, 'official', tmp_path / 'out.pth', 'demo')
    frames = exporting._pair((64, 80))
    with torch.no_grad():
        flows = [open_model('demo', path).estimate(*frames)[-1] for path in (None, tmp_path / 'out.pth')]
    assert torch.equal(*flows) and flows[0].abs().max() > 0.5


def test_a_training_checkpoint_becomes_a_stock_one(tmp_path):
    state = load_checkpoint_file(DEMO_WEIGHTS)['state_dict']
    save_checkpoint(tmp_path / 'iter_3.pth',
                    dict(state_dict={f'estimator.{key}': value for key, value in state.items()}))
    done = export_model(tmp_path / 'iter_3.pth', 'mmflow', tmp_path / 'out.pth', 'demo')
    assert done.difference == 0 and set(load_checkpoint_file(tmp_path / 'out.pth')['state_dict']) == set(state)


@pytest.mark.parametrize('change, found', [(0.5, r'differ by [\d.e-]+ px'), (float('nan'), 'differ by inf px')])
def test_a_file_that_would_give_another_flow_is_not_written(change, found, tmp_path, monkeypatch, capsys):
    convert = exporting.convert_raft_checkpoint

    def spoilt(content, to, source):
        state, layout = convert(content, to, source)
        return {name: value + change if name.endswith('fnet.conv2.weight') else value
                for name, value in state.items()}, layout

    monkeypatch.setattr(exporting, 'convert_raft_checkpoint', spoilt)
    sentence = error_of(capsys, 'export', DEMO_WEIGHTS, '--to', 'official', '--out', tmp_path / 'out.pth', '--model',
                        'demo')
    assert sentence.startswith(f'{tmp_path / "out.pth"}: not written') and re.search(found, sentence)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_said_in_one_sentence(tmp_path, monkeypatch, capsys):
    stock = error_of(capsys, 'export', DEMO_WEIGHTS, '--to', 'official', '--out', tmp_path / 'out.pth', '--model',
                     'raft')
    assert 'its network is not the official RAFT' in stock and '--to mmflow' in stock
    for form in ('official', 'torchvision'):
        convex = error_of(capsys, 'export', DEMO_WEIGHTS, '--to', form, '--out', tmp_path / 'out.pth', '--model',
                          'raft_small_convex')
        assert 'its network learns to enlarge its flow' in convex and '--to mmflow or --to onnx' in convex
    other = error_of(capsys, 'export', DEMO_WEIGHTS, '--to', 'mmflow', '--out', tmp_path / 'out.pth', '--model', 'raft')
    assert other.startswith(f'{DEMO_WEIGHTS}: these are not the weights of the configured RAFT')
    monkeypatch.setattr(exporting, 'find_spec', lambda name: None if name in ('onnx', 'onnxruntime') else 'there')
    onnx = error_of(capsys, 'export', DEMO_WEIGHTS, '--to', 'onnx', '--out', tmp_path / 'out.onnx', '--model', 'demo')
    small = error_of(capsys, 'export', DEMO_WEIGHTS, '--to', 'onnx', '--out', tmp_path / 'out.onnx', '--model', 'demo',
                     '--size', 8, 64)
    assert small == ('--size must be (height, width) in px, each from 16 to 65535, and at most 268435456 '
                     'pixels in all, got (8, 64)')
    assert onnx == ('--to onnx needs onnx, onnxruntime, which mmrefine does not install by itself; '
                    "run: pip install 'mmrefine[onnx]'")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('base', ['demo/raft_small_video.py', 'refine/raft_small_convex_video.py'])
def test_onnx_gives_the_flow_of_the_network(base, tmp_path, capfd):
    for name in exporting.ONNX_PACKAGES:
        pytest.importorskip(name)
    config = tmp_path / 'quick.py'
    config.write_text(f"_base_ = '{own_config_root()}/{base}'\nmodel = dict(test_iters=2)\n")
    done = export_model(DEMO_WEIGHTS, 'onnx', tmp_path / 'out.onnx', config, (61, 83))
    assert not capfd.readouterr().err  # torch's exporter speaks of operators that are not asked for
    assert 0 <= done.difference <= exporting.NEARLY and (tmp_path / 'out.onnx').stat().st_size > 10**6


def record(before, after, reason=''):
    scores = dict(before=dict(EPE=before), after=dict(EPE=after),
                  change_percent=dict(EPE=100 * (after - before) / before))
    return dict(groups=dict(refined=dict(scores, pairs=3, scenes=dict(one=scores))),
                guard=dict(verdict='better', reason=reason))


def test_a_page_is_written_anew_from_the_record(tmp_path, capsys):
    write_report(tmp_path, record(2., 1.5, 'The student is better.'))
    page, kept = (tmp_path / 'report.html').read_text(), (tmp_path / 'report.json').read_text()
    (tmp_path / 'report.html').unlink()
    assert status_of('report', tmp_path) == 0
    text = capsys.readouterr().out
    assert ('1.500' in text and 'guard: The student is better.' in text
            and f'the page: {tmp_path / "report.html"}' in text)
    assert ((tmp_path / 'report.html').read_text() == page
            and json.loads((tmp_path / 'report.json').read_text()) == json.loads(kept))


def test_a_folder_of_runs_gets_a_line_for_each_and_a_page_for_each(tmp_path, capsys):
    for name, after in (('a', 1.), ('b', 3.)):
        write_report(tmp_path / name, record(2., after, f'Reason {name}.'))
        (tmp_path / name / 'report.html').unlink()
    assert status_of('report', tmp_path) == 0
    text = capsys.readouterr().out
    assert 'mean of the changes' in text and '-50.0 %' in text and '+50.0 %' in text and 'guard of b: Reason b.' in text
    # not twice the scene, as if it were the same run
    assert [line.split()[0] for line in text.splitlines()[1:3]] == ['a/one', 'b/one']
    assert all((tmp_path / name / 'report.html').is_file() for name in 'ab')


def test_runs_are_found_at_any_depth_and_nothing_of_a_run_is_taken_for_another(tmp_path, capsys):
    for name, after in (('videos/night/3', 1.), ('videos/night/3/labels', 1.), ('other', 3.)):
        write_report(tmp_path / name, record(2., after, 'Reason.'))
        (tmp_path / name / 'report.html').unlink()
    assert status_of('report', tmp_path) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()[1:3]] == ['other/one', 'videos/night/3/one']
    assert 'guard of videos/night/3: Reason.' in text and not (tmp_path / 'videos/night/3/labels/report.html').exists()


def test_a_folder_without_a_report_is_named(tmp_path, capsys):
    assert error_of(capsys, 'report',
                    tmp_path).startswith(f'{tmp_path}: has no report.json, so no run has finished here')
    assert error_of(capsys, 'report', tmp_path / 'none').startswith(f'{tmp_path / "none"}: there is no such folder')
    Path(tmp_path / 'report.json').write_text('{}')
    assert 'is not a report of mmrefine' in error_of(capsys, 'report', tmp_path)
