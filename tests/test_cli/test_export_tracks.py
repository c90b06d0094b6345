"""``mmrefine export`` of a tracker: the authors' names, the same tracks, or nothing."""
from __future__ import annotations

import pytest
import torch
from helpers_cli import error_of, status_of

from mmrefine.apis import export_tracks as exporting
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.pips_checkpoints import convert_pips
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.models import TrackRefiner

SMALL = dict(feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, 'CHECK_SIZE', (64, 80))  # smaller than users get, for speed
    torch.manual_seed(0)
    state = TrackRefiner(dict(type='mmrefine.PIPs', **SMALL)).state_dict()
    save_checkpoint(tmp_path / 'iter_3.pth', dict(state_dict=state, meta=dict(iter=3)))
    (tmp_path / 'tiny.py').write_text(f"_base_ = 'mmrefine::pips/pips_video.py'\nmodel = dict(estimator={SMALL}, "
                                      'test_iters=1)\n')
    return tmp_path


def test_the_weights_leave_under_the_names_of_the_authors_and_come_back(place, capsys):
    model, out = ('--model', place / 'tiny.py', '--to', 'official', '--out'), place / 'new/model-000000001.pth'
    assert status_of('export', place / 'iter_3.pth', *model, out) == 0
    assert f'{out}: PIPs for official; the tracks before and after differ by at most 0 px' in capsys.readouterr().out
    file, wanted = load_checkpoint_file(out), load_checkpoint_file(place / 'iter_3.pth')['state_dict']
    assert list(file) == ['model_state_dict'] and 'vis_predictor.0.weight' in file['model_state_dict']
    back = convert_pips(file['model_state_dict'])
    assert {f'estimator.{key}' for key in back} == set(wanted)
    assert all(torch.equal(value, wanted[f'estimator.{key}']) for key, value in back.items())
    assert status_of('export', out, *model, place / 'again.pth') == 0  # what the authors have
    again = load_checkpoint_file(place / 'again.pth')['model_state_dict']
    assert all(torch.equal(value, again[key]) for key, value in file['model_state_dict'].items())


@pytest.mark.parametrize('change, found', [(0.5, ' px; report this'), (3e38, 'differ by inf px')])
def test_a_file_that_would_give_other_tracks_is_not_written(place, change, found, monkeypatch, capsys):
    convert = exporting.convert_pips_checkpoint

    def spoilt(*args):
        content = convert(*args)
        content['model_state_dict']['delta_block.to_delta.4.bias'] += change
        return content

    monkeypatch.setattr(exporting, 'convert_pips_checkpoint', spoilt)
    sentence = error_of(capsys, 'export', place / 'iter_3.pth', '--model', place / 'tiny.py', '--to', 'official',
                        '--out', place / 'out.pth')
    assert sentence.startswith(f'{place / "out.pth"}: not written, because the tracks before and after differ by')
    assert found in sentence and not (place / 'out.pth').exists()


@pytest.mark.parametrize('to', ['mmflow', 'torchvision', 'onnx'])
def test_software_for_flow_takes_no_tracker(place, to, capsys):
    sentence = error_of(capsys, 'export', place / 'iter_3.pth', '--model', place / 'tiny.py', '--to', to, '--out',
                        place / 'out.pth')
    assert f'follows points, and --to {to} takes networks that estimate flow; export it with --to official' in sentence
