"""Several teachers whose passes are weighed together."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers_cli import DEMO_WEIGHTS, ROOT
from mmengine.config import Config
from test_verified_labels import verifier

from mmrefine.apis import init_model
from mmrefine.compat.stock import stock_config_root
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_flow
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.labeling import ArbitratedView, FlowLabeler
from mmrefine.models import FlowRefiner, FrozenGroup, FrozenTeacher, TeacherGroup
from mmrefine.models.teachers.group import build_source
from mmrefine.registry import TEACHERS
from mmrefine.structures import LabelBatch, LabelUnit, LookRequest, PairBatch, as_frames
from mmrefine.synthetic import render_clip

BOTH = dict(type='ArbitratedView', scales=(1., 2.))


class Says:
    """A teacher whose motion is what a function makes of the frames."""
    accepts_flow_init = False

    def __init__(self, motion):
        self.motion = motion

    def estimate(self, frames1, frames2, flow_init=None):
        return [self.motion(frames1)]


def noise(seed=0):
    """A network that sees random motion of 8 px or so."""
    generator = torch.Generator().manual_seed(seed)
    return Says(lambda frames: 8 * torch.randn(frames[:, :2].shape, generator=generator))


def still():
    """A network that sees no motion."""
    return Says(lambda frames: torch.zeros_like(frames[:, :2]))


@pytest.fixture(scope='module')
def network():
    return init_model(ROOT / 'configs/demo/raft_small_target.py', DEMO_WEIGHTS, 'cpu')


@pytest.fixture(scope='module')
def clip():
    return render_clip(70002, 2, (96, 128), 'target')


@pytest.fixture(scope='module')
def pairs(clip):
    frames = as_frames(clip.frames)
    return PairBatch(frames[:1], frames[1:])


@pytest.fixture(scope='module')
def good(network):
    return FrozenTeacher(network)


def error(look, clip):
    """Mean end point error, px."""
    return float((look.flow_fw - torch.from_numpy(clip.flow_fw)).norm(dim=1).mean())


@pytest.mark.parametrize('plain', [False, True])
def test_a_group_of_one_sees_what_that_teacher_sees_to_the_bit(good, pairs, plain):
    view, request = ArbitratedView(scales=(1., 2.), iters=[2, 3] if plain else None), LookRequest(plain=plain)
    alone, one = (view.look(teacher, pairs, request) for teacher in (good, FrozenGroup([good])))
    assert torch.equal(alone.both_ways(), one.both_ways()) and alone.shares_fw == one.shares_fw
    assert list(one.shares_fw[0]) == ['from_1x', 'from_2x', 'from_2x_flipped']
    if plain:
        assert torch.equal(alone.plain_fw, one.plain_fw) and torch.equal(alone.plain_bw, one.plain_bw)
    assert FrozenGroup([good]).digest() == good.digest()
    assert FrozenGroup([good]).peak_bytes((96, 128), 2) == good.peak_bytes((96, 128), 2) > 0


@pytest.mark.parametrize('broken', [noise, still])
def test_a_network_that_fails_on_this_video_gets_no_say(good, clip, pairs, broken):
    view = ArbitratedView(scales=(1., 2.))
    alone, both = (view.look(teacher, pairs) for teacher in (good, FrozenGroup([good, broken()])))
    assert error(ArbitratedView(scales=(1., )).look(broken(), pairs), clip) > 3 * error(alone, clip)
    assert error(both, clip) < 1.05 * error(alone, clip)
    assert sum(share for name, share in both.shares_fw[0].items() if name.endswith('_of_2')) < 0.05


def test_the_order_of_teachers_changes_nothing_but_rounding(good, pairs):
    other = init_model(ROOT / 'configs/demo/raft_small_target.py', DEMO_WEIGHTS, 'cpu')
    other.test_iters = 2
    members = [good, FrozenTeacher(other)]
    view = ArbitratedView(scales=(1., 2.))
    one, two = (view.look(FrozenGroup(order, own=own), pairs, LookRequest(plain=True))
                for order, own in ((members, 0), (members[::-1], 1)))
    torch.testing.assert_close(one.both_ways(), two.both_ways(), rtol=0, atol=1e-3)
    assert torch.equal(one.plain_fw, two.plain_fw)  # of the student's copy, wherever it stands
    assert one.shares_fw[0]['from_2x_of_2'] == pytest.approx(two.shares_fw[0]['from_2x_of_1'], abs=1e-4)
    assert min(one.shares_fw[0].values()) > .01  # both have a say


def test_a_verifier_is_told_of_the_passes_of_all_and_its_memory_counts_them(tmp_path, good, pairs):
    view = ArbitratedView(scales=(1., 2.), verifier=verifier(tmp_path / 'a.pth'))
    torch.manual_seed(0)
    pyramid = FrozenTeacher(FlowRefiner(estimator=Config.fromfile(
        stock_config_root() / '_base_/models/pwcnet.py').model))
    group = FrozenGroup([good, pyramid])
    assert view.traits_of(group).tolist() == 2 * [[0., 0.], [1., 0.], [1., 1.]]
    shares = view.look(group, pairs).shares_fw[0]
    assert list(shares) == [f'from_{how}_of_{who}' for who in (1, 2) for how in ('1x', '2x', '2x_flipped')] + [
        'from_registered']
    # a pyramid cannot start from a flow: its passes are those that it makes alone
    seen, alone = view.motions(group, pairs), view.motions(pyramid, pairs)
    assert all(torch.equal(seen[f'{name}_of_2'], flow) for name, flow in alone.items())
    # two registered candidates beside the passes
    assert view.peak_bytes((96, 128), group) / view.peak_bytes((96, 128), good) == pytest.approx((6 + 2) / (3 + 2))
    labeler = FlowLabeler(view=dict(BOTH, verifier=verifier(tmp_path / 'a.pth')))
    assert labeler.own_bytes((96, 128), group) == view.peak_bytes((96, 128), group)


def unit_batch(clip):
    unit = LabelUnit('cat/a__b', 'cat', (0, 1), ('a', 'b'))
    return LabelBatch([unit], [dict(enumerate(clip.frames))], [{0: 'a', 1: 'b'}], 'cpu')


def stored(root, clip, offset=0.):
    for name, flow in (('a__b', clip.flow_fw[0]), ('b__a', clip.flow_bw[0])):
        flow = np.moveaxis(flow, 0, -1) + np.float32(offset)
        flow[:20] = np.nan  # not known
        write_flow(root / 'cat' / f'{name}.flo', flow)
    return dict(type='StoredMotion', root=str(root))


def test_motion_in_files_is_one_pass_and_has_no_say_where_it_is_not_known(tmp_path, network, clip):
    source = build_source([dict(type='StudentCopy'), stored(tmp_path / 'flows', clip)])
    labeler = FlowLabeler(view=BOTH, balance=dict(type='Novelty'))
    taught, = labeler.label(source.frozen(network), unit_batch(clip))
    alone, = labeler.label(FrozenTeacher(network), unit_batch(clip))
    truth = torch.from_numpy(clip.flow_fw)[0]
    better, worse = ((one.label.flow - truth).norm(dim=0)[20:].mean() for one in (taught, alone))
    assert better < .8 * worse
    torch.testing.assert_close(taught.label.flow[:, :20], alone.label.flow[:, :20], rtol=0, atol=1.)
    shares = [name for name in taught.statistics if name.startswith('from_')]
    assert shares == ['from_1x_of_1', 'from_2x_of_1', 'from_2x_flipped_of_1', 'from_1x_of_2']
    # two folders are a group, too
    two = build_source([stored(tmp_path / name, clip, .1 * i) for i, name in enumerate('xy')]).frozen(network)
    both, = FlowLabeler(view=BOTH).label(two, unit_batch(clip))
    assert (both.label.flow - truth)[:, 20:].mean() == pytest.approx(.05, abs=.01)


def test_labels_are_compared_with_the_plain_pass_of_a_network_and_not_with_files(tmp_path, network, clip):
    save_checkpoint(tmp_path / 'other.pth', dict(state_dict=network.estimator.state_dict()))
    other = dict(type='OtherNetwork', model='demo', checkpoint=str(tmp_path / 'other.pth'))
    files = stored(tmp_path / 'flows', clip)
    group = build_source([files, other]).frozen(network)
    assert group.own == 1 and build_source([other, files]).frozen(network).own == 0
    assert build_source([files, other, dict(type='StudentCopy')]).frozen(network).own == 2
    assert build_source([files, stored(tmp_path / 'more', clip)]).frozen(network).own == 0
    one, two = (FlowLabeler(view=BOTH, balance=dict(type='Novelty')).label(teachers, unit_batch(clip))[0].label.weight
                for teachers in (group, build_source([other, files]).frozen(network)))
    torch.testing.assert_close(one, two, rtol=0, atol=.02)  # the files are unknown above row 20


def test_the_group_is_what_its_members_are(tmp_path, network):
    states = {}
    for name, factor in (('one', 1.1), ('two', 1.2)):
        states[name] = {key: value * factor for key, value in network.estimator.state_dict().items()}
        save_checkpoint(tmp_path / f'{name}.pth', dict(state_dict=states[name]))

    def group(*names, own=True):
        others = [dict(type='OtherNetwork', model='demo', checkpoint=str(tmp_path / f'{name}.pth')) for name in names]
        return build_source([*others, *([dict(type='StudentAverage', momentum=.5)] if own else [])])

    source = group('one')
    assert isinstance(source, TeacherGroup) and source.follows_student
    assert not group('one', 'two', own=False).follows_student
    assert source.name == 'demo with the weights of one.pth and the network itself'
    source.start(network)
    frozen = source.frozen(network)
    digests = [one.digest() for one in frozen.members]
    assert frozen.digest() == '+'.join(digests) and digests[1] == FrozenTeacher(network).digest() and frozen.own == 1
    two = TEACHERS.build(dict(type='OtherNetwork', model='demo', checkpoint=str(tmp_path / 'two.pth')))
    assert group('two').frozen(network).digest() == f'{two.network().digest()}+{digests[1]}' != frozen.digest()
    assert frozen.describe()['members'] == [one.describe() for one in frozen.members]
    assert frozen.memory_settings() == [f'{whose}.max_corr_bytes (now {network.max_corr_bytes})'
                                        for whose in ('teacher.model', 'model')]
    # what a checkpoint keeps is that of the member that follows the student
    state = source.state_dict()
    assert state and all(key.startswith('1.') for key in state)
    other = group('one')
    other.start(network)
    for value in network.parameters():
        value.data.mul_(1.5)
    other.update(network, 1)
    assert other.frozen(network).digest() != frozen.digest()
    other.load_state_dict(state)
    assert other.frozen(network).digest() == frozen.digest()
    for value in network.parameters():
        value.data.div_(1.5)


@pytest.mark.parametrize('view, sentence', [
    (dict(type='CascadeView'), r'PseudoLabelHook\.teacher names 2 teachers, and labeler\.view asks one alone; set '
                               r"labeler\.view=dict\(type='ArbitratedView'\)"),
    (dict(type='ComposedView'), r'labeler\.view is ComposedView, which goes on from what one teacher saw, and 2 teach'),
])
def test_a_view_that_asks_one_teacher_says_so(good, clip, view, sentence):
    with pytest.raises(ConfigError, match=sentence):
        FlowLabeler(view=view).label(FrozenGroup([good, good]), unit_batch(clip))


def test_members_that_cannot_be_weighed_together_are_refused(tmp_path, network, good, clip):
    with pytest.raises(ConfigError, match=r'PseudoLabelHook\.teacher must be one or more parts .*, got none'):
        build_source([])
    tracker = dict(type='OtherNetwork', model='pips_demo', checkpoint='configs/pips/pips_small.pth')
    with pytest.raises(ConfigError, match='2 teachers can only label together if all estimate flow, and FrozenTracker'):
        build_source([dict(type='StudentCopy'), tracker]).frozen(network)
    stored(tmp_path / 'flows', clip)
    (tmp_path / 'flows/cat/b__a.flo').unlink()
    files = dict(type='StoredMotion', root=str(tmp_path / 'flows'))
    with pytest.raises(ConfigError, match=f'^{tmp_path}/flows: has no motion backwards, and several teachers are wei'):
        build_source([dict(type='StudentCopy'), files]).frozen(network)

    class Source:
        units = [LabelUnit('cat/a__c', 'cat', (0, 1), ('a', 'c'))]

        def size(self, scene):
            return clip.frames.shape[1:3]

    stored(tmp_path / 'flows', clip)
    with pytest.raises(InputError, match='has no motion of cat/a__c'):
        build_source([dict(type='StudentCopy'), files]).frozen(network).check_source(Source())
