"""Colour and erasing change what is seen and nothing else."""
import colorsys

import cv2
import numpy as np
import pytest

from mmrefine.datasets.transforms import ColorJitter, Eraser
from mmrefine.datasets.transforms.jitter import _STEPS
from mmrefine.errors import ConfigError


def noise(height=30, width=40, seed=0):
    rng = np.random.default_rng(100)
    frames = rng.integers(0, 256, size=(2, height, width, 3), dtype=np.uint8)
    return dict(
        frame1=frames[0],
        frame2=frames[1],
        flow=rng.normal(size=(height, width, 2)).astype(np.float32),
        weight=rng.random((height, width, 1), dtype=np.float32),
        rng=np.random.default_rng(seed))


OFF = dict(brightness=0, contrast=0, saturation=0, hue=0)


@pytest.mark.parametrize('asymmetric', [0, 1])
def test_zero_strength_changes_no_byte(asymmetric):
    results = noise()
    jittered = ColorJitter(**OFF, asymmetric=asymmetric)(results)
    np.testing.assert_array_equal(jittered['frame1'], results['frame1'])
    np.testing.assert_array_equal(jittered['frame2'], results['frame2'])


def test_symmetric_jitter_gives_equal_pixels_equal_colours():
    results = noise()
    results['frame2'] = results['frame1'][::-1].copy()
    jittered = ColorJitter(asymmetric=0)(results)
    np.testing.assert_array_equal(jittered['frame2'], jittered['frame1'][::-1])
    assert np.abs(jittered['frame1'].astype(int) - results['frame1']).mean() > 3


def test_asymmetric_jitter_comes_at_its_rate():
    def alike(seed):
        results = dict(noise(4, 5, seed))
        results['frame2'] = results['frame1']
        jittered = ColorJitter(asymmetric=0.2)(results)
        return np.array_equal(jittered['frame1'], jittered['frame2'])

    assert np.mean([alike(seed) for seed in range(300)]) == pytest.approx(0.8, abs=0.07)


def test_each_step_is_its_formula():
    image = np.float32([[[200, 100, 50], [20, 40, 60]]])
    grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in image[0]]
    mean = sum(grey) / 2
    bright, contrasted, saturated, turned = _STEPS
    np.testing.assert_allclose(bright(image, np.float32(-0.5)), image * 0.5)
    np.testing.assert_allclose(contrasted(image, np.float32(0.2)), mean + 1.2 * (image - mean), rtol=1e-5)
    expected = [[[g + 0.7 * (v - g) for v in pixel] for pixel, g in zip(image[0], grey)]]
    np.testing.assert_allclose(saturated(image, np.float32(-0.3)), expected, rtol=1e-5)
    np.testing.assert_allclose(saturated(image, np.float32(-1)), [[[g] * 3 for g in grey]], rtol=1e-5)
    for turns in (0.25, -0.4):
        expected = []
        for r, g, b in image[0] / 255:
            h, s, v = colorsys.rgb_to_hsv(r, g, b)
            expected.append([255 * c for c in colorsys.hsv_to_rgb((h + turns) % 1, s, v)])
        np.testing.assert_allclose(turned(image, np.float32(turns))[0], expected, atol=0.02)


def jittered_plainly(frames, strengths, rng):
    """The formula of each step in NumPy's floats, in the drawn order, rounded once at the end."""
    luma = np.array([0.299, 0.587, 0.114])
    draws = rng.uniform(-strengths, strengths)
    image = np.concatenate(frames).astype(float)
    for step in rng.permutation(4):
        grey = (image @ luma)[..., None]
        if step == 3:
            hsv = cv2.cvtColor((image / 255).astype(np.float32), cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0] + 360 * draws[3]) % 360
            image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(float) * 255
        else:
            centre = (0, grey.mean(), grey)[step]
            image = centre + (image - centre) * (1 + draws[step])
        image = image.clip(0, 255)
    return np.split(np.rint(image).astype(int), len(frames))


def test_every_order_and_strength_is_the_plain_formula_within_one_grey_level():
    strengths, orders = np.array([1, 1, 1, 0.5]), set()
    for seed in range(150):
        results = noise(seed=seed)
        results['frame1'][:3] = np.arange(9).reshape(3, 1, 3) * 31  # greys and flat colours have no or a sharp hue
        results['frame1'][4:8] = np.uint8([0, 0, 0, 255]).reshape(4, 1, 1)
        jittered = ColorJitter(1., 1., 1., 0.5, asymmetric=0)(results)
        rng = np.random.default_rng(seed)
        rng.random()  # whether each frame has its own draw
        expected = jittered_plainly([results['frame1'], results['frame2']], strengths, rng)
        for name, frame in zip(('frame1', 'frame2'), expected):
            assert jittered[name].dtype == np.uint8 and jittered[name].shape == frame.shape
            assert np.abs(jittered[name] - frame).max() <= 1
        # the next transform draws what it drew before
        assert results['rng'].random() == rng.random()
        again = np.random.default_rng(seed)
        again.random(), again.uniform(size=4)
        orders.add(tuple(again.permutation(4)))
    assert len(orders) == 24


