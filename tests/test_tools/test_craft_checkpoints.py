"""CRAFT's weights keep every value under the names of its authors and ours."""
from __future__ import annotations

import pytest
import torch
from helpers_cli import error_of, status_of
from mmengine.config import Config
from test_convert_checkpoint import official_shapes as raft_shapes
from test_convert_checkpoint import same, tool

from mmrefine.apis import export as exporting
from mmrefine.apis import init_model
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.config_names import own_config_root
from mmrefine.compat.craft_checkpoints import convert_craft, convert_craft_checkpoint, craft_layout, craft_names
from mmrefine.errors import CheckpointError
from mmrefine.models import load_estimator

CONFIG = own_config_root() / '_base_/models/craft.py'
TIED = ('corr_fn.setrans.query.', 'corr_fn.setrans.key.')


def official_shapes():
    """Every tensor of the authors' CRAFT by name; written from their network, not from our table."""
    shapes = raft_shapes('Basic')
    for name, shape in shapes.items():
        if '.gru.' in name and name.endswith('weight'):
            shapes[name] = (128, 4 * 128, *shape[2:])

    def attention(name, channels, bias):
        for projection in ('query', 'key'):
            shapes[f'{name}.setrans.{projection}.weight'] = (channels, channels)
            if bias:
                shapes[f'{name}.setrans.{projection}.bias'] = (channels, )
        shapes[f'{name}.vispos_encoder.pos_coder.biases'] = (15, 15)

    def collects(name, channels):
        shapes[f'{name}.input_skip_coeff'] = (1, )
        shapes[f'{name}.first_linear.weight'] = (4 * channels, channels)
        score(f'{name}.feat_softaggr', channels)

    def score(name, channels):
        shapes[f'{name}.feat2score.weight'], shapes[f'{name}.feat2score.bias'] = (1, channels), (1, )

    attention('corr_fn', 256, bias=True)
    score('corr_fn.setrans.attn_softaggr', 1)
    attention('f2_trans', 256, bias=False)
    collects('f2_trans.setrans.out_trans', 256)
    attention('att', 128, bias=False)
    score('att.setrans.attn_softaggr', 1)
    collects('update_block.aggregator', 128)
    return shapes


def official_state():
    """No two tensors are equal, apart from those that the authors register twice."""
    state = {name: torch.full(shape, float(i)) if shape else torch.tensor(i)
             for i, (name, shape) in enumerate(official_shapes().items())}
    for name in state:
        if '.norm3.' in name:
            state[name] = state[name.replace('norm3', 'downsample.1')]
        if name.startswith(TIED[1]):
            state[name] = state[name.replace(TIED[1], TIED[0])]
    return state


def test_the_official_weights_fill_our_network_and_come_back_as_they_were():
    state, network = official_state(), init_model(CONFIG).estimator
    ours = convert_craft(state)
    network.load_state_dict(ours, strict=True)
    assert same(convert_craft(network.state_dict(), 'official'), state)
    assert same(convert_craft(ours), ours) and same(convert_craft(state, 'official'), state)
    assert len({name for row in craft_names() for name in row}) == 2 * len(ours) == 2 * len(craft_names())
    assert craft_layout(state) == 'official' and craft_layout(ours) == 'mmrefine' and craft_layout({'fc': 0}) is None


def test_a_training_checkpoint_of_the_authors_is_taken_without_the_tables_that_old_ones_hold(tmp_path):
    state = official_state()
    tables = {f'{part}.vispos_encoder.pos_coder.all_{axis}{i}s': torch.zeros(2, 2, dtype=torch.long)
              for part in ('corr_fn', 'att', 'f2_trans') for axis in 'hw' for i in (1, 2)}
    file = dict(model={f'module.{name}': value for name, value in {**state, **tables}.items()}, lr_scheduler={})
    torch.save(file, tmp_path / 'craft-kitti.pth')
    model = init_model(CONFIG)
    load_estimator(model, tmp_path / 'craft-kitti.pth')
    assert same(model.estimator.state_dict(), convert_craft(state))
    converted = convert_craft_checkpoint(file, source='a/craft-kitti.pth')
    assert converted['meta'] == dict(layout='mmrefine', network='CRAFT', source='craft-kitti.pth')
    assert same(converted['state_dict'], convert_craft(state))


