"""A short name leads to a config that reads, and any layout of weights to the same network."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from small_trees import ROOT

from mmrefine.apis import inference_flow, init_model, make_labels, open_model
from mmrefine.apis.named_models import find_config, find_weights, load_named, model_lines, official_kind
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.config_names import own_config_root
from mmrefine.compat.model_names import NAMED_MODELS
from mmrefine.compat.official_checkpoints import convert_raft_checkpoint
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.fileio.atomic import save_checkpoint

DEMO_WEIGHTS = ROOT / 'configs/demo/raft_small_source.pth'


def test_every_name_leads_to_a_config_for_a_video_whose_network_is_what_it_says():
    kinds = {}
    for name, named in NAMED_MODELS.items():
        assert find_config(name) == ROOT / 'configs' / named.config
        cfg = load_named(name, dict(video='a.mp4'))
        kinds[name] = official_kind(cfg)
        assert cfg.video == 'a.mp4' and cfg.load_from
    assert kinds == dict(raft_small='Small', raft_small_convex='Small', raft_official='Basic', raft=None, craft=None,
                         demo='Small', pips=None, corrflow=None, pips_demo=None)
    assert load_named('raft').load_from.rpartition('/')[2] == NAMED_MODELS['raft'].address.rpartition('/')[2]


def test_a_config_is_found_by_its_path_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert own_config_root() == ROOT / 'configs'
    for text in ('configs/refine/pwcnet_sintel.py', 'refine/pwcnet_sintel.py'):
        assert find_config(text) == ROOT / 'configs/refine/pwcnet_sintel.py'
    (tmp_path / 'mine.py').write_text('')
    assert find_config('mine.py') == Path('mine.py')
    with pytest.raises(ConfigError,
                       match=r'raft_smal: there is no such model or config file; did you mean raft_small\?'):
        find_config('raft_smal')
    with pytest.raises(ConfigError,
                       match='other.py: .* name a config file, or one of raft_small, raft_small_convex, raft_official'):
        find_config('other.py')


def test_the_demo_weights_are_found_from_anywhere_and_others_where_the_config_wants_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    assert find_weights(load_named('demo')) == DEMO_WEIGHTS
    lines = model_lines()
    assert lines[0] == f'configs: {ROOT / "configs"}'
    assert any(line.startswith('--model demo: ') and line.endswith(f'weights: {DEMO_WEIGHTS}') for line in lines)
    assert any(line.startswith('--model pips: ') and 'weights: none; they are the reference_model' in line
               for line in lines)
    with pytest.raises(CheckpointError, match='craft-sintel.pth of its authors, .* try things out with --model demo$'):
        find_weights(load_named('craft'))
    for name in ('raft_small', 'raft_official', 'raft'):
        assert any(line.startswith(f'--model {name}: ') and 'none yet; https://' in line for line in lines)
    (tmp_path / 'checkpoints').mkdir()
    wanted = Path(load_named('raft').load_from)
    wanted.write_bytes(b'there')
    assert find_weights(load_named('raft')) == wanted
    with pytest.raises(CheckpointError, match='none.pth: the weights to start from are not there; put it there'):
        find_weights(load_named(ROOT / 'configs/refine/pwcnet_sintel.py', dict(load_from='none.pth')))


@pytest.mark.parametrize('layout', ['princeton', 'torchvision'])
def test_official_weights_are_renamed_on_the_fly(layout, tmp_path):
    save_checkpoint(tmp_path / 'official.pth', convert_raft_checkpoint(load_checkpoint_file(DEMO_WEIGHTS), layout)[0])
    frames = [np.random.default_rng(seed).integers(0, 255, (40, 56, 3), dtype=np.uint8) for seed in (0, 1)]
    flows = []
    for path in (None, tmp_path / 'official.pth'):
        model = open_model('demo', path)
        model.test_iters = 1
        assert not model.training
        flows.append(inference_flow(model, *frames))
    assert np.array_equal(*flows) and np.abs(flows[0]).max() > 0
    for other, hint in (('raft_official', 'raft_small'), ('raft', 'raft_small')):
        with pytest.raises(CheckpointError,
                           match=f'holds the official Small RAFT .{layout} names.* add --model {hint}'):
            open_model(other, tmp_path / 'official.pth')


def test_load_from_takes_an_official_file_as_the_command_does(trees, tmp_path):
    save_checkpoint(tmp_path / 'official.pth',
                    convert_raft_checkpoint(load_checkpoint_file(DEMO_WEIGHTS), 'princeton')[0])
    values = {'video': str(trees['video']), 'held_out': 0., 'model.test_iters': 1, 'labeler.view.scales': (1., ),
              'labeler.balance': None}
    stores = []
    for name, path in (('ours', DEMO_WEIGHTS), ('official', tmp_path / 'official.pth')):
        cfg = load_named('demo', {**values, 'load_from': str(path)})
        cfg.work_dir = str(tmp_path / name)
        store, = make_labels(cfg)
        stores.append({file.relative_to(store): file.read_bytes() for file in store.rglob('*.png')})
    assert stores[0] == stores[1] and len(stores[0]) > 1
    models = [init_model(load_named('demo'), path) for path in (DEMO_WEIGHTS, tmp_path / 'official.pth')]
    states = [model.state_dict() for model in models]
    assert states[0].keys() == states[1].keys() and all(torch.equal(states[0][key], states[1][key])
                                                        for key in states[0])


def test_weights_of_another_network_are_refused_with_their_file(tmp_path):
    save_checkpoint(tmp_path / 'odd.pth', dict(state_dict={'layer.weight': torch.zeros(2)}))
    with pytest.raises(CheckpointError, match='odd.pth: these are not the weights of the configured RAFT'):
        open_model('demo', tmp_path / 'odd.pth')


def test_progress_speaks_now_and_then_and_reckons_what_is_left():
    now, lines = [0.], []
    progress = Progress('flow: {} pairs', 100, lines.append, every=10., clock=lambda: now[0])
    for done in range(1, 101):
        now[0] = done * 1.5
        progress(done)
    assert lines[0] == 'flow: 7/100 pairs, 0.67 a second, 2 min 20 s left'
    assert len(lines) == 15 and lines[-1] == 'flow: 100/100 pairs, 0.67 a second, 0 min 00 s left'
    quick, lines2 = [0.], []
    progress = Progress('{} frames', None, lines2.append, every=10., clock=lambda: quick[0])
    progress(3)
    quick[0] = 12.
    progress(30)
    assert lines2 == ['30 frames, 2.50 a second']
    quick[0] = 30.
    progress.beyond(30)(15)
    assert lines2[1:] == ['45 frames, 1.50 a second']
    odd = Progress('{a}{} of {}: {} pairs', None, lines2.append, every=0., clock=lambda: quick[0])
    odd(3)
    assert lines2[2].startswith('{a}{} of {}: 3 pairs, ')
