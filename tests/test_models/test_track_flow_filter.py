"""Tracks that flow contradicts are dropped; where flow knows nothing it has no say."""
from __future__ import annotations

import json

import pytest
import torch
from exact_tracks import FRAMES, SIZE, ExactTracker, render, translations
from torch import nn

from mmrefine.engine.stage1.outlook import pass_bytes
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.fileio.atomic import save_checkpoint
from mmrefine.labeling import DirectTracks, TrackFlowFilter, TrackLabeler
from mmrefine.models import FrozenTeacher
from mmrefine.registry import FILTERS, TEACHERS
from mmrefine.structures import TrackLook

POINTS = torch.tensor([[20., 20.], [30., 25.], [40., 30.], [24., 32.], [50., 20.]])
STEP = (1.5, -0.75)


class Known(nn.Module):
    """The motion of :func:`translations`; the way back is wrong in frames of ``lost`` from column 30 on."""

    def __init__(self, lost=()):
        super().__init__()
        self.lost, self.asked = lost, 0

    def estimate(self, frames1, frames2, flow_init=None):
        raise AssertionError('both ways cost less')

    def estimate_both(self, frames1, frames2, **more):
        there = torch.tensor(STEP).view(1, 2, 1, 1).expand(1, 2, *SIZE).clone()
        back = -there
        if self.asked % (FRAMES - 1) in self.lost:
            back[..., 30:] += 5.
            there[..., 30:] += 7.
        self.asked += 1
        return there, back

    def digest(self):
        return 'known'

    def describe(self):
        return dict(lost=list(self.lost))

    def peak_bytes(self, size, pairs=1):
        return 1000 * pairs * size[0]


@TEACHERS.register_module()
class KnownFlow:

    def __init__(self, lost: tuple = ()):
        self.lost = lost

    def network(self):
        return Known(self.lost)


def part(lost=(), **settings):
    return FILTERS.build(dict(type='TrackFlowFilter', flow=dict(type='KnownFlow', lost=lost), **settings))


def look_with(fault=None):
    return DirectTracks().look(ExactTracker(translations(*STEP), fault=fault), render(translations(*STEP)), POINTS)


def test_exact_tracks_are_kept_and_one_that_jumps_once_is_dropped():
    def jump(scale, there, back, visible):
        there[1, 2:] += [4., 0.]
        there[2, 4] += [0., -4.]
        back[1:3] = there[1:3]  # comes back all the same

    assert part()(look_with()).all()
    assert part()(look_with(jump)).tolist() == [True, False, False, True, True]


@pytest.mark.parametrize('off, kept', [(0.9, True), (1.1, False)])
def test_the_tolerance_is_px_and_a_share_of_the_step(off, kept):
    """A step of 3 px that is wrong by 1.9 or 2.1 px may be wrong by 1 + 0.3 * 3 px."""
    frames = torch.rand(2, 3, *SIZE)
    there = torch.tensor([[[20., 20.], [20. + STEP[0] + 1 + off, 20.]]])
    step = (there[0, 1] - there[0, 0]).norm()
    look = TrackLook(frames, there, there, torch.ones(1, 2))
    error = (there[0, 1] - there[0, 0] - torch.tensor(STEP)).norm()
    share = float((error - 1) / step) * (1.01 if kept else 0.99)
    assert part(tolerance=1., share=share)(look).tolist() == [kept]


def test_where_the_flow_does_not_come_back_or_the_track_is_hidden_the_flow_has_no_say():
    def jump(scale, there, back, visible):
        there[:, 2:] += [4., 0.]  # in the step from frame 1 to 2
        visible[0, 2:] = 0.1

    assert part()(look_with(jump)).tolist() == [True, False, False, False, False]
    assert not part(seen=0.)(look_with(jump)).any()
    right = (look_with(jump).there[:, 1, 0] >= 30).tolist()
    assert part(lost=(1, ), seen=0.)(look_with(jump)).tolist() == right and 0 < sum(right) < len(POINTS)
    assert part(lost=(1, ))(look_with()).all()


def test_what_is_outside_of_the_frame_is_not_judged():
    there = torch.tensor([[[62.5, 20.], [64., 19.25], [90., 0.]]])
    assert part()(TrackLook(torch.rand(3, 3, *SIZE), there, there, torch.ones(1, 3))).all()


