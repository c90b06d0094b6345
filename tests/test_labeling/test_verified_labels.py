"""The verifier in the arbitrated view and in a labeler."""
from __future__ import annotations

import pytest
import torch
from small_runs import small_model

from mmrefine.errors import ConfigError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.labeling import ArbitratedView, FlowLabeler, PassVerifier
from mmrefine.models import FlowRefiner, FrozenTeacher
from mmrefine.structures import PairBatch
from mmrefine.synthetic import render_clip

SMALL = dict(width=8, head=8, features=8)


def verifier(path, seed=0):
    """The config of a small one, with random weights of its own."""
    torch.manual_seed(seed)
    network = PassVerifier(**SMALL)
    with torch.no_grad():
        network.logits.weight.normal_(std=0.1)
    save_checkpoint(path, dict(state_dict=network.state_dict()))
    return dict(type='OtherNetwork', checkpoint=str(path), model=dict(
        type='VerifierLearner', estimator=dict(type='mmrefine.PassVerifier', **SMALL)))


@pytest.fixture(scope='module')
def teacher():
    torch.manual_seed(3)
    return FrozenTeacher(FlowRefiner(**{key: value for key, value in small_model().items() if key != 'type'}))


@pytest.fixture(scope='module')
def pairs():
    frames = torch.from_numpy(render_clip(3, 3, (64, 96)).frames).permute(0, 3, 1, 2).float() / 255
    return PairBatch(frames[:-1], frames[1:])


def test_the_view_gives_what_the_verifier_makes_of_its_passes(tmp_path, teacher, pairs):
    view = ArbitratedView(scales=(1., 2.), verifier=verifier(tmp_path / 'a.pth'))
    look = view.look(teacher, pairs)
    frames, passes = pairs.both_ways(), torch.stack(list(view.motions(teacher, pairs).values()))
    start, shares = view.arbiter.settle(*frames, passes)
    network = PassVerifier(**SMALL)
    network.load_state_dict(torch.load(tmp_path / 'a.pth', weights_only=True)['state_dict'])
    with torch.no_grad():
        found = network(*frames, passes, torch.tensor([[0., 0.], [1., 0.], [1., 1.]]), start, shares)
    torch.testing.assert_close(look.both_ways(), found.motion)
    assert not torch.allclose(found.motion, start)
    assert list(look.shares_fw[0]) == ['from_1x', 'from_2x', 'from_2x_flipped', 'from_registered']
    assert sum(look.shares_bw[1].values()) == pytest.approx(1, abs=1e-5)


def test_labels_name_the_weights_that_verified_them_and_not_the_file(tmp_path):
    def described(config):
        return FlowLabeler(view=dict(type='ArbitratedView', verifier=config)).describe()

    one, moved, other = (described(verifier(tmp_path / name, seed)) for name, seed in (('a', 0), ('b', 0), ('c', 1)))
    assert one == moved and one != other
    assert str(tmp_path) not in str(one) and one['view']['contents']['verifier']['digest']
    # labels of before there was one are still the same labels
    plain = FlowLabeler(view=dict(type='ArbitratedView')).describe()
    assert 'contents' not in plain['view'] and 'verifier' not in plain['view']


def test_its_memory_counts(tmp_path):
    labeler = FlowLabeler(view=dict(type='ArbitratedView', verifier=verifier(tmp_path / 'a.pth')))
    assert labeler.own_bytes((480, 854)) > 1e8 > FlowLabeler(view=dict(type='ArbitratedView')).own_bytes((480, 854))


def test_another_kind_of_network_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"ArbitratedView.verifier must be dict\(type='OtherNetwork'"):
        ArbitratedView(verifier=dict(type='StudentCopy'))


def test_the_expected_error_becomes_a_filter_and_a_statistic(tmp_path, teacher, pairs):
    view = dict(type='ArbitratedView', scales=(1., 2.), verifier=verifier(tmp_path / 'a.pth'))
    look = ArbitratedView(**{key: value for key, value in view.items() if key != 'type'}).look(teacher, pairs)
    most = float(look.error_fw.median())
    for soft in (False, True):
        labeler = FlowLabeler(view=view, filters=[dict(type='ExpectedErrorFilter', most=most, soft=soft)],
                              directions='both')
        labels = labeler.label_pairs(teacher, pairs)
        for number, label in enumerate(labels):
            for found, error, stats in ((label.forward, look.error_fw, label.stats),
                                        (label.backward, look.error_bw, label.stats_backward)):
                wanted = 1 / (1 + (error[number] / most)**2) if soft else (error[number] <= most).float()
                torch.testing.assert_close(found.weight, wanted)
                assert stats['expected_error'] == pytest.approx(float(error[number].mean()), rel=1e-3)
    plain = FlowLabeler(view=dict(type='CascadeView'), filters=[dict(type='ExpectedErrorFilter')])
    with pytest.raises(ConfigError, match='ExpectedErrorFilter needs a view that knows the error'):
        plain.label_pairs(teacher, pairs)
    with pytest.raises(ConfigError, match='ExpectedErrorFilter.most'):
        FlowLabeler(view=view, filters=[dict(type='ExpectedErrorFilter', most=0.)])


def test_weights_that_come_with_the_package_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = dict(type='OtherNetwork', model='verifier/pass_verifier.py',
                  checkpoint='configs/verifier/pass_verifier.pth')
    view = ArbitratedView(verifier=config)
    assert view.describe()['verifier']['network'] == 'PassVerifier'
