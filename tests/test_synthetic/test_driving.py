"""The driving world: its motion is that of planes in space before a camera that drives, its truth can be sparse."""
import json
from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
import torch

from mmrefine.datasets import FramePairs
from mmrefine.evaluation import FlowMetric
from mmrefine.fileio import read_flow
from mmrefine.synthetic import DRIVING, exact_motion, exact_tracks, render_clip, scan_points, write_clips
from mmrefine.synthetic.layers import Wobble
from mmrefine.synthetic.render import build_scene
from mmrefine.synthetic.shapes import Shape

SIZE = (64, 160)
CLEAN = replace(DRIVING, haze=None, shutter=0.0, exposure=0.0, vignette=(0.0, 0.0), defocus=(0.0, 0.0),
                shot_noise=(0.0, 0.0), read_noise=(0.0, 0.0), jpeg=None)


def camera_of(scene):
    return scene.layers[0].motion.camera


def turned(camera, t, points):
    """World directions ``(3, n)`` in the axes of the camera: angle by angle, in words of trigonometry."""
    x, y, z = points
    yaw, pitch, roll = camera.yaw(t), camera.pitch(t), camera.roll(t)
    x, z = x * np.cos(yaw) - z * np.sin(yaw), x * np.sin(yaw) + z * np.cos(yaw)
    y, z = y * np.cos(pitch) + z * np.sin(pitch), z * np.cos(pitch) - y * np.sin(pitch)
    return np.stack([x * np.cos(roll) + y * np.sin(roll), y * np.cos(roll) - x * np.sin(roll), z])


def flow_in_space(scene, layer, x, y, t0, t1):
    """Flow of px on a layer: meet its plane with the ray, move the point with the plane, project it."""
    camera, motion = camera_of(scene), layer.motion
    focal, (cx, cy) = camera.focal, camera.centre
    axes = turned(camera, t0, np.eye(3))  # its columns are the world's axes as the camera sees them
    rays = np.linalg.solve(axes, np.stack([(x - cx) / focal, (y - cy) / focal, np.ones_like(x)]))
    start = np.array([0.0, 0.0, camera.path(t0)])
    own = camera.path if motion.carried else motion.path
    place = np.array(motion.origin) + [0.0, 0.0, own(t0) + (motion.path(t0) if motion.carried else 0.0)]
    normal = np.cross(motion.across, motion.along)
    points = start[:, None] + rays * (normal @ (place - start)) / (normal @ rays)
    points[2] += own(t1) - own(t0) + (motion.path(t1) - motion.path(t0) if motion.carried else 0.0)
    points[2] -= camera.path(t1)
    seen = turned(camera, t1, points)
    return cx + focal * seen[0] / seen[2] - x, cy + focal * seen[1] / seen[2] - y


@pytest.mark.parametrize('seed', range(4))
def test_flow_is_that_of_points_in_space(seed):
    clip, scene = render_clip(seed, 3, SIZE, CLEAN), build_scene(seed, SIZE, CLEAN)
    y, x = np.mgrid[:SIZE[0], :SIZE[1]].astype(float)
    kinds = set()
    for first, second, flow in ((0, 1, clip.flow_fw[0]), (2, 1, clip.flow_bw[1])):
        for i, layer in enumerate(scene.layers):
            own = clip.masks[first] == i
            wanted = flow_in_space(scene, layer, x[own], y[own], first, second)
            np.testing.assert_allclose(flow[:, own], wanted, rtol=0, atol=1e-4)
            if own.any():
                kinds.add((np.argmax(np.abs(layer.motion.across)), np.argmax(np.abs(layer.motion.along))))
    assert kinds == {(0, 1), (1, 2), (0, 2)}  # sky and upright things, walls, and the ground