def test_no_track_asks_no_network():
    one = part()
    nothing = torch.zeros(0, FRAMES, 2)
    assert one(TrackLook(torch.rand(FRAMES, 3, *SIZE), nothing, nothing, nothing[..., 0])).shape == (0, )
    assert one.network.asked == 0


def other(tmp_path, refiner, raft_config, name='flow.pth'):
    save_checkpoint(tmp_path / name, dict(state_dict=refiner.estimator.state_dict(), meta={}))
    model = dict(type='FlowRefiner', estimator=raft_config)
    return dict(type='OtherNetwork', model=model, checkpoint=str(tmp_path / name))


def test_a_network_of_mmflow_is_described_by_its_weights_and_not_by_their_path(build_raft, raft_config, tmp_path):
    first, second = build_raft(), build_raft()
    for value in second.estimator.parameters():
        value.data *= 1.5
    flows = [other(tmp_path, refiner, raft_config, name) for refiner, name in (
        (first, 'one.pth'), (first, 'again.pth'), (second, 'other.pth'))]
    queries = dict(type='GridQueries', step=16)
    labelers = [TrackLabeler(dict(type='DirectTracks'), queries, [dict(type='TrackFlowFilter', flow=flow, share=0.2)])
                for flow in flows]
    one, again, changed = (labeler.describe()['filters'] for labeler in labelers)
    assert one == again != changed and str(tmp_path) not in json.dumps(one)
    assert one[0].pop('contents')['digest'] == FrozenTeacher(first).digest()
    assert one == [dict(type='TrackFlowFilter', tolerance=1.5, share=0.2, seen=0.5)]
    kept = labelers[0].filters[0](look_with())
    assert kept.dtype == torch.bool and kept.shape == (len(POINTS), )

    class Teacher:

        def peak_bytes(self, size, pairs=1):
            return 7

    wanted = FrozenTeacher(first).peak_bytes((512, 768), 2)
    assert wanted > 7 and pass_bytes(Teacher(), labelers[0], (512, 768), 1) == wanted
    plain = TrackLabeler(dict(type='DirectTracks'), queries)
    assert pass_bytes(Teacher(), plain, (512, 768), 1) == 7


@pytest.mark.parametrize('settings, error, says', [
    (dict(tolerance=-1.), ConfigError, 'TrackFlowFilter.tolerance must be finite and not negative, got -1'),
    (dict(share=-1.), ConfigError, 'TrackFlowFilter.share must be finite and not negative, got -1'),
    (dict(seen=2.), ConfigError, r'TrackFlowFilter.seen must .*got 2'),
    (dict(flow=dict(type='StudentCopy')), ConfigError,
     r"TrackFlowFilter.flow must be dict\(type='OtherNetwork', model=dict\(type='FlowRefiner'.*got StudentCopy"),
    (dict(flow=dict(type='OtherNetwork', model=dict(type='FlowRefner'), checkpoint='x.pth')), ConfigError,
     'did you mean FlowRefiner'),
    (dict(flow=dict(type='OtherNetwork', model=dict(type='TrackRefiner', estimator=dict(type='mmrefine.PIPs')),
                    checkpoint='gone.pth')), CheckpointError, 'gone.pth'),
])
def test_a_wrong_setting_is_one_sentence(settings, error, says):
    with pytest.raises(error, match=says) as caught:
        FILTERS.build(dict(dict(type='TrackFlowFilter', flow=dict(type='KnownFlow')), **settings))
    assert '\n' not in str(caught.value)


def test_a_tracker_is_no_flow_network(tmp_path):
    from mmrefine.models import PIPs
    small = dict(feat_channels=16, mixer_channels=16, mixer_depth=1, encoder_channels=(8, 8, 16, 16))
    save_checkpoint(tmp_path / 'pips.pth', dict(state_dict=PIPs(**small).state_dict(), meta={}))
    model = dict(type='TrackRefiner', estimator=dict(type='mmrefine.PIPs', **small))
    with pytest.raises(ConfigError, match="type='FlowRefiner'.*got OtherNetwork of FrozenTracker"):
        TrackFlowFilter(dict(type='OtherNetwork', model=model, checkpoint=str(tmp_path / 'pips.pth')))
