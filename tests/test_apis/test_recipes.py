"""What a recipe makes of a config that refines by labels."""
from __future__ import annotations

import pytest
from small_trees import ROOT

from mmrefine.apis.named_models import load_named
from mmrefine.apis.recipes import with_recipe
from mmrefine.config.check import check_config
from mmrefine.config.load import load_config
from mmrefine.errors import ConfigError


@pytest.mark.parametrize('recipe, config', [('warp', 'raft_small_warp_smooth_video'),
                                            ('cycle', 'raft_small_cycle_video')])
def test_a_recipe_on_the_config_of_labels_is_the_baseline(recipe, config):
    found = with_recipe(load_named('raft_small'), recipe).to_dict()
    wanted = load_config(ROOT / f'configs/baselines/{config}.py').to_dict()
    assert found.pop('recipe') == recipe and found.pop('labeler')
    assert found == wanted


@pytest.mark.parametrize('model', ['raft_small', 'raft', 'raft_official', 'craft', 'demo', 'demo/raft_small_target.py'])
@pytest.mark.parametrize('recipe', ['warp', 'cycle', 'smurf'])
def test_a_recipe_keeps_network_schedule_guard_and_report(model, recipe):
    before = load_named(model)
    cfg = with_recipe(before, recipe)
    check_config(cfg)
    assert cfg.filename == before.filename and cfg.optim_wrapper == before.optim_wrapper
    assert cfg.model.estimator == before.model.estimator
    assert cfg.custom_hooks == [hook for hook in before.custom_hooks if hook['type'] != 'PseudoLabelHook']
    kinds = [part['type'] for part in cfg.train_pipeline]
    assert kinds[0] == 'KeepWholeFrames' and not {'LoadLabel', 'SelfWarp'} & set(kinds)
    batch, half = (one.get('batch_size', one.train_dataloader.batch_size) for one in (before, cfg))
    assert cfg.train_dataloader.dataset.directions == 'forward' and 2 * half == batch
    assert with_recipe(before, 'labels') is before


@pytest.mark.parametrize('model', ['pips', 'corrflow', 'demo/raft_small_source.py', 'baselines/raft_cycle.py'])
def test_a_recipe_is_refused_where_nothing_learns_from_labels_of_a_video(model):
    with pytest.raises(ConfigError, match='recipe=warp is for flow networks that learn from labels of a video'):
        with_recipe(load_named(model), 'warp')
    with pytest.raises(ConfigError, match="recipe must be one of labels, warp, cycle, smurf, got 'unflow'"):
        with_recipe(load_named(model), 'unflow')