@pytest.mark.parametrize('name, index', [('brightness', 0), ('contrast', 1), ('saturation', 2), ('hue', 3)])
def test_each_strength_works_alone_and_stays_in_its_range(name, index):
    # the extreme draws bound what can come out: monotone in the draw for the three blends
    results = noise()
    results['frame1'] = results['frame2'] = np.full((4, 4, 3), [200, 100, 50], np.uint8)
    results['frame1'][0] = 30
    highest = 0.3 if name != 'hue' else 0.1
    seen = np.array([
        ColorJitter(**{**OFF, name: highest})(dict(results, rng=np.random.default_rng(seed)))['frame1'][3, 3]
        for seed in range(100)
    ], int)
    image = np.concatenate([results['frame1'], results['frame2']]).astype(np.float32)
    ends = np.array([_STEPS[index](image, np.float32(sign * highest))[3, 3] for sign in (-1, 1)]).clip(0, 255)
    low, high = ends.min(0), ends.max(0)
    if name == 'hue':
        # the brightest channel rests while the hue stays within a sixth; green passes between the ends
        low, high = low[:2], high[:2]
        seen = seen[:, :2]
    assert (seen >= low - 1).all() and (seen <= high + 1).all()
    widest = int((high - low).argmax())
    assert np.ptp(seen[:, widest]) > 0.8 * (high - low)[widest] > 3


def test_the_order_of_the_steps_varies():
    # brightness and contrast do not commute: one draw of strengths, different orders, different pictures
    class FixedDraws:
        def __init__(self, order):
            self.order = order

        def random(self):
            return 1.

        def uniform(self, low, high):
            return np.array([0.4, -0.4, 0.3, 0.1])

        def permutation(self, count):
            return np.array(self.order)

    first = ColorJitter()(dict(noise(), rng=FixedDraws([0, 1, 2, 3])))['frame1']
    second = ColorJitter()(dict(noise(), rng=FixedDraws([3, 2, 1, 0])))['frame1']
    assert np.abs(first.astype(int) - second).mean() > 1
    orders = {tuple(np.random.default_rng(seed).permutation(4)) for seed in range(200)}
    assert len(orders) == 24


def test_colour_and_eraser_leave_motion_and_input_alone():
    results, before = noise(), noise()
    for transform in (ColorJitter(asymmetric=1), Eraser(prob=1, sides=(5, 9))):
        changed = transform(results)
        for name in ('frame1', 'frame2', 'flow', 'weight'):
            np.testing.assert_array_equal(results[name], before[name])
        assert changed['flow'] is results['flow'] and changed['weight'] is results['weight']


def test_an_erased_box_has_the_mean_colour_and_a_side_in_range():
    for seed in range(60):
        results = noise(60, 80, seed)
        erased = Eraser(prob=1, max_boxes=1, sides=(10, 20))(results)
        np.testing.assert_array_equal(erased['frame1'], results['frame1'])
        mean = np.rint(results['frame2'].reshape(-1, 3).mean(0)).astype(int)
        changed = (erased['frame2'] != results['frame2']).any(-1)
        assert (erased['frame2'][changed] == mean).all()
        rows, columns = changed.any(1).nonzero()[0], changed.any(0).nonzero()[0]
        top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
        assert (erased['frame2'][top:bottom + 1, left:right + 1] == mean).all()    # one full rectangle
        for first, last, length in ((top, bottom, 60), (left, right, 80)):
            assert last - first + 1 <= 20
            assert last - first + 1 >= 10 or last == length - 1    # shorter only where the frame ends


def test_the_eraser_comes_at_its_rate_with_one_or_two_boxes():
    counts = []
    results = noise(100, 100)
    results['frame2'] = np.indices((100, 100, 1)).sum(0).repeat(3, -1).astype(np.uint8)
    for _ in range(300):
        erased = Eraser(prob=0.5, sides=(1, 1))(results)['frame2']
        counts.append(int((erased != results['frame2']).any(-1).sum()))
    # single pixels: the number changed is the number of boxes (but for a rare overlap or a pixel of the mean colour)
    share = np.bincount(counts, minlength=3) / 300
    assert share == pytest.approx([0.5, 0.25, 0.25], abs=0.08) and max(counts) == 2


@pytest.mark.parametrize('build, message', [
    (lambda: ColorJitter(brightness=-0.1), r'ColorJitter.brightness must lie in \[0, 1\], got -0.1'),
    (lambda: ColorJitter(hue=0.6), r'ColorJitter.hue must lie in \[0, 0.5\], got 0.6'),
    (lambda: ColorJitter(asymmetric=2), r'ColorJitter.asymmetric .* got 2'),
    (lambda: Eraser(prob=-1), r'Eraser.prob .* got -1'),
    (lambda: Eraser(max_boxes=0), r'Eraser.max_boxes .* got 0'),
    (lambda: Eraser(sides=(50, 20)), r'Eraser.sides .* got \(50, 20\)'),
])
def test_values_that_cannot_be_meant_are_refused_at_once(build, message):
    with pytest.raises(ConfigError, match=message):
        build()