def test_cars_move_as_they_should_and_things_beside_the_road_stand():
    carried = oncoming = still = 0
    for seed in range(12):
        scene = build_scene(seed, SIZE, DRIVING)
        for layer in scene.layers[1:]:
            motion = layer.motion
            own = motion.path(1) - motion.path(0)
            carried += motion.carried
            oncoming += not motion.carried and own < 0
            if abs(motion.origin[0]) > 4.6:
                assert own == 0 and not motion.carried
                still += 1
    assert min(carried, oncoming) >= 3 and still > 40


@pytest.mark.parametrize('seed', range(3))
def test_forward_undoes_inverse_on_every_plane(seed):
    scene = build_scene(seed, SIZE, DRIVING)
    y, x = np.mgrid[:SIZE[0]:3, :SIZE[1]:3].astype(float)
    for t in (0.0, 0.25, 5.0):
        for layer in scene.layers:
            u, v, depth = layer.motion.seen(x, y, t)
            met = (depth < 399) & (depth > 0.5)
            back = layer.motion.forward(u[met], v[met], t)
            np.testing.assert_allclose(back, (x[met], y[met]), rtol=0, atol=1e-7)


def test_the_box_holds_all_that_is_seen_of_a_plane():
    y, x = np.mgrid[:SIZE[0], :SIZE[1]].astype(float)
    for seed in range(4):
        for layer in build_scene(seed, SIZE, DRIVING).layers[1:]:
            for t in (0, 12):
                x0, y0, x1, y1 = layer.motion.box(layer.shape.half, t)
                hit = layer.shape.distance(*layer.motion.inverse(x, y, t)) > 0
                assert not hit.any() or (x0 <= x[hit].min() and x[hit].max() <= x1 and y0 <= y[hit].min()
                                         and y[hit].max() <= y1)


def test_the_ground_ends_at_the_horizon_and_what_was_passed_is_not_seen_again():
    for seed in range(4):
        scene = build_scene(seed, SIZE, replace(DRIVING, drive=(2.0, 2.0)))
        camera = camera_of(scene)
        y, x = np.mgrid[:SIZE[0], :SIZE[1]].astype(float)
        for t in (0, 40):
            ids = scene.top(x, y, t)[0]
            ground = ids >= len(scene.layers) - 2
            horizon = camera.centre[1] + camera.focal * np.tan(camera.pitch(t))
            # the roll of at most 0.01 radians lifts the side of the frame by so much
            assert ground.any() and y[ground].min() > horizon - 0.01 * SIZE[1]
            assert (ids[-1] > 0).all()
        at = [i for i, layer in enumerate(scene.layers) if isinstance(layer.shape, Shape) and not layer.motion.carried]
        points = np.zeros(len(at))
        assert not scene.follow(np.array(at, np.uint8), points, points, 60)[2].any()


def test_order_of_layers_is_that_of_distance_at_all_times():
    """Where two layers lie on one ray, the one on top is the nearer one."""
    y, x = np.mgrid[:SIZE[0]:2, :SIZE[1]:2].astype(float)
    overlaps = 0
    for seed in range(10):
        scene = build_scene(seed, SIZE, DRIVING)
        for t in (0, 8, 20):
            depths = []
            for layer in scene.layers[1:]:
                u, v, depth = layer.motion.seen(x, y, t)
                depths.append(np.where(layer.shape.distance(u, v) > 0, depth, np.inf))
            top = np.argmax(np.isfinite(depths), axis=0)
            nearest = np.min(depths, axis=0)
            shown = np.take_along_axis(np.array(depths), top[None], axis=0)[0]
            some = np.isfinite(nearest)
            # a foot may reach half a cell of its outline into the ground
            np.testing.assert_allclose(shown[some], nearest[some], rtol=0.02)
            overlaps += int((np.isfinite(depths[:-2]).sum(axis=0) > 1).sum())
    assert overlaps > 1000


