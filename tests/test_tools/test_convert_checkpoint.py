"""RAFT weights keep every value under the names of the authors' code, torchvision and mmrefine."""
from __future__ import annotations

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.official_checkpoints import LAYOUTS, convert_raft, convert_raft_checkpoint, detect_raft
from mmrefine.compat.pips_checkpoints import convert_pips
from mmrefine.errors import CheckpointError
from mmrefine.models.networks import PIPs
from mmrefine.models.refiners import build_estimator

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'convert_checkpoint.py'
BATCH_NORM = ('weight', 'bias', 'running_mean', 'running_var')


def tool():
    spec = importlib.util.spec_from_file_location('convert_checkpoint', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def convolution(name, out_channels, in_channels, kernel):
    height, width = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return {f'{name}.weight': (out_channels, in_channels, height, width), f'{name}.bias': (out_channels, )}


def batch_norm(name, channels):
    return {**{f'{name}.{tensor}': (channels, ) for tensor in BATCH_NORM}, f'{name}.num_batches_tracked': ()}


def official_encoder(name, net_type, out_channels, norm):
    """Shapes as the authors' BasicEncoder and SmallEncoder make them; ``norm``: a batch norm, else no parameters."""
    small = net_type == 'Small'
    stem, stages = (32, (32, 64, 96)) if small else (64, (64, 96, 128))
    shapes = convolution(f'{name}.conv1', stem, 3, 7)
    shapes.update(batch_norm(f'{name}.norm1', stem) if norm else {})
    before = stem
    for stage, channels in enumerate(stages, start=1):
        for block in (0, 1):
            path = f'{name}.layer{stage}.{block}'
            narrow = channels // 4
            sizes = ([(narrow, before, 1), (narrow, narrow, 3), (channels, narrow, 1)] if small else
                     [(channels, before, 3), (channels, channels, 3)])
            for i, (wide, deep, kernel) in enumerate(sizes, start=1):
                shapes.update(convolution(f'{path}.conv{i}', wide, deep, kernel))
                shapes.update(batch_norm(f'{path}.norm{i}', wide) if norm else {})
            if stage > 1 and block == 0:
                shapes.update(convolution(f'{path}.downsample.0', channels, before, 1))
                if norm:  # registered twice by the authors
                    shapes.update(batch_norm(f'{path}.norm{len(sizes) + 1}', channels))
                    shapes.update(batch_norm(f'{path}.downsample.1', channels))
            before = channels
    shapes.update(convolution(f'{name}.conv2', out_channels, before, 1))
    return shapes


def official_shapes(net_type):
    """Every tensor of the authors' RAFT by name; written from their network, not from our table."""
    update = 'update_block'
    if net_type == 'Small':
        return {
            **official_encoder('fnet', net_type, 128, norm=False),
            **official_encoder('cnet', net_type, 160, norm=False),
            **convolution(f'{update}.encoder.convc1', 96, 4 * 7 * 7, 1),
            **convolution(f'{update}.encoder.convf1', 64, 2, 7),
            **convolution(f'{update}.encoder.convf2', 32, 64, 3),
            **convolution(f'{update}.encoder.conv', 80, 96 + 32, 3),
            **convolution(f'{update}.gru.convz', 96, 96 + 82 + 64, 3),
            **convolution(f'{update}.gru.convr', 96, 96 + 82 + 64, 3),
            **convolution(f'{update}.gru.convq', 96, 96 + 82 + 64, 3),
            **convolution(f'{update}.flow_head.conv1', 128, 96, 3),
            **convolution(f'{update}.flow_head.conv2', 2, 128, 3),
        }
    gates = {}
    for gate, (number, kernel) in itertools.product('zrq', ((1, (1, 5)), (2, (5, 1)))):
        gates.update(convolution(f'{update}.gru.conv{gate}{number}', 128, 128 + 128 + 128, kernel))
    return {
        **official_encoder('fnet', net_type, 256, norm=False),
        **official_encoder('cnet', net_type, 256, norm=True),
        **convolution(f'{update}.encoder.convc1', 256, 4 * 9 * 9, 1),
        **convolution(f'{update}.encoder.convc2', 192, 256, 3),
        **convolution(f'{update}.encoder.convf1', 128, 2, 7),
        **convolution(f'{update}.encoder.convf2', 64, 128, 3),
        **convolution(f'{update}.encoder.conv', 126, 192 + 64, 3),
        **gates,
        **convolution(f'{update}.flow_head.conv1', 256, 128, 3),
        **convolution(f'{update}.flow_head.conv2', 2, 256, 3),
        **convolution(f'{update}.mask.0', 256, 128, 3),
        **convolution(f'{update}.mask.2', 64 * 9, 256, 1),
    }


def official_state(net_type):
    """A state dict in which no two tensors are equal, apart from the norms that the authors register twice."""
    state = {
        name: torch.full(shape, float(i)) if shape else torch.tensor(i)
        for i, (name, shape) in enumerate(official_shapes(net_type).items())
    }
    for name in state:
        if '.downsample.1.' in name:
            state[name] = state[name.replace('downsample.1', 'norm3')]
    return state


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize('net_type', ['Basic', 'Small'])
@pytest.mark.parametrize('way', list(itertools.permutations(LAYOUTS[1:] + LAYOUTS[:1], 2)), ids='-'.join)
def test_a_round_trip_from_any_layout_over_any_other_changes_nothing(way, net_type):
    start, over = way
    state, _ = convert_raft(official_state(net_type), start)
    there, found = convert_raft(state, over)
    assert found == (start, net_type)
    assert not set(there) & {name for name in state if 'downsample' not in name and 'flow_head' not in name}
    back, found = convert_raft(there, start)
    assert found == (over, net_type)
    assert same(back, state)


@pytest.mark.parametrize('net_type', ['Basic', 'Small'])
def test_the_way_over_torchvision_ends_where_the_straight_way_does(net_type):
    state = official_state(net_type)
    over_torchvision, _ = convert_raft(convert_raft(state, 'torchvision')[0], 'mmrefine')
    assert same(over_torchvision, convert_raft(state, 'mmrefine')[0])


@pytest.mark.parametrize('net_type, princeton, mmrefine, torchvision', [
    ('Basic', 'fnet.conv1', 'encoder.conv1', 'feature_encoder.convnormrelu.0'),
    ('Basic', 'cnet.norm1', 'context.bn1', 'context_encoder.convnormrelu.1'),
    ('Basic', 'cnet.layer1.0.norm2', 'context.res_layer1.0.bn2', 'context_encoder.layer1.0.convnormrelu2.1'),
    ('Basic', 'cnet.layer3.0.norm3', 'context.res_layer3.0.downsample.1', 'context_encoder.layer3.0.downsample.1'),
    ('Basic', 'fnet.conv2', 'encoder.conv2', 'feature_encoder.conv'),
    ('Basic', 'update_block.encoder.convc2', 'decoder.encoder.corr_net.1.conv',
     'update_block.motion_encoder.convcorr2.0'),
    ('Basic', 'update_block.gru.convq2', 'decoder.gru.conv_q.1.conv', 'update_block.recurrent_block.convgru2.convq'),
    ('Basic', 'update_block.mask.0', 'decoder.mask_pred.layers.0.conv', 'mask_predictor.convrelu.0'),
    ('Basic', 'update_block.mask.2', 'decoder.mask_pred.predict_layer', 'mask_predictor.conv'),
    ('Small', 'fnet.layer2.0.conv3', 'encoder.res_layer2.0.conv3', 'feature_encoder.layer2.0.convnormrelu3.0'),
    ('Small', 'cnet.layer3.0.downsample.0', 'context.res_layer3.0.downsample.0',
     'context_encoder.layer3.0.downsample.0'),
    ('Small', 'update_block.encoder.convc1', 'decoder.encoder.corr_net.0.conv',
     'update_block.motion_encoder.convcorr1.0'),
    ('Small', 'update_block.encoder.convf1', 'decoder.encoder.flow_net.0.conv',
     'update_block.motion_encoder.convflow1.0'),
    ('Small', 'update_block.encoder.convf2', 'decoder.encoder.flow_net.1.conv',
     'update_block.motion_encoder.convflow2.0'),
    ('Small', 'update_block.encoder.conv', 'decoder.encoder.out_net.0.conv', 'update_block.motion_encoder.conv.0'),
    ('Small', 'update_block.gru.convz', 'decoder.gru.conv_z.0.conv', 'update_block.recurrent_block.convgru1.convz'),
    ('Small', 'update_block.gru.convr', 'decoder.gru.conv_r.0.conv', 'update_block.recurrent_block.convgru1.convr'),
    ('Small', 'update_block.flow_head.conv1', 'decoder.flow_pred.layers.0.conv', 'update_block.flow_head.conv1'),
    ('Small', 'update_block.flow_head.conv2', 'decoder.flow_pred.predict_layer', 'update_block.flow_head.conv2'),
])
def test_a_module_has_these_three_names(net_type, princeton, mmrefine, torchvision):
    state = official_state(net_type)
    for layout, name in (('mmrefine', mmrefine), ('torchvision', torchvision)):
        converted, _ = convert_raft(state, layout)
        for tensor in ('weight', 'bias'):
            assert torch.equal(converted[f'{name}.{tensor}'], state[f'{princeton}.{tensor}'])


@pytest.mark.parametrize('net_type, config', [('Basic', 'raft_official.py'), ('Small', 'raft_small.py')])
def test_converted_weights_fill_the_network_of_the_config_one_to_one(net_type, config):
    model = Config.fromfile(ROOT / 'configs' / '_base_' / 'models' / config).model
    network = build_estimator(model.estimator)
    converted, _ = convert_raft(official_state(net_type))
    network.load_state_dict(converted, strict=True)
    assert same(network.state_dict(), converted)
    # the norms that the authors register twice are there once
    twice = sum('.norm3.' in name for name in official_shapes('Basic'))
    assert len(converted) == len(official_shapes(net_type)) - (twice if net_type == 'Basic' else 0)
    assert twice == 10


def test_a_refiners_checkpoint_is_recognised_under_its_prefix():
    state, _ = convert_raft(official_state('Small'))
    prefixed = {f'module.estimator.{name}': tensor for name, tensor in state.items()}
    assert same(convert_raft(prefixed, 'princeton')[0], official_state('Small'))


def test_batch_counters_that_old_pytorch_did_not_write_may_be_absent():
    state = {k: v for k, v in official_state('Basic').items() if 'num_batches' not in k}
    converted, found = convert_raft(state, 'torchvision')
    assert found == ('princeton', 'Basic')
    assert same(convert_raft(converted, 'princeton')[0], state)


def test_foreign_names_are_refused_and_quoted():
    with pytest.raises(CheckpointError, match=r'found bn1\.weight, conv1\.weight, fc\.bias and 1 more, wanted .*fnet'):
        detect_raft(['fc.bias', 'conv1.weight', 'layer1.0.conv1.weight', 'bn1.weight'])


def test_an_incomplete_network_is_refused_by_what_it_lacks_and_what_it_has_too_much():
    state = official_state('Small')
    state['fnet.conv9.weight'] = state.pop('fnet.conv2.weight')
    with pytest.raises(CheckpointError, match=r'Small RAFT in princeton layout, but fnet\.conv2\.weight is missing '
                       r'and fnet\.conv9\.weight is left over'):
        convert_raft(state)


def test_two_names_of_one_norm_must_hold_one_tensor():
    state = official_state('Basic')
    state['cnet.layer2.0.norm3.bias'] = torch.zeros(96)
    with pytest.raises(CheckpointError, match=r'cnet\.layer2\.0\.downsample\.1\.bias and cnet\.layer2\.0\.norm3\.bias'):
        convert_raft(state)


def test_the_command_writes_weights_and_where_they_are_from(tmp_path, capsys):
    state = official_state('Small')
    torch.save({f'module.{k}': v for k, v in state.items()}, tmp_path / 'official.pth')
    assert tool().main([str(tmp_path / 'official.pth'), str(tmp_path / 'sub' / 'ours.pth')]) == 0
    ours = load_checkpoint_file(tmp_path / 'sub' / 'ours.pth')
    assert ours['meta'] == dict(
        layout='mmrefine', net_type='Small', source='official.pth', source_layout='princeton')
    assert same(ours['state_dict'], convert_raft(state)[0])
    assert ('from princeton to mmrefine names; its config is configs/_base_/models/raft_small.py'
            in capsys.readouterr().out)


@pytest.mark.parametrize('to, prefix', [('princeton', 'module.'), ('torchvision', '')])
def test_the_command_writes_bare_weights_for_the_other_code_bases(tmp_path, to, prefix):
    state = official_state('Basic')
    torch.save(dict(state_dict=convert_raft(state)[0]), tmp_path / 'ours.pth')
    assert tool().main([str(tmp_path / 'ours.pth'), str(tmp_path / 'theirs.pth'), '--to', to]) == 0
    wanted = {prefix + name: tensor for name, tensor in convert_raft(state, to)[0].items()}
    assert same(load_checkpoint_file(tmp_path / 'theirs.pth'), wanted)


def test_the_official_file_comes_back_as_it_was(shared_data, tmp_path):
    source = shared_data / 'weights' / 'raft-small.pth'
    assert tool().main([str(source), str(tmp_path / 'ours.pth')]) == 0
    assert tool().main([str(tmp_path / 'ours.pth'), str(tmp_path / 'back.pth'), '--to', 'princeton']) == 0
    official = load_checkpoint_file(source)
    assert same(load_checkpoint_file(tmp_path / 'back.pth'), official)
    shapes = {name[len('module.'):]: tuple(tensor.shape) for name, tensor in official.items()}
    assert shapes == official_shapes('Small')


STOCK = "model = dict(type='RAFT', data_preprocessor=dict(bgr_to_rgb={}), encoder=dict(type='{}'))"


@pytest.mark.parametrize('net_type, bgr_to_rgb, encoder, story', [
    ('Small', True, 'RAFTEncoder', 'stock.pth: .*bottlenecks lack a ReLU'),
    ('Basic', False, 'RAFTEncoder', 'stock.pth: .*BGR frames'),
    ('Basic', True, 'mmflow.RAFTEncoder', None),
    ('Small', True, 'mmrefine.OfficialRAFTEncoder', None),
])
def test_weights_that_mmflow_trained_in_its_own_way_are_not_renamed(net_type, bgr_to_rgb, encoder, story):
    checkpoint = dict(
        state_dict=convert_raft(official_state(net_type))[0],
        meta=dict(cfg=STOCK.format(bgr_to_rgb, encoder)))
    if story is None:
        assert convert_raft_checkpoint(checkpoint, 'torchvision')[1] == ('mmrefine', net_type)
    else:
        with pytest.raises(CheckpointError, match=story):
            convert_raft_checkpoint(checkpoint, 'torchvision', 'stock.pth')


def test_a_failed_command_says_why_in_one_line_and_leaves_the_target_as_it_was(tmp_path):
    source, target = tmp_path / 'resnet.pth', tmp_path / 'out.pth'
    torch.save({'fc.weight': torch.zeros(2, 2)}, source)
    target.write_bytes(b'precious')
    done = subprocess.run([sys.executable, str(TOOL), str(source), str(target)], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ''
    assert done.stderr.startswith(f'error: {source}: these are no RAFT weights')
    assert 'found fc.weight' in done.stderr and done.stderr.count('\n') == 1
    assert target.read_bytes() == b'precious'
    assert sorted(path.name for path in tmp_path.iterdir()) == ['out.pth', 'resnet.pth']


def test_a_missing_source_is_an_error_and_no_traceback(tmp_path, capsys):
    assert tool().main([str(tmp_path / 'nowhere.pth'), str(tmp_path / 'out.pth')]) == 1
    assert capsys.readouterr().err.startswith(f'error: {tmp_path / "nowhere.pth"}: found nothing')
    assert not (tmp_path / 'out.pth').exists()


def test_a_target_that_cannot_be_written_is_an_error_and_no_traceback(tmp_path, capsys):
    torch.save(official_state('Small'), tmp_path / 'official.pth')
    (tmp_path / 'file').write_text('in the way')
    target = tmp_path / 'file' / 'out.pth'
    assert tool().main([str(tmp_path / 'official.pth'), str(target)]) == 1
    assert capsys.readouterr().err.startswith(f'error: {target}')


def test_a_pips_checkpoint_goes_to_our_names_and_back(tmp_path, capsys):
    state = PIPs(mixer_channels=8, mixer_depth=1).state_dict()
    theirs, ours, again = (tmp_path / f'{name}.pth' for name in ('theirs', 'ours', 'again'))
    torch.save(dict(model_state_dict=convert_pips(state, 'official'), optimizer_state_dict={}), theirs)
    assert tool().main([str(theirs), str(ours)]) == 0 and tool().main([str(ours), str(again), '--to', 'official']) == 0
    found = load_checkpoint_file(ours)['state_dict']
    assert set(found) == set(state) and all(torch.equal(found[name], state[name]) for name in state)
    assert set(load_checkpoint_file(again)['model_state_dict']) == set(convert_pips(state, 'official'))
    capsys.readouterr()
    assert tool().main([str(theirs), str(ours), '--to', 'torchvision']) == 1
    assert 'holds a PIPs network, which has the names mmrefine and official' in capsys.readouterr().err
    torch.save(dict(conv=torch.zeros(1)), theirs)
    assert tool().main([str(theirs), str(ours), '--to', 'official']) == 1
    assert 'holds no CRAFT, PIPs or CorrFlow network' in capsys.readouterr().err
