"""The pictures of a report: which are drawn, in which scale, and what the record says of them."""
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from mmrefine.engine import ReportHook, judge
from mmrefine.engine.judging.kept_flows import fit
from mmrefine.engine.judging.pictures import ReportPictures, named_pairs
from mmrefine.errors import MMRefineError
from mmrefine.fileio.images import read_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.report import PairChange
from mmrefine.structures import FlowLabel, FlowSample
from mmrefine.visualization import flow_to_rgb


class Steady:
    """A network that always sees the same motion along x, px."""

    accepts_flow_init = False

    def __init__(self, motion):
        self.motion = motion

    def estimate(self, frames1, frames2, flow_init=None):
        flow = torch.tensor([self.motion, 0.]).view(1, 2, 1, 1)
        return [flow.expand(len(frames1), 2, *frames1.shape[-2:])]


class Pairs:
    """Grey pairs of two scenes; those of scene a truly move by 2 px, of scene b by 8, unless there is no truth."""

    def __init__(self, scenes='aabb', size=(24, 32), truth=True):
        self.size, self.truth = size, truth
        self.pairs = [dict(scene=scene, key=f'{scene}/{i}', truth='x' if truth else None)
                      for i, scene in enumerate(scenes)]

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, i):
        pair = self.pairs[i]
        sample = FlowSample(metainfo=dict(key=pair['key'], scene=pair['scene']))
        if self.truth:
            sample.flow, sample.weight = torch.zeros(2, *self.size), torch.ones(1, *self.size)
            sample.flow[0] = 2. if pair['scene'] == 'a' else 8.
            sample.weight[:, 0] = 0
        return dict(inputs=torch.full((2, 3, *self.size), 40 * i + 40, dtype=torch.uint8), data_samples=sample)


def draw(tmp_path, data, spread, indices, store=None, before=1., after=2.):
    pictures = ReportPictures(tmp_path, 'refined', data, Steady(before), Steady(after), 'cpu', store)
    return pictures.draw(spread, [PairChange(i, data.pairs[i]['scene'], 1., .5) for i in indices])


def make_store(root, data, indices):
    store = LabelStore(root, dict(teacher='x'))
    store.create()
    flow, weight = torch.zeros(2, *data.size), torch.zeros(1, *data.size)
    flow[0, :, :16], weight[..., :16] = 2., 1.
    for i in indices:
        store.write(data.pairs[i]['key'], FlowLabel(flow, weight), {})
    store.finish([data.pairs[i]['key'] for i in indices])
    return store


def test_all_pictures_of_a_scene_share_one_scale_and_other_scenes_have_their_own(tmp_path):
    drawn = draw(tmp_path, Pairs(), 0, [0, 1, 2])
    assert {i: pair['max_motion'] for i, pair in drawn.pairs.items()} == {0: 2., 1: 2., 2: 8.}
    for i, scale in ((0, 2.), (2, 8.)):
        for side, motion in (('before', 1.), ('after', 2.)):
            wanted = flow_to_rgb(np.full((24, 32, 2), (motion, 0.)), scale)
            assert np.array_equal(read_image(tmp_path / drawn.pairs[i][f'flow_{side}']), wanted)


def test_without_truth_the_scale_is_that_of_both_networks(tmp_path):
    drawn = draw(tmp_path, Pairs(truth=False), 0, [0], before=3., after=5.)
    assert drawn.pairs[0]['max_motion'] == pytest.approx(5.) and 'truth' not in drawn.pairs[0]


def test_where_the_truth_is_unknown_its_picture_is_dark(tmp_path):
    truth = read_image(tmp_path / draw(tmp_path, Pairs(), 0, [0]).pairs[0]['truth'])
    assert (truth[0] == 64).all() and (truth[1:, :, 0] == 255).all() and (truth[1:, :, 1] == 0).all()


def test_kept_labels_lie_over_the_frame_where_the_store_has_the_pair(tmp_path):
    data = Pairs()
    drawn = draw(tmp_path, data, 2, [0, 3], make_store(tmp_path / 'labels', data, [0, 1]))
    assert [overlay['caption'] for overlay in drawn.overlays] == ['a/0'] and 'labels' not in drawn.pairs[3]
    assert drawn.pairs[0]['labels'] == drawn.overlays[0]['path']
    overlay = read_image(tmp_path / drawn.overlays[0]['path']).astype(int)
    kept, dropped = overlay[:, 2:14].mean(axis=(0, 1)), overlay[:, 18:30].mean(axis=(0, 1))
    assert kept[0] > 180 and kept[1] < 30 and (dropped < 20).all()  # red is to the right, at full scale


def test_a_label_that_is_damaged_or_of_another_size_costs_its_picture_only(tmp_path):
    data = Pairs()
    store = make_store(tmp_path / 'labels', data, [0, 1])
    (tmp_path / 'labels/a/0.png').write_bytes(b'half a pict')
    data.size = (24, 40)
    drawn = draw(tmp_path, data, 0, [0, 1], store)
    assert all('labels' not in pair and 'frame' in pair for pair in drawn.pairs.values())


def test_sheets_are_spread_evenly_in_the_order_of_the_data(tmp_path):
    drawn = draw(tmp_path, Pairs('abab'), 2, [])
    assert [sheet['caption'] for sheet in drawn.sheets] == ['refined: a/0', 'refined: b/3'] and drawn.pairs == {}
    assert [read_image(tmp_path / sheet['path']).shape[1] for sheet in drawn.sheets] == [972, 972]
    assert not (tmp_path / 'pictures/wheel.png').exists()  # a sheet has its own


