"""Clips of the rendered world, in memory and as scene folders."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmrefine.synthetic.render import build_scene
from mmrefine.synthetic.scene import Arrays, Scene
from mmrefine.synthetic.shapes import Shape
from mmrefine.synthetic.style import WorldStyle, get_style

NUM_TRACKS = 64
JOINTS_PER_OBJECT = 5


@dataclass(frozen=True)
class RenderedClip:
    """Frames with the exact motion of every pixel.

    Points and flow are (x, y) px, pixel centres at integers.

    Attributes:
        frames: uint8 ``(T, H, W, 3)`` RGB.
        flow_fw: float32 ``(T-1, 2, H, W)``, frame t -> t+1.
        flow_bw: float32 ``(T-1, 2, H, W)``, frame t+1 -> t.
        visible_fw: bool ``(T-1, 1, H, W)``: the scene point of the pixel of
            frame t is inside frame t+1 with no other layer on top.
        visible_bw: bool ``(T-1, 1, H, W)``, the same from t+1 to t.
        masks: uint8 ``(T, H, W)`` layer at the pixel centre: 0 background,
            then the objects from front to back.
        tracks: float32 ``(T, N, 2)``, starting at integer px of frame 0.
        track_visible: bool ``(T, N)``.
        joints: float32 ``(T, J, 2)``, fixed points of the objects.
        joint_visible: bool ``(T, J)``.
        joint_layer: uint8 ``(J,)``, the object of each joint.
    """

    frames: np.ndarray
    flow_fw: np.ndarray
    flow_bw: np.ndarray
    visible_fw: np.ndarray
    visible_bw: np.ndarray
    masks: np.ndarray
    tracks: np.ndarray
    track_visible: np.ndarray
    joints: np.ndarray
    joint_visible: np.ndarray
    joint_layer: np.ndarray


def render_clip(seed: int,
                num_frames: int,
                size: tuple = (128, 192),
                style: WorldStyle | str = 'source') -> RenderedClip:
    """The clip of a seed; a longer clip starts with the shorter one.

    Args:
        seed: non-negative; the same seed gives the same bytes.
        num_frames: T, at least 1.
        size: frame ``(H, W)`` px, each at least 16.
        style: a world or the name of one of ``STYLES``.

    Raises:
        ValueError: an argument is out of range.
    """
    if num_frames < 1:
        raise ValueError(f'num_frames is {num_frames}; wanted at least 1.')
    scene = scene_of(seed, size, style)
    x, y = pixels_of(scene)
    tops = [scene.top(x, y, t) for t in range(num_frames)]
    flow_fw, visible_fw = _flows(scene, x, y, tops[:-1], range(1, num_frames))
    flow_bw, visible_bw = _flows(scene, x, y, tops[1:], range(num_frames - 1))
    tracks, track_visible = _follow(scene, *_track_starts(scene, tops[0]), num_frames)
    joint_layer, u, v = _joints(scene)
    joints, joint_visible = _follow(scene, joint_layer, u, v, num_frames)
    return RenderedClip(
        np.stack([scene.frame(t) for t in range(num_frames)]), flow_fw,
        flow_bw, visible_fw, visible_bw, np.stack([top[0] for top in tops]),
        tracks, track_visible, joints, joint_visible, joint_layer)


def exact_motion(seed: int,
                 first: int,
                 second: int,
                 size: tuple = (128, 192),
                 style: WorldStyle | str = 'source') -> tuple[np.ndarray, np.ndarray]:
    """The motion between any two frames of the clip of a seed.

    Args:
        seed: of the clip, see :func:`render_clip`.
        first: number of the frame that the motion begins in, at least 0.
        second: number of the frame that it leads to, at least 0.
        size: as for the clip.
        style: as for the clip.

    Returns:
        flow float32 ``(2, H, W)`` px and visible bool ``(1, H, W)``, as
        ``flow_fw`` and ``visible_fw`` of :class:`RenderedClip` have them.

    Raises:
        ValueError: an argument is out of range.
    """
    if min(first, second) < 0:
        raise ValueError(f'first, second are {first}, {second}; wanted numbers of frames, at least 0.')
    scene = scene_of(seed, size, style)
    x, y = pixels_of(scene)
    flow, visible = _flows(scene, x, y, [scene.top(x, y, first)], range(second, second + 1))
    return flow[0], visible[0]


def scene_of(seed: int, size: tuple, style: WorldStyle | str) -> Scene:
    """The scene of a clip, see :func:`render_clip`.

    Raises:
        ValueError: an argument is out of range.
    """
    style = get_style(style)
    if seed < 0:
        raise ValueError(f'seed is {seed}; wanted a non-negative integer.')
    if len(size) != 2 or min(size) < 16:
        raise ValueError(f'size is {size}; wanted (height, width), each at '
                         'least 16 px.')
    return build_scene(seed, (int(size[0]), int(size[1])), style)


def pixels_of(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """``(x, y)`` of all pixels of a frame, float64 ``(H, W)`` each."""
    h, w = scene.size
    y, x = np.mgrid[:h, :w].astype(np.float64)
    return x, y


def _flows(scene: Scene, x: np.ndarray, y: np.ndarray, tops: list[Arrays],
           times: range) -> tuple[np.ndarray, np.ndarray]:
    """Flow and visibility from each view of ``tops`` to its time."""
    flow = np.zeros((len(tops), 2) + scene.size, np.float32)
    visible = np.zeros((len(tops), 1) + scene.size, bool)
    for i, (top, t) in enumerate(zip(tops, times)):
        fx, fy, visible[i, 0] = scene.follow(*top, t)
        flow[i, 0], flow[i, 1] = fx - x, fy - y
    return flow, visible


def _follow(scene: Scene, ids: np.ndarray, u: np.ndarray, v: np.ndarray,
            num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    points = np.zeros((num_frames, len(ids), 2), np.float32)
    visible = np.zeros((num_frames, len(ids)), bool)
    for t in range(num_frames):
        points[t, :, 0], points[t, :, 1], visible[t] = scene.follow(ids, u, v, t)
    return points, visible


def _track_starts(scene: Scene, top: Arrays) -> Arrays:
    """Canonical points of random pixels of frame 0, half of them on objects."""
    rng = np.random.default_rng(np.random.SeedSequence(scene.key + (11, )))
    ids, u, v = (part.ravel() for part in top)
    anywhere = rng.choice(ids.size, NUM_TRACKS // 2, replace=False)
    objects = np.flatnonzero(ids)
    if objects.size < NUM_TRACKS:
        objects = np.arange(ids.size)
    chosen = rng.choice(objects, NUM_TRACKS - NUM_TRACKS // 2, replace=False)
    at = np.concatenate([anywhere, chosen])
    return ids[at], u[at], v[at]


def _joints(scene: Scene) -> Arrays:
    """The innermost point of each object and points far from one another."""
    layer, us, vs = [], [], []
    for i, item in enumerate(scene.layers[1:], 1):
        if not isinstance(item.shape, Shape):  # the road and what goes on along it
            continue
        table = item.shape.table
        rows, cols = np.nonzero(table > min(1.0, 0.5 * table.max()))
        h, w = table.shape
        u = (cols - 0.5 * (w - 1)) / item.shape.density
        v = (rows - 0.5 * (h - 1)) / item.shape.density
        chosen = [int(np.argmax(table[rows, cols]))]
        nearest = np.full(u.shape, np.inf)  # squared distance to the chosen points
        for _ in range(JOINTS_PER_OBJECT - 1):
            last = chosen[-1]
            nearest = np.minimum(nearest, (u - u[last])**2 + (v - v[last])**2)
            chosen.append(int(np.argmax(nearest)))
        layer += [i] * JOINTS_PER_OBJECT
        us.append(u[chosen])
        vs.append(v[chosen])
    return np.array(layer, np.uint8), np.concatenate(us), np.concatenate(vs)