@pytest.mark.parametrize('seed', range(3))
def test_warping_the_next_clean_frame_back_gives_this_frame(seed):
    clip = render_clip(seed, 2, (96, 256), CLEAN)
    y, x = np.mgrid[:96, :256].astype(np.float32)
    warped = cv2.remap(clip.frames[1], x + clip.flow_fw[0, 0], y + clip.flow_fw[0, 1], cv2.INTER_LINEAR)
    seen = clip.visible_fw[0, 0]
    error = np.abs(warped.astype(int) - clip.frames[0])[seen]
    still = np.abs(clip.frames[1].astype(int) - clip.frames[0])[seen]
    assert np.median(error) <= 2 and error.mean() < 0.5 * still.mean()


def test_flow_expands_is_small_at_the_horizon_and_large_at_the_border():
    mean, most, seen = [], [], []
    for seed in range(12):
        flow, visible = exact_motion(seed, 0, 1, (96, 256), DRIVING)
        size = np.hypot(*flow)
        mean.append(size.mean())
        most.append(size.max())
        seen.append(visible.mean())
        middle, low = size[36:52, 108:148].mean(), size[-4:].mean()
        assert low > 4 * middle
        ground = flow[:, 70:]  # the near road and what is beside it
        divergence = np.gradient(ground[0], axis=1) + np.gradient(ground[1], axis=0)
        assert np.median(divergence) > 0.02
        assert flow[0, 60:, :40].mean() < 0 < flow[0, 60:, -40:].mean()
    assert 4 < np.mean(mean) < 8 and 20 < np.median(most) < 40 and min(seen) > 0.65


def test_speed_is_metres_per_frame():
    """A point of the road straight below the horizon goes from depth z to z - speed."""
    scene = build_scene(3, SIZE, replace(DRIVING, drive=(0.7, 0.7), camera_speed=(0.0, 0.0)))
    camera = camera_of(scene)
    assert camera.path(40) - camera.path(0) == pytest.approx(28, abs=0.61)
    camera = replace(camera, path=Wobble(0.7), pitch=Wobble(), yaw=Wobble(), roll=Wobble())
    motion = replace(scene.layers[-1].motion, camera=camera)
    x, y = camera.centre[0], camera.centre[1] + camera.focal * 1.65 / 8.0
    u, v = motion.inverse(np.array([x]), np.array([y]), 0)
    assert motion.forward(u, v, 1)[1][0] - camera.centre[1] == pytest.approx(camera.focal * 1.65 / 7.3)


def test_tracks_go_where_the_flow_of_each_frame_leads():
    clip = render_clip(5, 4, SIZE, DRIVING)
    queries = np.array([[0, y, x] for y in range(4, 64, 12) for x in range(4, 160, 12)], np.float32)
    points, visible = exact_tracks(5, queries, 4, SIZE, DRIVING)
    rows, cols = queries[:, 1].astype(int), queries[:, 2].astype(int)
    np.testing.assert_allclose(points[:, 1] - points[:, 0], clip.flow_fw[0][:, rows, cols].T, atol=1e-4)
    np.testing.assert_array_equal(visible[:, 1], clip.visible_fw[0, 0, rows, cols])
    whole = exact_motion(5, 0, 3, SIZE, DRIVING)[0]
    np.testing.assert_allclose(points[:, 3] - points[:, 0], whole[:, rows, cols].T, atol=1e-3)
    assert set(clip.joint_layer) < set(range(1, len(build_scene(5, SIZE, DRIVING).layers)))


def test_the_same_seed_gives_the_same_bytes_and_a_longer_clip_starts_with_the_shorter_one():
    first, again, longer, other = (render_clip(*a, SIZE, DRIVING) for a in ((2, 2), (2, 2), (2, 3), (3, 2)))
    for field in fields(first):
        part = getattr(first, field.name)
        assert part.tobytes() == getattr(again, field.name).tobytes()
        np.testing.assert_array_equal(getattr(longer, field.name)[:len(part)], part)
    assert first.frames.tobytes() != other.frames.tobytes()


