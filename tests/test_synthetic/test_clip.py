"""Labels of rendered clips agree with brute force and with the pictures."""
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest

from mmrefine.synthetic import FAST, FOG, NIGHT, NOISE, SOURCE, TARGET, exact_motion, render_clip
from mmrefine.synthetic.render import build_scene

SIZE = (64, 96)
STYLES = pytest.mark.parametrize('style', [SOURCE, TARGET, FOG], ids=lambda s: s.name)


def sample(image, x, y):
    """Bilinear look-up of ``(H, W)`` at points inside, in float64."""
    h, w = image.shape
    x0 = np.clip(np.floor(x).astype(int), 0, w - 2)
    y0 = np.clip(np.floor(y).astype(int), 0, h - 2)
    fx, fy = x - x0, y - y0
    return ((image[y0, x0] * (1 - fx) + image[y0, x0 + 1] * fx) * (1 - fy)
            + (image[y0 + 1, x0] * (1 - fx) + image[y0 + 1, x0 + 1] * fx) * fy)


def brute_layer(scene, x, y, t):
    """Layer on top: ask every layer, the front-most yes wins."""
    top = np.zeros(x.shape, int)
    for i in range(len(scene.layers) - 1, 0, -1):
        layer = scene.layers[i]
        top[layer.shape.distance(*layer.motion.inverse(x, y, t)) > 0] = i
    return top


@STYLES
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_backward_flow_returns_where_forward_flow_came_from(style, seed):
    clip = render_clip(seed, 3, SIZE, style)
    y, x = np.mgrid[:SIZE[0], :SIZE[1]].astype(float)
    for t in range(2):
        for there, back, seen, far in (
                (clip.flow_fw, clip.flow_bw, clip.visible_fw, t + 1),
                (clip.flow_bw, clip.flow_fw, clip.visible_bw, t)):
            near = 2 * t + 1 - far
            px, py = (x + there[t, 0]), (y + there[t, 1])
            keep = seen[t, 0].copy()
            # All four neighbours of the landing point must show the same layer.
            for dx in (0, 1):
                for dy in (0, 1):
                    qx = np.clip(np.floor(px).astype(int) + dx, 0, SIZE[1] - 1)
                    qy = np.clip(np.floor(py).astype(int) + dy, 0, SIZE[0] - 1)
                    keep &= clip.masks[far, qy, qx] == clip.masks[near]
            px, py = px[keep], py[keep]
            ex = px + sample(back[t, 0], px, py) - x[keep]
            ey = py + sample(back[t, 1], px, py) - y[keep]
            assert keep.mean() > 0.6
            assert np.hypot(ex, ey).max() < 1e-2


@STYLES
@pytest.mark.parametrize('seed', [3, 4])
def test_visible_means_inside_with_the_own_layer_on_top(style, seed):
    clip = render_clip(seed, 2, SIZE, style)
    scene = build_scene(seed, SIZE, style)
    y, x = np.mgrid[:SIZE[0], :SIZE[1]].astype(float)
    for near, far, seen in ((0, 1, clip.visible_fw), (1, 0, clip.visible_bw)):
        ids = brute_layer(scene, x, y, near)
        np.testing.assert_array_equal(clip.masks[near], ids)
        wanted = np.zeros(SIZE, bool)
        for i, layer in enumerate(scene.layers):
            own = ids == i
            px, py = layer.motion.forward(*layer.motion.inverse(x[own], y[own], near), far)
            inside = (px >= 0) & (px <= SIZE[1] - 1) & (py >= 0) & (py <= SIZE[0] - 1)
            there = brute_layer(scene, px, py, far)
            wanted[own] = inside & (there == i)
        # An outline within rounding of a point may be answered either way.
        assert (seen[0, 0] != wanted).sum() <= 1
        assert 0 < (~wanted).sum() < wanted.sum()