def test_networks_of_one_mode_have_no_scores_of_modes():
    state = {name: value for name, value in official_state().items() if '.attn_softaggr' not in name}
    state['update_block.aggregator.first_linear.weight'] = torch.zeros(128, 128)
    model = Config.fromfile(CONFIG).model
    model.estimator.decoder.update(inter_modes=1, intra_modes=1)
    network = init_model(Config(dict(model=model))).estimator
    network.load_state_dict(convert_craft(state), strict=True)
    assert same(convert_craft(network.state_dict(), 'official'), state)


@pytest.mark.parametrize('name', ['corr_fn.setrans.key.bias', 'cnet.layer2.0.norm3.bias'])
def test_two_names_of_one_tensor_must_hold_one_value(name):
    state = official_state()
    state[name] = state[name] + 1
    with pytest.raises(CheckpointError, match=f'and {name} are one tensor in the CRAFT code, but differ'):
        convert_craft(state)


def test_what_is_no_official_craft_is_refused_and_quoted():
    state = official_state()
    state['att.setrans.value.weight'] = state.pop('att.setrans.key.weight')
    with pytest.raises(CheckpointError, match=r'a\.pth: these are nearly .* official layout, but att\.setrans\.key\.'
                       r'weight is missing and att\.setrans\.value\.weight is left over'):
        convert_craft_checkpoint(state, source='a.pth')
    with pytest.raises(CheckpointError, match='holds no CRAFT'):
        convert_craft({'fnet.conv1.weight': torch.zeros(1)})
    with pytest.raises(CheckpointError, match="layouts mmrefine and official, not 'princeton'"):
        convert_craft(state, 'princeton')


def test_the_command_converts_both_ways(tmp_path, capsys):
    state = official_state()
    theirs, ours, again = (tmp_path / f'{name}.pth' for name in ('theirs', 'ours', 'again'))
    torch.save({f'module.{name}': value for name, value in state.items()}, theirs)
    assert tool().main([str(theirs), str(ours)]) == 0
    assert f'{ours}: the CRAFT of {theirs} under mmrefine names' in capsys.readouterr().out
    assert same(load_checkpoint_file(ours)['state_dict'], convert_craft(state))
    assert tool().main([str(ours), str(again), '--to', 'official']) == 0
    assert same(load_checkpoint_file(again)['model'], {f'module.{name}': value for name, value in state.items()})
    capsys.readouterr()
    assert tool().main([str(theirs), str(ours), '--to', 'torchvision']) == 1
    assert 'holds a CRAFT network, which has the names mmrefine and official' in capsys.readouterr().err


def test_craft_is_exported_for_its_authors_and_no_other_code(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exporting, 'CHECK_SIZE', (64, 80))
    config = tmp_path / 'craft.py'
    config.write_text(f"_base_ = '{CONFIG}'\nmodel = dict(test_iters=1)\n")
    state = init_model(config).estimator.state_dict()
    torch.save(dict(state_dict=state), tmp_path / 'refined.pth')
    out = tmp_path / 'out.pth'
    assert status_of('export', tmp_path / 'refined.pth', '--to', 'official', '--out', out, '--model', config) == 0
    text = capsys.readouterr().out
    assert f'{out}: CRAFT for official; the flows before and after differ by at most 0 px' in text
    assert f'python evaluate.py --model {out} --craft --f2 full --setrans' in text
    assert same(convert_craft(load_checkpoint_file(out)['model']), state)
    assert 'torchvision has no CRAFT; use --to mmflow' in error_of(
        capsys, 'export', tmp_path / 'refined.pth', '--to', 'torchvision', '--out', out, '--model', config)
    small = Config.fromfile(own_config_root() / '_base_/models/craft_small.py')
    torch.save(dict(state_dict=init_model(small).estimator.state_dict()), tmp_path / 'small.pth')
    assert "the authors' code has no CRAFT of this size" in error_of(
        capsys, 'export', tmp_path / 'small.pth', '--to', 'official', '--out', out, '--model', small.filename)
