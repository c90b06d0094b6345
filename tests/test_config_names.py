"""``mmrefine::…`` in a user's config leads to the configs that come with mmrefine (F17), ``mmflow::…`` to mmflow's."""
from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from mmengine.config import Config
from small_trees import ROOT, tool

from mmrefine.apis import init_model
from mmrefine.apis.named_models import find_weights
from mmrefine.compat.config_names import accept_own_names, carried_file, config_file
from mmrefine.compat.stock import stock_config_root, stock_model_configs
from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError

SMALL_VIDEO = ROOT / 'configs/refine/raft_small_video.py'


def own(folder, base, more=''):
    """A config of one's own, in a folder that knows nothing of mmrefine."""
    file = folder / 'mine.py'
    file.write_text(f'_base_ = [{base!r}]\n{more}')
    return file


def test_mmengine_does_not_know_the_name_of_mmrefine(tmp_path):
    """F17, in a process that does not import mmrefine; once it works there, compat/config_names.py can go."""
    mine = own(tmp_path, 'mmrefine::refine/raft_small_video.py')
    code = f'from mmengine.config import Config; Config.fromfile({str(mine)!r})'
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=300)
    assert 'does not support to load mmrefine config' in done.stderr


def test_a_config_that_inherits_by_name_is_the_one_that_inherits_by_path(tmp_path):
    more = 'teacher = {{_base_.model}}\nbatch_size = 3\n'
    by_name = Config.fromfile(own(tmp_path, 'mmrefine::refine/raft_small_video.py', more))
    by_path = Config.fromfile(SMALL_VIDEO)
    assert by_name.pop('teacher') == by_path.model and by_name.pop('batch_size') == 3 and by_path.pop('batch_size') == 2
    assert by_name.to_dict() == by_path.to_dict()


@pytest.mark.parametrize('first', ['import mmrefine; from mmengine.config import Config',
                                   'from mmengine.config import Config; import mmrefine'])
def test_the_order_of_the_imports_does_not_matter(first, tmp_path):
    code = f'{first}; print(Config.fromfile({str(own(tmp_path, "mmrefine::refine/raft_small_video.py"))!r}).model.type)'
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=300)
    assert done.stdout == 'FlowRefiner\n', done.stderr


def test_the_name_is_taught_once():
    before = Config._get_cfg_path
    accept_own_names(Config)
    assert Config._get_cfg_path is before


@pytest.mark.parametrize('name, hint', [
    ('mmrefine::refine/raft_smal_video.py', r'did you mean mmrefine::refine/raft_small_video\.py or '),
    ('mmrefine::raft_kitti2015.py', r'did you mean mmrefine::refine/raft_kitti2015\.py or '
     r'mmrefine::clip_flow/raft_kitti2015\.py or mmrefine::clip_flow/craft_kitti2015\.py\?'),
    ('mmrefine::zzz.py', 'those of mmrefine are in .*configs'),
    ('mmflow::_base_/models/raff.py', r'did you mean mmflow::_base_/models/raft\.py'),
])
def test_a_name_that_leads_nowhere_is_answered_with_near_ones(name, hint, tmp_path):
    sentence = f'{name}: there is no such config file; {hint}'
    with pytest.raises(ConfigError, match=sentence):
        load_config(name)
    if name.startswith('mmrefine'):
        with pytest.raises(ConfigError, match=f'^{sentence}'):
            Config.fromfile(own(tmp_path, name))
        with pytest.raises(ConfigError, match=f'mine.py: _base_ is invalid: {sentence}'):
            load_config(tmp_path / 'mine.py')


def test_another_package_is_refused():
    with pytest.raises(ConfigError, match='mmdet::a.py: only mmrefine:: and mmflow:: name configs .*, got mmdet::'):
        config_file('mmdet::a.py')


def test_the_tools_take_such_configs_from_anywhere(trees, weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = own(tmp_path, 'mmrefine::refine/raft_small_video.py', 'model = dict(test_iters=1)\n')
    shutil.copy(weights['small'], tmp_path / 'start.pth')
    for config in (mine.name, 'mmrefine::refine/raft_small_video.py'):
        options = ['--cfg-options', f'video={trees["video"]}', 'model.test_iters=1', 'held_out=0']
        assert tool('test').main([config, 'start.pth', '--device', 'cpu', *options]) == 0


def test_weights_that_come_with_the_configs_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = ROOT / 'configs/demo/raft_small_source.pth'
    assert find_weights(load_config(own(tmp_path, 'mmrefine::demo/raft_small_video.py'))) == wanted
    assert carried_file('configs/demo/none.pth').as_posix() == 'configs/demo/none.pth'
    (tmp_path / 'configs/demo').mkdir(parents=True)
    (tmp_path / 'configs/demo/raft_small_source.pth').write_bytes(b'mine')
    assert carried_file('configs/demo/raft_small_source.pth').as_posix() == 'configs/demo/raft_small_source.pth'


def test_every_stock_model_config_is_a_network_that_init_model_builds():
    names = stock_model_configs()
    built = [init_model(f'mmflow::{name}') for name in names]
    wanted = [Config.fromfile(stock_config_root() / name).model.type for name in names]
    assert len(built) == 28 and [type(model.estimator).__name__ for model in built] == wanted


def test_a_misspelt_part_of_a_config_without_a_scope_is_still_found(tmp_path):
    (tmp_path / 'bare.py').write_text("model = dict(type='FlowRefinr', estimator=dict(type='RAFT'))\n")
    with pytest.raises(ConfigError, match="model: there is no 'FlowRefinr'; did you mean FlowRefiner"):
        init_model(tmp_path / 'bare.py')
    (tmp_path / 'bare.py').write_text("model = dict(type='RAFTT')\n")
    with pytest.raises(ConfigError, match="bare.py: a part of it cannot be built .*RAFTT"):
        init_model(tmp_path / 'bare.py')
