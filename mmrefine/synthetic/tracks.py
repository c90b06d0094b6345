"""Where any point of a rendered clip is in all of its frames."""
from __future__ import annotations

import numpy as np

from mmrefine.synthetic.clip import pixels_of, scene_of
from mmrefine.synthetic.style import WorldStyle

_STREAM = (13, )  # of random numbers, which nothing else of a scene draws from


def exact_tracks(seed: int,
                 queries: np.ndarray,
                 num_frames: int,
                 size: tuple = (128, 192),
                 style: WorldStyle | str = 'source',
                 first: int = 0,
                 stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The motion of points through frames of the clip of a seed.

    Frame k of the result is frame ``first + k * stride`` of the clip.

    Args:
        seed: of the clip, see :func:`render_clip`.
        queries: ``(N, 3)``: frame of the result, y, x; the frame a whole
            number, the point anywhere, between pixels and outside of the
            frame too. What is followed is what lies on top there.
        num_frames: T, at least 1.
        size: as for the clip.
        style: as for the clip.
        first: at least 0.
        stride: at least 1.

    Returns:
        points float32 ``(N, T, 2)`` px (x, y), and visible bool ``(N, T)``:
        inside the frame with no other layer on top.

    Raises:
        ValueError: an argument is out of range.
    """
    if num_frames < 1 or first < 0 or stride < 1:
        raise ValueError(f'num_frames, first, stride are {num_frames}, {first}, {stride}; wanted at least 1, 0, 1.')
    queries = _checked(queries, num_frames)
    scene = scene_of(seed, size, style)
    times = first + stride * np.arange(num_frames)
    ids = np.zeros(len(queries), np.uint8)
    u, v = np.zeros((2, len(queries)))
    for k in np.unique(queries[:, 0]).astype(int):
        own = queries[:, 0] == k
        ids[own], u[own], v[own] = scene.top(queries[own, 2], queries[own, 1], int(times[k]))
    points = np.zeros((len(queries), num_frames, 2), np.float32)
    visible = np.zeros((len(queries), num_frames), bool)
    for k, t in enumerate(times):
        points[:, k, 0], points[:, k, 1], visible[:, k] = scene.follow(ids, u, v, int(t))
    # what was found on top is seen: rounding on the way there and back would lose pixels at the border
    own = queries[:, 0].astype(int)
    inside = (queries[:, 1:] >= 0) & (queries[:, 1:] <= np.subtract(scene.size, 1))
    visible[np.arange(len(queries)), own] = inside.all(axis=1)
    return points, visible


def random_queries(seed: int,
                   count: int,
                   num_frames: int,
                   size: tuple = (128, 192),
                   style: WorldStyle | str = 'source') -> np.ndarray:
    """Random pixels of random frames of the clip of a seed.

    Every second query is on an object if any is in its frame, the others
    are anywhere.

    Args:
        seed: of the clip, see :func:`render_clip`.
        count: N, at least 0.
        num_frames: of the clip, at least 1.
        size: as for the clip.
        style: as for the clip.

    Returns:
        float32 ``(N, 3)``: frame, y, x.

    Raises:
        ValueError: an argument is out of range.
    """
    if count < 0 or num_frames < 1:
        raise ValueError(f'count, num_frames are {count}, {num_frames}; wanted at least 0, 1.')
    scene = scene_of(seed, size, style)
    x, y = pixels_of(scene)
    rng = np.random.default_rng(np.random.SeedSequence(scene.key + _STREAM))
    frames = rng.integers(num_frames, size=count)
    which = rng.uniform(size=count)  # where in the list of the pixels that may be chosen
    pixels = (which * x.size).astype(int)
    on_objects = np.arange(count) % 2 == 1
    for t in np.unique(frames[on_objects]):
        objects = np.flatnonzero(scene.top(x, y, int(t))[0])
        own = on_objects & (frames == t)
        if objects.size:
            pixels[own] = objects[(which[own] * objects.size).astype(int)]
    return np.stack([frames, *np.divmod(pixels, x.shape[1])], axis=1).astype(np.float32)


def _checked(queries: np.ndarray, num_frames: int) -> np.ndarray:
    """Queries as float64; ValueError if they are not ``(N, 3)`` in the frames of the result."""
    queries = np.asarray(queries, np.float64)
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise ValueError(f'queries are {queries.shape}; wanted (N, 3), each frame, y and x.')
    frame = queries[:, 0]
    sound = np.isfinite(queries).all(axis=1) & (frame >= 0) & (frame < num_frames) & (frame == np.floor(frame))
    if not sound.all():
        number = int((~sound).argmax())
        raise ValueError(f'query {number} is {queries[number].tolist()}; wanted one of the frames 0 to '
                         f'{num_frames - 1}, and y and x in px.')
    return queries
