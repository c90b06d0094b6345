"""What a recipe makes of a config that refines by labels."""
from __future__ import annotations

import pytest
from small_trees import ROOT

from mmrefine.apis.named_models import load_named
from mmrefine.apis.recipes import load_with_recipe, with_recipe
from mmrefine.compat.model_names import NAMED_MODELS
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


@pytest.mark.parametrize('model', ['raft_small', 'raft', 'craft', 'demo', 'demo/raft_small_target.py',
                                   'refine/raft_sintel.py'])
def test_labels_and_the_losses_of_warp(model):
    """Those of warp alone, a thousand times as heavy, on the frames that a label is of."""
    labels, warp, both = (with_recipe(load_named(model), recipe) for recipe in ('labels', 'warp', 'labels+warp'))
    check_config(both)
    weighed = [{**loss, 'loss_weight': pytest.approx(1000 * loss.loss_weight)} for loss in warp.model.losses]
    assert list(both.model.losses) == [*labels.model.losses, *weighed]
    kinds = [part['type'] for part in both.train_pipeline]
    place = kinds.index('KeepWholeFrames')
    assert kinds[place - 1] == ('SelfWarp' if 'SelfWarp' in kinds else 'LoadLabel')
    assert [kind for kind in kinds if kind != 'KeepWholeFrames'] == [part['type'] for part in labels.train_pipeline]
    assert both.get('batch_size') == warp.get('batch_size')
    assert both.train_dataloader.get('batch_size') == warp.train_dataloader.get('batch_size')
    assert both.custom_hooks == labels.custom_hooks and both.train_dataloader.dataset == labels.train_dataloader.dataset
    assert both.optim_wrapper == labels.optim_wrapper and both.model.estimator == labels.model.estimator


def test_a_short_name_learns_from_both_and_a_config_from_what_it_says():
    found = {name: load_with_recipe(name).get('recipe') for name in NAMED_MODELS}
    flow = ('raft_small', 'raft_small_convex', 'raft_official', 'raft', 'craft', 'demo')
    assert found == {name: 'labels+warp' if name in flow else None for name in NAMED_MODELS}
    config = ROOT / 'configs/refine/raft_small_video.py'
    for same in (config, str(config), 'refine/raft_small_video.py', load_named('raft_small')):
        assert load_with_recipe(same).to_dict() == load_named('raft_small').to_dict()
    assert load_with_recipe('raft_small', 'labels').to_dict() == load_named('raft_small').to_dict()
    assert load_with_recipe(config, 'labels+warp').to_dict() == load_with_recipe('raft_small').to_dict()


@pytest.mark.parametrize('model', ['pips', 'corrflow', 'demo/raft_small_source.py', 'baselines/raft_cycle.py'])
def test_a_recipe_is_refused_where_nothing_learns_from_labels_of_a_video(model):
    with pytest.raises(ConfigError, match='recipe=warp is for flow networks that learn from labels of a video'):
        with_recipe(load_named(model), 'warp')
    with pytest.raises(ConfigError, match=r"must be one of labels\+warp, labels, warp, cycle, smurf, got 'unflow'"):
        with_recipe(load_named(model), 'unflow')