def test_pictures_of_large_frames_are_small_and_their_scale_stays_px_of_the_frame(tmp_path):
    drawn = draw(tmp_path, Pairs(size=(300, 1200)), 0, [0])
    names = ('frame', 'flow_before', 'flow_after', 'truth')
    assert all(read_image(tmp_path / drawn.pairs[0][name]).shape == (120, 480, 3) for name in names)
    assert drawn.pairs[0]['max_motion'] == pytest.approx(2.)


def test_a_flow_is_made_smaller_by_its_own_values_only():
    flow = np.random.default_rng(0).normal(size=(30, 1000, 2)).astype(np.float32)
    small = fit(flow, 480)
    assert small.shape == (14, 480, 2) and set(small[..., 0].ravel()) <= set(flow[..., 0].ravel())


def test_the_record_names_the_pictures_and_the_scores_of_each_pair(tmp_path):
    data = Pairs()
    chosen = dict(best=[PairChange(1, 'a', 2., 1.)], worst=[PairChange(2, 'b', 1., 4.)])
    drawn = draw(tmp_path, data, 0, [1, 2])
    record = named_pairs(chosen, drawn)
    assert [(pair['key'], pair['before'], pair['after']) for name in ('best', 'worst') for pair in record[name]] == [
        ('a/1', 2., 1.), ('b/2', 1., 4.)]
    assert (tmp_path / record['wheel']).is_file()
    assert named_pairs(dict(best=[], worst=[]), draw(tmp_path, data, 0, [])) == dict(best=[], worst=[])


@pytest.mark.parametrize('truth, metric', [(True, 'EPE'), (False, 'cycle_median')])
def test_pair_by_pair_and_all_together_are_the_same_scores(truth, metric):
    data = Pairs('aab', truth=truth)
    judged = judge(Steady(3.), data, batch_size=2)
    assert judged.headline.name == metric and judged.headline.sign == -1
    tallies = [tally for _, _, tally in judged.results]
    assert judged.scores()[metric] == sum(tallies[1:], tallies[0]).scores()[metric]
    assert [(i, scene) for i, scene, _ in judged.results] == [(0, 'a'), (1, 'a'), (2, 'b')]
    if truth:
        assert [tally.scores()['EPE'] for _, _, tally in judged.results] == [1., 1., 5.]


class Clips(Pairs):
    """Pairs of scenes, each of its own size; every second pair is backwards where ``both``."""

    def __init__(self, scenes, sizes, both=False):
        super().__init__(scenes, truth=False)
        self.sizes = dict(sizes)
        del self.size
        for i, pair in enumerate(self.pairs):
            pair['reverse'] = both and i % 2 == 1

    def size(self, scene):
        return self.sizes[scene]

    def __getitem__(self, i):
        pair = self.pairs[i]
        inputs = torch.full((2, 3, *self.size(pair['scene'])), 40 * i + 40, dtype=torch.uint8)
        return dict(inputs=inputs, data_samples=FlowSample(metainfo=dict(key=pair['key'], scene=pair['scene'])))


def clip_of(tmp_path, data, most):
    pictures = ReportPictures(tmp_path, 'refined', data, Steady(1.), Steady(4.), 'cpu')
    said = pictures.draw_clip(most, lambda line: None)
    with av.open(str(tmp_path / said['path'])) as video:
        return said, [frame.to_ndarray(format='rgb24') for frame in video.decode(video=0)]


def test_the_video_shows_frame_before_and_after_of_the_first_pairs(tmp_path):
    said, frames = clip_of(tmp_path, Clips('aaab', dict(a=(64, 96), b=(64, 96))), 3)
    assert said == dict(path='before_after.mp4',
                        caption='refined: frame, motion before and motion after, 3 frame pairs at 10 a second')
    assert len(frames) == 3
    for i, picture in enumerate(frames):  # the frame, then 1 px and 4 px of a scale of 4 px, below one another
        head, gap = picture.shape[0] - 3 * 64 - 2 * 12, 12
        tops = [head + k * (64 + gap) for k in range(3)]
        frame, before, after = (picture[top + 20:top + 44, 20:76].reshape(-1, 3).mean(axis=0) for top in tops)
        assert np.abs(frame - (40 * i + 40)).max() < 4
        for found, motion in ((before, 1.), (after, 4.)):
            assert np.abs(found - flow_to_rgb(np.full((1, 1, 2), (motion, 0.)), 4.)[0, 0]).max() < 6


def test_the_video_keeps_to_one_size_and_to_the_order_of_time(tmp_path):
    data = Clips('aabbaa', dict(a=(64, 96), b=(96, 64)), both=True)
    assert len(clip_of(tmp_path, data, 60)[1]) == 2  # the forward pairs of scene a


def test_a_report_is_not_lost_with_its_video(tmp_path, monkeypatch):
    said = []
    runner = SimpleNamespace(message_hub=SimpleNamespace(runtime_info={}), logger=SimpleNamespace(
        info=said.append, warning=said.append))

    def fail(most, log):
        raise MMRefineError('x.mp4: cannot be written')

    sized = SimpleNamespace(size=lambda scene: (64, 96))
    assert ReportHook({})._clip(runner, SimpleNamespace(draw_clip=fail, dataset=sized)) == {}
    assert said == ['Report: no video of before and after: x.mp4: cannot be written']
    runner.message_hub.runtime_info['mmrefine_guard'] = dict(verdict='teacher')
    untouched = SimpleNamespace(dataset=sized)
    assert ReportHook({})._clip(runner, untouched) == {}  # both sides are the same
    runner.message_hub.runtime_info.clear()
    assert ReportHook({}, video=0)._clip(runner, untouched) == {}
    assert ReportHook({})._clip(runner, SimpleNamespace(dataset=Pairs())) == {}  # it has no such method
