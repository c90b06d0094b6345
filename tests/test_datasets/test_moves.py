"""Frames from a closed-form picture under a closed-form motion:
what is true of them must stay true wherever they move.
"""
import numpy as np
import pytest
import torch

from mmrefine.datasets.transforms import RandomCrop, RandomFlip, RandomScaleStretch, move_pair
from mmrefine.errors import ConfigError, InputError
from mmrefine.geometry import backwarp

HEIGHT, WIDTH = 40, 56
# frame 1 -> frame 2: p + A p + b, everywhere a different motion, about 2 px
A = np.array([[0.02, -0.03], [0.04, 0.01]])
B = np.array([1.5, -0.75])


def picture(x, y):
    """Three smooth colours on the plane of frame 2, in 0..255; wavelengths of 40 px and more, so bilinear is close."""
    return np.stack([
        127.5 + 100 * np.sin(0.11 * x + 0.05 * y), 127.5 + 100 * np.cos(0.07 * x - 0.12 * y),
        127.5 + 100 * np.sin(0.1 * y + 1)
    ], -1)


def flow_at(x, y):
    return np.stack([A[0, 0] * x + A[0, 1] * y + B[0], A[1, 0] * x + A[1, 1] * y + B[1]], -1)


def scene(dtype=np.float32):
    """A pair whose frame 1 shows, at p, what frame 2 shows at p + f(p)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    flow = flow_at(x, y)
    frames = picture(x + flow[..., 0], y + flow[..., 1]), picture(x, y)
    if dtype == np.uint8:
        frames = [np.rint(frame) for frame in frames]
    return dict(
        frame1=frames[0].astype(dtype),
        frame2=frames[1].astype(dtype),
        flow=flow.astype(np.float32),
        weight=np.ones((HEIGHT, WIDTH, 1), np.float32),
        key='a/b__c',
        rng=np.random.default_rng(0))


def photometric_error(results):
    """Largest |I2(p + f) - I1(p)| in grey levels over the pixels that land inside, and their number."""
    first, second, flow = (
        torch.from_numpy(np.ascontiguousarray(results[name], dtype=np.float32)).permute(2, 0, 1)[None]
        for name in ('frame1', 'frame2', 'flow'))
    inside = backwarp(torch.ones_like(second[:, :1]), flow) > 0.999
    error = (backwarp(second, flow) - first).abs().amax(1, keepdim=True)[inside]
    return float(error.max()), error.numel()


def test_the_scene_itself_keeps_its_promise():
    error, count = photometric_error(scene())
    assert error < 1 and count > 0.8 * HEIGHT * WIDTH
    broken = scene()
    broken['flow'] = -broken['flow']
    assert photometric_error(broken)[0] > 20


@pytest.mark.parametrize('size', [(80, 112), (27, 91), (60, 41), (HEIGHT, 80)])
def test_a_resized_pair_has_the_flow_of_the_stretched_plane(size):
    moved = move_pair(scene(), size=size)
    stretch = np.array([(size[1] - 1) / (WIDTH - 1), (size[0] - 1) / (HEIGHT - 1)])
    y, x = np.mgrid[:size[0], :size[1]].astype(np.float64)
    expected = flow_at(x / stretch[0], y / stretch[1]) * stretch
    np.testing.assert_allclose(moved['flow'], expected, atol=1e-4)
    np.testing.assert_allclose(moved['weight'], 1, atol=1e-6)
    assert moved['frame1'].shape == (*size, 3) and moved['size'] == size
    error, count = photometric_error(moved)
    assert error < 2 and count > 0.7 * size[0] * size[1]


def test_a_window_shows_the_plane_from_its_corner():
    moved = move_pair(scene(), window=(3, 5, 20, 30))
    y, x = np.mgrid[3:23, 5:35]
    np.testing.assert_allclose(moved['flow'], flow_at(x, y), atol=1e-5)
    np.testing.assert_allclose(moved['frame2'], picture(x, y), atol=1e-3)
    assert moved['size'] == (20, 30) and photometric_error(moved)[0] < 1


@pytest.mark.parametrize('mirrors', [(True, False), (False, True), (True, True)])
def test_a_mirrored_pair_moves_the_mirrored_way(mirrors):
    moved = move_pair(scene(), mirror_x=mirrors[0], mirror_y=mirrors[1])
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    x, y = (WIDTH - 1 - x if mirrors[0] else x), (HEIGHT - 1 - y if mirrors[1] else y)
    signs = np.array([-1 if mirrored else 1 for mirrored in mirrors])
    np.testing.assert_allclose(moved['flow'], flow_at(x, y) * signs, atol=1e-5)
    np.testing.assert_allclose(moved['frame2'], picture(x, y), atol=1e-3)
    assert photometric_error(moved)[0] < 1


def test_a_move_leaves_its_input_as_it_was():
    for moves in (dict(size=(30, 30)), dict(mirror_x=True, mirror_y=True), dict(window=(0, 0, 1, 1), mirror_x=True)):
        results, before = scene(), scene()
        move_pair(results, **moves)
        for name in ('frame1', 'frame2', 'flow', 'weight'):
            np.testing.assert_array_equal(results[name], before[name])


def test_frames_stay_bytes_and_round_to_nearest():
    results = scene(np.uint8)
    results['frame1'][:] = 0
    results['frame1'][:, 1] = 255
    moved = move_pair(results, size=(HEIGHT, 2 * WIDTH - 1))    # new pixels halfway between the old
    assert moved['frame1'].dtype == np.uint8
    assert moved['frame1'][0, :4, 0].tolist() == [0, 128, 255, 128]    # 127.5 rounds to the even 128


def test_motion_without_weight_does_not_leak_into_its_neighbours():
    # one row; x motion 1 where known, absurd where not; doubled so that every other pixel lies halfway
    flow = np.zeros((2, 5, 2), np.float32)
    flow[..., 0] = [1, 1000, 1, np.nan, 1]
    weight = np.float32([1, 0, 1, 0, 0])[None, :, None].repeat(2, 0)
    frame = np.zeros((2, 5, 3), np.uint8)
    moved = move_pair(dict(frame1=frame, frame2=frame, flow=flow, weight=weight), size=(2, 9))
    # by hand: the factor is 8/4 = 2; halfway pixels of a known and an unknown keep the known motion at half the weight
    assert moved['weight'][0, :, 0].tolist() == pytest.approx([1, .5, 0, .5, 1, .5, 0, 0, 0])
    assert moved['flow'][0, :, 0].tolist() == pytest.approx([2, 2, 0, 2, 2, 2, 0, 0, 0])
    assert moved['flow'][..., 1].tolist() == np.zeros((2, 9)).tolist()


def test_a_heavier_neighbour_counts_more():
    flow = np.float32([[[0, 0], [4, 0]]] * 2)
    weight = np.float32([[[1.], [.25]]] * 2)
    frame = np.zeros((2, 2, 3), np.uint8)
    moved = move_pair(dict(frame1=frame, frame2=frame, flow=flow, weight=weight), size=(2, 3))
    # halfway: (1*0 + .25*4) / 1.25 = 0.8, times the stretch 2
    assert moved['flow'][0, 1, 0] == pytest.approx(1.6)
    assert moved['weight'][0, 1, 0] == pytest.approx(0.625)


def test_a_random_chain_of_moves_keeps_the_photometric_promise():
    chain = [RandomScaleStretch(scale=(0, 0.6), crop_size=(32, 32)), RandomCrop((32, 32)), RandomFlip(0.5, 0.5)]
    for seed in range(20):
        results = dict(scene(), rng=np.random.default_rng(seed))
        for transform in chain:
            results = transform(results)
        error, count = photometric_error(results)
        assert results['frame1'].shape == (32, 32, 3) and count > 500
        assert error < 2, seed


def blank(height, width, seed=0):
    frame = np.zeros((height, width, 3), np.uint8)
    return dict(frame1=frame, frame2=frame, key='a/b__c', rng=np.random.default_rng(seed))


def test_scales_follow_powers_of_two():
    sizes = [RandomScaleStretch((-1, 1), stretch=0, prob=1)(blank(100, 200, seed))['size'] for seed in range(200)]
    powers = np.log2([height / 100 for height, _ in sizes])
    assert powers.min() < -0.9 and powers.max() > 0.9 and abs(powers.mean()) < 0.15
    assert all(abs(width - 2 * height) <= 2 for height, width in sizes)


def test_stretches_come_at_their_rate_and_keep_their_bound():
    sizes = [RandomScaleStretch((0, 0), stretch=0.2, stretch_prob=0.8, prob=1)(blank(200, 200, s))['size']
             for s in range(200)]
    powers = np.log2(np.array(sizes) / 200)
    assert abs(powers).max() <= 0.205 and abs(powers).max() > 0.15
    assert 0.7 < np.mean([height != width for height, width in sizes]) < 0.9


def test_prob_zero_leaves_the_frames_alone_unless_the_crop_needs_more():
    assert RandomScaleStretch((1, 1), prob=0)(blank(50, 60))['size'] == (50, 60)
    assert RandomScaleStretch((1, 1), prob=0, crop_size=(64, 32))(blank(50, 60))['size'] == (64, 60)


def test_a_crop_always_fits_after_the_scale():
    for seed in range(50):
        height, width = RandomScaleStretch((-2, 0), crop_size=(45, 55))(blank(50, 60, seed))['size']
        assert height >= 45 and width >= 55


def test_crops_reach_every_corner():
    y, x = np.mgrid[:6, :7]
    frame = np.stack([y, x, x], -1).astype(np.uint8)
    corners = {
        tuple(RandomCrop((4, 4))(dict(blank(6, 7, seed), frame1=frame, frame2=frame))['frame2'][0, 0, :2].tolist())
        for seed in range(300)
    }
    assert corners == {(top, left) for top in range(3) for left in range(4)}


def test_a_frame_smaller_than_the_crop_is_an_error_that_names_both():
    with pytest.raises(InputError, match=r'a/b__c: the frames are 50x60 .* RandomCrop.size is 40x64'):
        RandomCrop((40, 64))(blank(50, 60))


def test_density_prefers_windows_with_labels():
    weight = np.zeros((40, 40, 1), np.float32)
    weight[:10, :10] = 1

    def hits(density):
        kept = [
            RandomCrop((10, 10), density)(dict(blank(40, 40, seed), weight=weight))['weight'].sum() > 0
            for seed in range(200)
        ]
        return np.mean(kept)

    # a random window touches the labelled corner with (10/31)^2 = 0.10; the best of 8 with 1 - 0.9^8 = 0.59
    assert hits(False) < 0.2
    assert 0.45 < hits(True) < 0.75


def test_density_without_any_label_still_crops():
    results = dict(blank(40, 40), weight=np.zeros((40, 40, 1), np.float32))
    assert RandomCrop((8, 9), density=True)(results)['weight'].shape == (8, 9, 1)


def test_flips_come_at_their_rates():
    y, x = np.mgrid[:2, :2]
    frame = np.stack([y, x, x], -1).astype(np.uint8)
    flips = np.array([
        RandomFlip(0.5, 0.1)(dict(blank(2, 2, seed), frame1=frame, frame2=frame))['frame1'][0, 0, :2]
        for seed in range(500)
    ]).mean(0)
    assert flips == pytest.approx([0.1, 0.5], abs=0.06)


@pytest.mark.parametrize('build, message', [
    (lambda: RandomCrop(64), r'RandomCrop.size must be \(height, width\).*got 64'),
    (lambda: RandomCrop((64, 0)), r'got \(64, 0\)'),
    (lambda: RandomFlip(horizontal=1.5), r'RandomFlip.horizontal .* got 1.5'),
    (lambda: RandomScaleStretch((0.6, -0.2)), r'RandomScaleStretch.scale .* got \(0.6, -0.2\)'),
    (lambda: RandomScaleStretch(stretch=-1), r'RandomScaleStretch.stretch .* got -1'),
    (lambda: RandomScaleStretch(scale=2), r'RandomScaleStretch.scale .* got 2'),
])
def test_values_that_cannot_be_meant_are_refused_at_once(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
