"""Planes in space that a moving pinhole camera sees: the layers of the driving world."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmrefine.synthetic.layers import Pair, Wobble
from mmrefine.synthetic.scene import pixels_in
from mmrefine.synthetic.shapes import Shape

NEAR = 0.5  # m; what is nearer, or behind the camera, is projected as if it were this far: outside the frame
FAR = 400.0  # m; a plane ends there, below the horizon
_OFF = 1e6  # canonical px of a ray that meets no plane; outside every outline


@dataclass(frozen=True)
class DriveCamera:
    """A pinhole camera on its way along the z axis: x to the right, y down, z ahead, metres, origin at its start.

    Attributes:
        focal: focal length, px.
        centre: principal point, px.
        path: wobble of z, m.
        yaw, pitch, roll: wobbles of the angles, radians; positive ones turn the camera to the right, upwards and
            clockwise.
    """

    focal: float
    centre: tuple
    path: Wobble
    yaw: Wobble
    pitch: Wobble
    roll: Wobble

    def rotation(self, t: float) -> np.ndarray:
        """``(3, 3)`` from directions of the world to those of the camera: yaw, then pitch, then roll."""
        (cy, sy), (cp, sp), (cr, sr) = ((np.cos(angle(t)), np.sin(angle(t)))
                                        for angle in (self.yaw, self.pitch, self.roll))
        yaw = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        roll = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
        return roll @ pitch @ yaw


@dataclass(frozen=True)
class PlaneMotion:
    """Canonical coordinates of a plane in space <-> frame px, for every real time.

    ``x = centre + focal * (X, Y) / Z`` with ``(X, Y, Z) = R_t (origin_t - camera_t + u across + v along)``: a
    homography, and so is its inverse. Python-float coefficients keep the dtype of the points: float32 for pictures,
    float64 for labels.

    Attributes:
        camera: shared by all planes of a scene.
        origin: canonical (0, 0) at time 0, m.
        across, along: m per canonical px, in the directions of u and v.
        path: wobble of z, m: the plane's own way along the road.
        carried: whether the camera takes the plane along, as it does with the sky and with a car that keeps its
            distance.
    """

    camera: DriveCamera
    origin: tuple
    across: tuple
    along: tuple
    path: Wobble = Wobble()
    carried: bool = False

    def matrix(self, t: float) -> np.ndarray:
        """``(3, 3)``, from ``(u, v, 1)`` to the point in the camera's axes, m."""
        way = self.path(t) - (0.0 if self.carried else self.camera.path(t))
        offset = np.array(self.origin) + np.array([0.0, 0.0, way])
        return self.camera.rotation(t) @ np.stack([self.across, self.along, offset], axis=1)

    def forward(self, x: np.ndarray, y: np.ndarray, t: float) -> Pair:
        """Frame px at time ``t`` of canonical points; those behind the camera are far outside the frame."""
        px, py, pz = _apply(self.matrix(t), x, y)
        scale = self.camera.focal / np.maximum(pz, NEAR)
        return px * scale + self.camera.centre[0], py * scale + self.camera.centre[1]

    def inverse(self, x: np.ndarray, y: np.ndarray, t: float) -> Pair:
        """Canonical points seen at frame px at time ``t``, far off where the ray does not meet the plane."""
        return self.seen(x, y, t)[:2]

    def seen(self, x: np.ndarray, y: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(u, v, depth)`` with :meth:`inverse` and the depth there, m, ``FAR`` where there is no plane."""
        focal = self.camera.focal
        rays = (x - self.camera.centre[0]) * (1 / focal), (y - self.camera.centre[1]) * (1 / focal)
        u, v, s = _apply(np.linalg.inv(self.matrix(t)), *rays)
        met = s > 1 / FAR  # the inverse of the depth
        depth = 1 / np.where(met, s, s.dtype.type(1 / FAR))
        off = s.dtype.type(_OFF)
        return np.where(met, u * depth, off), np.where(met, v * depth, off), depth

    def box(self, half: tuple, t: float) -> tuple:
        """Frame bounds ``(x0, y0, x1, y1)`` px of the plane's rectangle, as far as it is in front of the camera.

        Args:
            half: canonical half width and half height, px.
            t: time, frames.
        """
        u, v = (np.array(signs) * size for signs, size in zip(((-1, 1, -1, 1), (-1, -1, 1, 1)), half))
        matrix = self.matrix(t)
        per_row = matrix[2, 1]
        if half[1] * per_row > FAR:  # without end: the depth is linear in u and v, so a rectangle cut by depth
            v = (np.array([NEAR, NEAR, FAR, FAR]) - matrix[2, 2] - u * matrix[2, 0]) / per_row
        elif _apply(matrix, u, v)[2].max() < NEAR:
            return -1.0, -1.0, -2.0, -2.0  # behind the camera: nothing is in there
        x, y = self.forward(u, v, t)
        return x.min(), y.min(), x.max(), y.max()


@dataclass(frozen=True)
class Strip:
    """The outline of a plane along the road: without end in v, in u from ``-width`` to a rim that repeats itself.

    Attributes:
        width: half of the extent in u, canonical px.
        rim: float32 ``(n, )``, the greatest u at v = 0, 1, ..., straight in between.
    """

    width: float
    rim: np.ndarray

    @property
    def half(self) -> tuple:
        """Half width and half height, canonical px."""
        return self.width, _OFF / 2

    def cells(self, x: np.ndarray, y: np.ndarray) -> tuple:
        """Cells of the texture, one per canonical px: column 0 is at ``-width``, row 0 at v = 0."""
        return x + self.width, y

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """How far inside the outline canonical points are, px along u."""
        n = len(self.rim)
        at = y - np.floor(y * (1 / n)) * n
        row = np.minimum(at.astype(np.intp), n - 1)
        rise = np.roll(self.rim, -1) - self.rim
        rim = self.rim[row] + rise[row] * (at - row)
        return np.where(np.abs(y) < _OFF / 2, np.minimum(x + self.width, rim - x), -_OFF)


@dataclass(frozen=True)
class PlaneLayer:
    """One textured plane of a driving world, with the interface of :class:`~mmrefine.synthetic.scene.Layer`.

    Attributes:
        motion: canonical coordinates <-> frame px.
        paint: levels of the texture, float32 ``(h, w, 3)``, grey levels, on the cells of ``shape``; see
            :func:`levels_of`.
        steps: ``(across, along)``, how many cells of one level a cell of the next takes the place of.
        shape: outline.
        density: cells per canonical px, across.
        haze: airlight share of what is near and of what is far.
        airlight: float32 ``(3, )``, grey levels.
    """

    motion: PlaneMotion
    paint: tuple
    steps: tuple
    shape: Shape | Strip | None
    density: float
    haze: tuple
    airlight: np.ndarray

    def draw(self, out: np.ndarray, x: np.ndarray, y: np.ndarray, t: float) -> None:
        """Paint the layer as it is at time ``t`` over ``out``, see ``Layer.draw``."""
        if self.shape is None:  # the sky: one cell of texture per px, hazy as it is, its lower half behind the ground
            u, v = self.motion.inverse(x, y, t)
            end = int((v < 0.02 * len(out)).any(axis=1).sum())
            u, v = (_repeated(at[:end], len(self.paint[0])) for at in (u, v))
            out[:end] = cv2.remap(self.paint[0], u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
            return
        rows, cols = pixels_in(self.motion.box(self.shape.half, t), out.shape)
        under = out[rows, cols]
        if not under.size:
            return
        u, v, depth = self.motion.seen(x[:, cols], y[rows], t)
        zoom = self.motion.camera.focal * float(np.linalg.norm(self.motion.across)) / depth
        # Half a px of soft edge; the samples' offsets give the rest.
        alpha = np.clip(2 * self.shape.distance(u, v).astype(np.float32) * zoom + 0.5, 0, 1)
        at = self.shape.cells(u, v)
        colour = self._colour(at[0], at[1], np.log2(self.density / zoom))
        near, far = self.haze
        share = far - (far - near) * np.exp(depth * np.float32(-1 / 60))
        colour += share[..., None] * (self.airlight - colour)
        under += alpha[..., None] * (colour - under)

    def _colour(self, cols: np.ndarray, rows: np.ndarray, level: np.ndarray) -> np.ndarray:
        """The texture at cells, between the two levels whose cells are next to a px in size."""
        level = np.clip(level, 0, len(self.paint) - 1)
        cols, rows = (_repeated(at, size) for at, size in zip((cols, rows), self.paint[0].shape[1::-1]))
        out = np.zeros(cols.shape + (3, ), np.float32)
        low, high = level.min(axis=1), level.max(axis=1)
        for k, paint in enumerate(self.paint):
            own = np.flatnonzero((low < k + 1) & (high > k - 1))
            if own.size:
                part = slice(own[0], own[-1] + 1)
                weight = np.maximum(1 - np.abs(level[part] - np.float32(k)), 0)
                across, along = (1 / step**k for step in self.steps)
                out[part] += weight[..., None] * cv2.remap(
                    paint, cols[part] * across + (0.5 * across - 0.5), rows[part] * along + (0.5 * along - 0.5),
                    cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        return out


def levels_of(texture: np.ndarray, steps: tuple, count: int) -> tuple:
    """Ever coarser copies of a texture, the first of which is the texture.

    A plane along the road is seen ever more from the side: where it is twice as far, a px takes twice as much of it
    across and four times as much along, so its steps are ``(2, 4)``; those of an upright one are ``(2, 2)``.

    Args:
        texture: float32 ``(h, w, 3)``; is repeated at its end to a size that the steps divide.
        steps: ``(across, along)`` cells that become one.
        count: how many levels, at least 1.
    """
    h, w = (-(-size // step**(count - 1)) * step**(count - 1) for size, step in zip(texture.shape[:2], steps[::-1]))
    texture = np.pad(texture, ((0, h - texture.shape[0]), (0, w - texture.shape[1]), (0, 0)), mode='wrap')
    levels: list[np.ndarray] = [np.ascontiguousarray(texture, np.float32)]
    for _ in range(count - 1):
        h, w = h // steps[1], w // steps[0]
        levels.append(cv2.resize(levels[-1], (w, h), interpolation=cv2.INTER_AREA))
    return tuple(levels)


def _repeated(at: np.ndarray, size: int) -> np.ndarray:
    """Cells of a texture without end as those of the one tile, float32; a wrapped map of far ones is slow."""
    return (at - np.floor(at * (1 / size)) * size).astype(np.float32)


def _apply(m: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``m (x, y, 1)`` for points."""
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = (float(value) for value in m.ravel())
    return x * m00 + (y * m01 + m02), x * m10 + (y * m11 + m12), x * m20 + (y * m21 + m22)
