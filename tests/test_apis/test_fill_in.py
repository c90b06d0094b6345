"""References in configs, and the check of their keys."""
from __future__ import annotations

import warnings

import pytest
from mmengine.config import Config, ConfigDict

with warnings.catch_warnings():
    # what libraries say at their import on a newer torch is not held against a test
    warnings.simplefilter('ignore')
    from mmrefine.config.check import check_config
    from mmrefine.config.load import fill_in, load_config, override

from mmrefine.errors import ConfigError


def test_a_reference_stands_for_the_value_whatever_its_type():
    cfg = Config(dict(
        steps=7, size=(4, 6), part=dict(way='both', deep=dict(x=[1, 2])), root='data', none=None,
        out=dict(a='{steps}', b='{steps+100}', c='{steps-7}', d='{size}', e='{part}', f='{part.way}', g='{part.deep.x}',
                 h='{root}/{part.way}/x{steps}', i=['{steps}', ('{root}', )],
                 j='iter_{}.pth', k='{:06d}', l=None)))
    out = fill_in(cfg).out
    assert isinstance(out, ConfigDict) and isinstance(out.e, ConfigDict) and out.e.deep.x == [1, 2]
    assert (out.a, out.b, out.c) == (7, 107, 0) and (out.d, out.f, out.g) == ((4, 6), 'both', [1, 2])
    assert (out.h == 'data/both/x7' and out.i == [7, ('data', )]
            and (out.j, out.k, out.l) == ('iter_{}.pth', '{:06d}', None))
    assert cfg.out.a == '{steps}'  # a copy


def test_a_reference_may_lead_to_references_but_not_in_a_circle():
    assert fill_in(Config(dict(a='{b}', b=['{c}/x'], c='y'))).a == ['y/x']
    with pytest.raises(ConfigError, match='a -> b -> a is a circle|b -> a -> b is a circle'):
        fill_in(Config(dict(a='{b}', b='{a}')))


def test_what_is_not_set_or_not_there_is_named_once_each():
    cfg = Config(dict(video=None, one='{video}', two=dict(x='{video}/frames'), three=['{vido}']))
    with pytest.raises(ConfigError) as error:
        fill_in(cfg)
    assert str(error.value) == ('config: one needs video, which is not set; add --cfg-options video=…; '
                                'three.0 needs vido, and there is no such key in the config')


def test_the_networks_own_config_is_left_alone():
    cfg = Config(dict(a=1, model=dict(type='FlowRefiner', test_iters='{a}', estimator=dict(type='X', name='{a}'))))
    assert fill_in(cfg).model == dict(type='FlowRefiner', test_iters=1, estimator=dict(type='X', name='{a}'))


def test_an_override_makes_a_checked_copy():
    cfg = Config(dict(train_dataloader=dict(batch_size=1),
                      custom_hooks=[dict(type='PseudoLabelHook', dataset={}, labeler={})]))
    new = override(cfg, {'train_dataloader.batch_size': 4, 'train_dataloader.drop_last': True,
                         'custom_hooks.0.batch_size': 3, 'work_dir': 'x'})
    assert new.train_dataloader == dict(batch_size=4, drop_last=True) and new.custom_hooks[0].batch_size == 3
    assert cfg.train_dataloader == dict(batch_size=1)
    with pytest.raises(ConfigError, match="train_dataloader has no key 'drop_lst'; did you mean 'drop_last'"):
        override(cfg, {'train_dataloader.drop_lst': True})
    with pytest.raises(ConfigError, match="batch_size is 1, which has no keys"):
        override(cfg, {'train_dataloader.batch_size.x': True})


def test_parts_of_mmengine_and_of_torch_are_known():
    check_config(Config(dict(
        optim_wrapper=dict(type='AmpOptimWrapper', optimizer=dict(type='AdamW', lr=1., betas=(0.9, 0.999)),
                           loss_scale='dynamic'),
        param_scheduler=[dict(type='OneCycleLR', eta_max=1., total_steps=3),
                         dict(type='mmengine.LinearLR', start_factor=1.)],
        custom_hooks=[dict(type='EMAHook', priority=49)])))
    with pytest.raises(ConfigError, match="optim_wrapper.optimizer: AdamW has no key 'learning_rate'"):
        check_config(Config(dict(optim_wrapper=dict(optimizer=dict(type='AdamW', learning_rate=1.)))))


def test_a_stock_config_is_taken_as_it_is():
    cfg = load_config('mmflow::pwcnet/pwcnet-ft_4xb1_300k_sintel-384x768.py')
    assert cfg.model.type == 'PWCNet'
    with pytest.raises(ConfigError, match='mmflow::pwcnet/none.py: there is no such config file'):
        load_config('mmflow::pwcnet/none.py')
