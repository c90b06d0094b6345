"""CorrFlow's weights keep every value under the names of its authors and ours."""
from __future__ import annotations

import pytest
import torch
from helpers_cli import ROOT, error_of, status_of
from test_convert_checkpoint import batch_norm, same, tool

from mmrefine.apis import export_features as exporting
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.corrflow_checkpoints import (convert_corrflow, convert_corrflow_checkpoint, corrflow_layout,
                                                  corrflow_names)
from mmrefine.errors import CheckpointError
from mmrefine.models import CorrFlowEncoder, load_estimator


def official_shapes():
    """Every tensor of the authors' CorrFlow by name; written from their network, not from our table."""
    shapes = {'feature_extraction.conv1.0.weight': (64, 3, 7, 7), **batch_norm('feature_extraction.conv1.1', 64)}
    before = 64
    for number, channels in ((1, 64), (2, 128), (3, 256), (4, 256)):
        for block in (0, 1):
            name = f'feature_extraction.layer{number}.{block}'
            for place, deep in ((0, before), (3, channels)):
                shapes[f'{name}.left.{place}.weight'] = (channels, deep, 3, 3)
                shapes.update(batch_norm(f'{name}.left.{place + 1}', channels))
            if before != channels:
                shapes[f'{name}.shortcut.0.weight'] = (channels, before, 1, 1)
                shapes.update(batch_norm(f'{name}.shortcut.1', channels))
            before = channels
    return {**shapes, 'post_convolution.weight': (64, 256, 3, 3), 'post_convolution.bias': (64, )}


def official_state():
    """No two tensors are equal, and all are small, so that features stay finite."""
    return {name: torch.full(shape, 1e-3 * (i + 1)) if shape else torch.tensor(i)
            for i, (name, shape) in enumerate(official_shapes().items())}


def test_the_official_weights_fill_our_network_and_come_back_as_they_were():
    state, network = official_state(), CorrFlowEncoder()
    ours = convert_corrflow(state)
    network.load_state_dict(ours, strict=True)
    assert same(convert_corrflow(network.state_dict(), 'official'), state)
    assert same(convert_corrflow(ours), ours) and same(convert_corrflow(state, 'official'), state)
    assert len({name for row in corrflow_names() for name in row}) == 2 * len(ours) == 2 * len(state)
    assert corrflow_layout(state) == 'official' and corrflow_layout(ours) == 'mmrefine'
    assert corrflow_layout({'fc': 0}) is None


@pytest.mark.parametrize('ours, theirs', [
    ('conv1.weight', 'conv1.0.weight'), ('bn1.running_var', 'conv1.1.running_var'),
    ('layers.0.0.conv1.weight', 'layer1.0.left.0.weight'), ('layers.0.1.conv2.weight', 'layer1.1.left.3.weight'),
    ('layers.1.0.downsample.0.weight', 'layer2.0.shortcut.0.weight'),
    ('layers.2.0.downsample.1.bias', 'layer3.0.shortcut.1.bias'), ('layers.3.1.bn1.bias', 'layer4.1.left.1.bias'),
    ('layers.3.1.bn2.running_mean', 'layer4.1.left.4.running_mean')])
def test_a_tensor_has_these_two_names(ours, theirs):
    state = official_state()
    assert torch.equal(convert_corrflow(state)[ours], state[f'feature_extraction.{theirs}'])


def test_a_learners_checkpoint_leaves_its_prefix():
    state = official_state()
    learner = {f'module.estimator.{name}': tensor for name, tensor in convert_corrflow(state).items()}
    written = convert_corrflow_checkpoint(dict(state_dict=learner, meta=dict(iter=3)), 'official')
    assert list(written) == ['state_dict']
    assert same(written['state_dict'], {f'module.{name}': tensor for name, tensor in state.items()})


def test_a_training_checkpoint_of_the_authors_is_loaded_as_it_is(tmp_path):
    state = official_state()
    weights = {f'module.{name}': tensor for name, tensor in state.items() if not name.endswith('num_batches_tracked')}
    file = dict(epoch=3, state_dict=weights, optimizer=dict(state={}, param_groups=[]))
    converted = convert_corrflow_checkpoint(file, source='a/checkpoint.tar')
    assert converted['meta'] == dict(layout='mmrefine', network='CorrFlow', source='checkpoint.tar')
    assert set(converted['state_dict']) < set(convert_corrflow(state))  # old PyTorch did not count batches
    file['state_dict'] = {f'module.{name}': tensor for name, tensor in state.items()}
    torch.save(file, tmp_path / 'checkpoint.tar')
    holder = torch.nn.ModuleDict(dict(estimator=CorrFlowEncoder()))
    load_estimator(holder, tmp_path / 'checkpoint.tar')
    assert same(holder.estimator.state_dict(), convert_corrflow(state))
    with pytest.raises(CheckpointError, match=r'checkpoint\.tar: these are not the weights of the configured Linear'):
        load_estimator(torch.nn.ModuleDict(dict(estimator=torch.nn.Linear(1, 1))), tmp_path / 'checkpoint.tar')