@STYLES
def test_flow_is_where_the_layers_maps_send_each_pixel(style):
    clip = render_clip(6, 2, SIZE, style)
    scene = build_scene(6, SIZE, style)
    for row, col in np.random.default_rng(0).integers(0, SIZE, (40, 2)):
        x, y = np.array([float(col)]), np.array([float(row)])
        motion = scene.layers[clip.masks[0, row, col]].motion
        px, py = motion.forward(*motion.inverse(x, y, 0), 1)
        assert clip.flow_fw[0, :, row, col] == pytest.approx(
            [px[0] - col, py[0] - row], abs=1e-4)


@STYLES
def test_tracks_start_on_pixels_and_move_by_the_flow(style):
    clip = render_clip(8, 3, SIZE, style)
    col, row = clip.tracks[0].round().astype(int).T
    np.testing.assert_allclose(clip.tracks[0], np.stack([col, row], 1), atol=1e-4)
    np.testing.assert_allclose(clip.tracks[1] - clip.tracks[0],
                               clip.flow_fw[0][:, row, col].T, atol=1e-4)
    np.testing.assert_array_equal(clip.track_visible[1], clip.visible_fw[0, 0, row, col])
    assert (clip.masks[0, row, col] > 0).any() and (clip.masks[0, row, col] == 0).any()


@STYLES
def test_tracks_follow_the_flow_of_later_frames(style):
    clip = render_clip(9, 5, SIZE, style)
    checked = 0
    for t in range(1, 4):
        for n in np.flatnonzero(clip.track_visible[t]):
            x, y = clip.tracks[t, n]
            x0, y0 = min(int(x), SIZE[1] - 2), min(int(y), SIZE[0] - 2)
            start = clip.tracks[0, n].round().astype(int)
            own = clip.masks[0, start[1], start[0]]
            if (clip.masks[t, y0:y0 + 2, x0:x0 + 2] != own).any():
                continue
            step = [sample(clip.flow_fw[t, c], np.float64(x), np.float64(y)) for c in (0, 1)]
            assert clip.tracks[t + 1, n] - clip.tracks[t, n] == pytest.approx(step, abs=1e-2)
            checked += 1
    assert checked > 60


@STYLES
def test_joints_lie_on_their_object_or_behind_another(style):
    clip = render_clip(10, 4, SIZE, style)
    scene = build_scene(10, SIZE, style)
    assert sorted(set(clip.joint_layer)) == list(range(1, len(scene.layers)))
    inside = ((clip.joints >= 0) & (clip.joints <= np.array(SIZE[::-1]) - 1)).all(-1)
    for t in range(4):
        x, y = clip.joints[t].astype(float).T
        top = brute_layer(scene, x, y, t)
        np.testing.assert_array_equal(clip.joint_visible[t],
                                      inside[t] & (top == clip.joint_layer))
        assert ((top > 0) & (top <= clip.joint_layer)).all()


@pytest.mark.parametrize('seed', [0, 5, 11])
def test_warping_the_next_clean_frame_back_gives_this_frame(seed):
    clip = render_clip(seed, 2, (96, 128), replace(SOURCE, read_noise=(0.0, 0.0)))
    y, x = np.mgrid[:96, :128].astype(np.float32)
    warped = cv2.remap(clip.frames[1], x + clip.flow_fw[0, 0], y + clip.flow_fw[0, 1],
                       cv2.INTER_LINEAR)
    error = np.abs(warped.astype(int) - clip.frames[0])[clip.visible_fw[0, 0]]
    still = np.abs(clip.frames[1].astype(int) - clip.frames[0])[clip.visible_fw[0, 0]]
    assert np.median(error) < 2
    assert error.mean() < 0.5 * still.mean()


@STYLES
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(style):
    first, again, other = (render_clip(s, 2, SIZE, style) for s in (12, 12, 13))
    for field in fields(first):
        assert getattr(first, field.name).tobytes() == getattr(again, field.name).tobytes()
    assert first.frames.tobytes() != other.frames.tobytes()