def test_a_road_far_away_is_smooth_although_its_texture_is_not():
    """Without coarser levels of the textures, neighbouring px near the horizon are as different as noise."""
    scene = build_scene(1, (96, 256), CLEAN)
    y, x = np.arange(96, dtype=np.float32)[:, None], np.arange(256, dtype=np.float32)[None]
    road = scene.layers[-2]
    out = np.zeros((2, 96, 256, 3), np.float32)
    road.draw(out[0], x, y, 0)
    replace(road, paint=road.paint[:1]).draw(out[1], x, y, 0)
    far = slice(46, 54), slice(122, 134)
    smooth, rough = (np.abs(np.diff(picture[far], axis=0)).mean() for picture in out)
    assert smooth < 0.6 * rough


@pytest.mark.parametrize('size', [(96, 256), (128, 192), (33, 70)])
def test_a_scanner_measures_a_part_of_the_lower_frame_and_none_of_the_upper(size):
    points = scan_points(size, 4, 1)
    assert 0.2 < points.mean() < 1 / 3
    assert not points[:size[0] // 3].any() and points[size[0] // 2:].mean() > 0.25
    np.testing.assert_array_equal(points, scan_points(size, 4, 1))
    assert (points != scan_points(size, 4, 2)).any() and (points != scan_points(size, 5, 1)).any()


def test_sparse_truth_is_kittis_file_and_is_what_a_data_set_gives(tmp_path):
    write_clips(tmp_path, [7], 3, SIZE, 'driving', sparse=True)
    clip = render_clip(7, 3, SIZE, DRIVING)
    wanted = scan_points(SIZE, 7, 1)
    flow, valid = read_flow(tmp_path / 'flow_sparse/driving_0007/frame_0002.png')
    np.testing.assert_array_equal(valid, wanted)
    np.testing.assert_allclose(flow[wanted], clip.flow_fw[1].transpose(1, 2, 0)[wanted], atol=1 / 128 + 1e-6)
    data = FramePairs(str(tmp_path / 'frames'), truth_root=str(tmp_path / 'flow_sparse'),
                      pipeline=[dict(type='LoadTruth'), dict(type='PackPair')])
    sample = data[1]['data_samples']
    np.testing.assert_array_equal(sample.flow.permute(1, 2, 0), flow)
    np.testing.assert_array_equal(sample.weight[0], wanted)
    # off by (3, 4) px where it is measured, or only where it is not
    errors = [torch.tensor([3.0, 4.0]).view(2, 1, 1) * torch.from_numpy(where) for where in (wanted, ~wanted)]
    scores = []
    for error in errors:
        metric, guess = FlowMetric(), sample.clone()
        guess.pred_flow = torch.from_numpy(clip.flow_fw[1]) + error
        metric.process(None, [guess.to_dict()])
        scores.append(metric.evaluate(1))
    assert scores[0]['EPE'] == pytest.approx(5, abs=0.02) and scores[0]['Fl'] > 90
    assert scores[1]['EPE'] < 0.02 and scores[1]['Fl'] == 0


def test_sparse_truth_is_added_to_a_scene_without_it(tmp_path):
    write_clips(tmp_path, [7], 2, SIZE, 'target')
    frame, record = tmp_path / 'frames/target_0007/frame_0001.png', tmp_path / 'scenes/target_0007.json'
    frame.write_bytes(b'kept')
    before = record.read_bytes()
    write_clips(tmp_path, [7], 2, SIZE, 'target', sparse=True)
    assert (tmp_path / 'flow_sparse/target_0007/frame_0001.png').exists()
    assert frame.read_bytes() == b'kept' and record.read_bytes() == before


def test_records_of_worlds_without_a_road_are_as_they_were(tmp_path):
    for name in ('source', 'driving'):
        write_clips(tmp_path, [0], 1, SIZE, name)
    source, driving = (json.loads((tmp_path / f'scenes/{name}_0000.json').read_text())['style']
                       for name in ('source', 'driving'))
    assert 'drive' not in source and driving['drive'] == [0.4, 1.1]