def test_what_is_no_corrflow_is_refused_and_quoted():
    state = official_state()
    state['feature_extraction.layer2.0.left.2.weight'] = state.pop('feature_extraction.layer2.0.left.0.weight')
    with pytest.raises(CheckpointError, match=r'a\.tar: these are nearly .* official layout, but feature_extraction\.'
                       r'layer2\.0\.left\.0\.weight is missing and .*left\.2\.weight is left over'):
        convert_corrflow_checkpoint(state, source='a.tar')
    with pytest.raises(CheckpointError, match='holds no encoder of CorrFlow'):
        convert_corrflow({'conv1.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match="layouts mmrefine and official, not 'princeton'"):
        convert_corrflow(state, 'princeton')
    with pytest.raises(CheckpointError, match='gives 32 features, and the CorrFlow of its authors gives 64'):
        convert_corrflow(CorrFlowEncoder(out_channels=32).state_dict(), 'official')


def test_the_command_converts_both_ways(tmp_path, capsys):
    state = official_state()
    theirs, ours, again = (tmp_path / f'{name}.pth' for name in ('theirs', 'ours', 'again'))
    weights = {f'module.{name}': value for name, value in state.items()}
    torch.save(dict(state_dict=weights), theirs)
    assert tool().main([str(theirs), str(ours)]) == 0
    assert f'{ours}: the CorrFlow of {theirs} under mmrefine names' in capsys.readouterr().out
    assert same(load_checkpoint_file(ours)['state_dict'], convert_corrflow(state))
    assert tool().main([str(ours), str(again), '--to', 'official']) == 0
    assert same(load_checkpoint_file(again)['state_dict'], weights)
    capsys.readouterr()
    assert tool().main([str(theirs), str(ours), '--to', 'torchvision']) == 1
    assert 'holds a CorrFlow network, which has the names mmrefine and official' in capsys.readouterr().err


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A config whose network is the encoder, and weights as a model that holds it keeps them."""
    monkeypatch.setattr(exporting, 'CHECK_SIZE', (64, 80))
    torch.manual_seed(0)
    (tmp_path / 'encoder.py').write_text("model = dict(type='mmrefine.CorrFlowEncoder')\n")
    state = {f'estimator.{name}': value for name, value in CorrFlowEncoder().state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'refined.pth')
    return tmp_path


def test_corrflow_is_exported_for_its_authors_and_no_other_code(place, capsys):
    out, model = place / 'out.pth', ('--model', place / 'encoder.py')
    assert status_of('export', place / 'refined.pth', '--to', 'official', '--out', out, *model) == 0
    text = capsys.readouterr().out
    assert f'{out}: CorrFlowEncoder for official; the features before and after differ by at most 0\n' in text
    assert f'python benchmark.py --resume {out}' in text
    written = load_checkpoint_file(out)['state_dict']
    assert {name: tuple(value.shape) for name, value in written.items()} == {
        f'module.{name}': shape for name, shape in official_shapes().items()}
    wanted = load_checkpoint_file(place / 'refined.pth')['state_dict']
    assert same({f'estimator.{name}': value for name, value in convert_corrflow(written).items()}, wanted)
    for to in ('mmflow', 'torchvision', 'onnx'):
        assert f'gives features, and --to {to} takes networks that estimate flow' in error_of(
            capsys, 'export', place / 'refined.pth', '--to', to, '--out', place / 'other.pth', *model)
    assert status_of('export', place / 'refined.pth', '--to', 'onnx', '--out', place / 'other.pth', *model) == 1
    assert not capsys.readouterr().out  # no word of the minutes that ONNX takes


@pytest.mark.parametrize('radius', [8, None])
def test_another_window_than_that_of_the_authors_is_told(place, radius, capsys):
    (place / 'wide.py').write_text(
        f"model = dict(type='mmrefine.CorrespondenceLearner', estimator=dict(type='mmrefine.CorrFlowEncoder'),\n"
        f'             radius={radius})\n')
    assert status_of('export', place / 'refined.pth', '--to', 'official', '--out', place / 'out.pth', '--model',
                     place / 'wide.py') == 0
    assert f'looks 6 cells far, which is fixed, and here model.radius={radius}' in capsys.readouterr().out


def test_a_network_that_sees_grey_frames_is_not_exported_for_code_that_shows_colours(place, capsys):
    grey = ROOT / 'configs/corrflow/ablation/without_color_dropout.py'
    assert 'its network sees grey frames (model.bottleneck)' in error_of(
        capsys, 'export', place / 'refined.pth', '--to', 'official', '--out', place / 'grey.pth', '--model', grey)
    assert not (place / 'grey.pth').exists()


@pytest.mark.parametrize('change, found', [(0.5, 'differ by 0.5;'), (float('inf'), 'differ by inf')])
def test_a_file_that_would_give_other_features_is_not_written(place, change, found, monkeypatch, capsys):
    convert = exporting.convert_corrflow_checkpoint

    def spoilt(*args):
        content = convert(*args)
        content['state_dict']['module.post_convolution.bias'] += change
        return content

    monkeypatch.setattr(exporting, 'convert_corrflow_checkpoint', spoilt)
    out = place / 'out.pth'
    sentence = error_of(capsys, 'export', place / 'refined.pth', '--to', 'official', '--out', out, '--model',
                        place / 'encoder.py')
    assert sentence.startswith(f'{out}: not written, because the features before and after') and found in sentence
    assert not out.exists()