@STYLES
def test_a_longer_clip_starts_with_the_shorter_one(style):
    short, long = render_clip(14, 2, SIZE, style), render_clip(14, 4, SIZE, style)
    for field in fields(short):
        part = getattr(short, field.name)
        np.testing.assert_array_equal(getattr(long, field.name)[:len(part)], part,
                                      err_msg=field.name)


@pytest.mark.parametrize('count', [1, 2])
def test_lengths_are_frames_and_frames_minus_one(count):
    clip = render_clip(0, count, SIZE, 'source')
    assert clip.frames.shape == (count, 64, 96, 3) and clip.masks.shape == (count, 64, 96)
    assert clip.flow_fw.shape == clip.flow_bw.shape == (count - 1, 2, 64, 96)
    assert clip.visible_fw.shape == clip.visible_bw.shape == (count - 1, 1, 64, 96)
    assert clip.tracks.shape[:2] == clip.track_visible.shape == (count, 64)
    assert clip.joints.shape[:2] == clip.joint_visible.shape == (count, len(clip.joint_layer))


def test_the_target_world_is_smaller_muted_and_noisier_than_the_source():
    def describe(style):
        clips = [render_clip(s, 1, SIZE, style) for s in range(12)]
        frames = np.stack([c.frames[0] for c in clips]).astype(float)
        saturation = np.mean((frames.max(-1) - frames.min(-1)) / (frames.max(-1) + 1))
        area = np.mean([np.mean(c.masks > 0) for c in clips])
        return saturation, frames.std(axis=(1, 2)).mean(), area

    source, target = describe('source'), describe('target')
    for more, less in zip(source, target):
        assert less < 0.7 * more


def test_noise_variance_is_shot_times_signal_plus_read():
    scene = build_scene(3, SIZE, replace(TARGET, jpeg=None))
    look = replace(scene.look, gain=(0.0, 0.0, 0.0), defocus=0.0,
                   shading=np.ones_like(scene.look.shading))
    for level in (20.0, 200.0):
        flat = np.full(SIZE + (3, ), level, np.float32)
        noise = look(flat, 0).astype(float) - level
        wanted = np.sqrt(look.shot * level + look.read**2 + 1 / 12)
        assert noise.std() == pytest.approx(wanted, rel=0.03)


def test_noise_of_one_frame_says_nothing_of_the_next():
    style = replace(TARGET, jpeg=None, vignette=(0.0, 0.0), defocus=(0.0, 0.0))
    look = build_scene(3, SIZE, style).look
    first, second = (look(np.full(SIZE + (3, ), 100.0, np.float32), t) for t in (0, 1))
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


@STYLES
def test_pictures_show_the_canonical_point_that_the_labels_name(style):
    scene = build_scene(2, SIZE, style)
    layers = []
    for layer in scene.layers:
        paint = layer.paint.copy()
        rows, cols = np.mgrid[:paint.shape[0], :paint.shape[1]]
        paint[..., 0], paint[..., 1] = cols, rows
        layers.append(replace(layer, paint=paint))
    y, x = np.mgrid[:SIZE[0], :SIZE[1]].astype(float)
    for t in (0, 1):
        ids, u, v = scene.top(x, y, t)
        picture = replace(scene, layers=tuple(layers)).picture(t)
        kernel = np.ones((7, 7), np.uint8)
        inner = cv2.erode(ids, kernel) == cv2.dilate(ids, kernel)
        for i, layer in enumerate(layers):
            size = layer.paint.shape[0]
            wanted = np.stack(layer.shape.cells(u, v) if i else (u % size, v % size), -1)
            # The tile starts over at its seam, where the mean of a ramp means nothing.
            at = inner & (ids == i) & ((wanted > 4).all(-1) & (wanted < size - 5).all(-1)
                                       if i == 0 else True)
            if at.sum() < 30:
                continue
            error = picture[at][:, :2] - wanted[at]
            assert np.abs(error.mean(0)).max() < 0.02 * (layer.shape.density if i else 1)
            assert np.abs(error).max() < 0.2 * (layer.shape.density if i else 1)


def test_haze_takes_its_share_of_the_contrast_and_more_with_depth():
    clear, hazy = (build_scene(1, SIZE, replace(TARGET, haze=haze)).layers
                   for haze in ((0.0, 0.0), (0.1, 0.6)))
    shares = [1 - np.ptp(b.paint[..., 0]) / np.ptp(a.paint[..., 0]) for a, b in zip(clear, hazy)]
    assert shares[0] == pytest.approx(0.6, abs=0.02) and shares[1] == pytest.approx(0.1, abs=0.02)
    assert np.all(np.diff(shares[1:]) > 0) and shares[-1] < shares[0]


def test_instants_of_the_shutter_are_centred_on_the_frame():
    for seed in range(8):
        scene = build_scene(seed, SIZE, TARGET)
        np.testing.assert_allclose(np.mean(scene.samples, axis=0), 0.0, atol=1e-12)
        assert 3 <= len(scene.samples) <= 5
        spread = np.ptp([dt for dt, _, _ in scene.samples])
        assert spread == pytest.approx(0.5 * (1 - 1 / len(scene.samples)))


def test_a_frame_is_sharper_when_the_shutter_is_short():
    moving = replace(TARGET, jpeg=None, defocus=(0.0, 0.0), shot_noise=(0.0, 0.0),
                     read_noise=(0.0, 0.0), camera_speed=(0.06, 0.06), subframes=(5, 5),
                     shutter=1.0)

    def energy(style):
        frames = [render_clip(s, 1, SIZE, style).frames[0].astype(float) for s in range(4)]
        return np.mean([np.diff(f, axis=1).var() for f in frames])

    assert energy(moving) < 0.9 * energy(replace(moving, shutter=1e-3))


@pytest.mark.parametrize('change, words', [
    (dict(seed=-1), 'seed is -1'), (dict(num_frames=0), 'num_frames is 0'),
    (dict(size=(8, 96)), r'size is \(8, 96\)'), (dict(style='real'), "style is 'real'")])
def test_bad_arguments_are_named(change, words):
    with pytest.raises(ValueError, match=words):
        render_clip(**{**dict(seed=0, num_frames=1, size=SIZE, style='source'), **change})


def test_exact_motion_is_that_of_the_clip_and_over_two_frames_it_leads_where_two_steps_lead():
    clip = render_clip(4, 3, (48, 64), 'target')
    for first, second, flow, visible in ((0, 1, clip.flow_fw[0], clip.visible_fw[0]),
                                         (2, 1, clip.flow_bw[1], clip.visible_bw[1])):
        found, seen = exact_motion(4, first, second, (48, 64), 'target')
        assert np.array_equal(found, flow) and np.array_equal(seen, visible)
    whole, seen = exact_motion(4, 0, 2, (48, 64), 'target')
    back, _ = exact_motion(4, 2, 0, (48, 64), 'target')
    tracked = clip.tracks[:, clip.track_visible.all(axis=0)]
    for start, end in zip(tracked[0], tracked[2]):
        x, y = start.astype(int)
        np.testing.assert_allclose(whole[:, y, x], end - start, atol=1e-4)
    assert seen.mean() > .5 and np.abs(whole + back).max() > 0
    with pytest.raises(ValueError, match='first, second are -1, 2'):
        exact_motion(4, -1, 2)


def test_looks_that_a_network_fails_on_are_the_targets_scenes_seen_badly():
    plain, night, noise, fast = (render_clip(5, 3, SIZE, style) for style in (TARGET, NIGHT, NOISE, FAST))
    for clip in (night, noise):
        np.testing.assert_array_equal(clip.flow_fw, plain.flow_fw)
    assert night.frames.mean() < 0.2 * plain.frames.mean()
    assert (noise.frames.astype(float) - plain.frames).std() > 10
    speed = max(np.hypot(*render_clip(seed, 3, SIZE, FAST).flow_fw[0]).max() for seed in range(6))
    assert speed / SIZE[0] > 60 / 128 and np.abs(fast.flow_fw).mean() > 3 * np.abs(plain.flow_fw).mean()
