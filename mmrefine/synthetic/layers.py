"""Motion of one layer, in closed form in both directions."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Tuple

import numpy as np

from mmrefine.synthetic.style import WorldStyle

Pair = Tuple[np.ndarray, np.ndarray]  # two arrays; for points x and y of one shape


@dataclass(frozen=True)
class Wobble:
    """A smooth function of time, ``rate * t + sum_i amp_i sin(freq_i t + phase_i)``."""

    rate: float = 0.0
    amp: tuple = ()
    freq: tuple = ()
    phase: tuple = ()

    def __call__(self, t: float) -> float:
        """Value at time ``t``."""
        value = self.rate * t
        for a, w, p in zip(self.amp, self.freq, self.phase):
            value += a * np.sin(w * t + p)
        return float(value)


@dataclass(frozen=True)
class Camera:
    """Pan, zoom, roll about the frame centre, and a small shake.

    Attributes:
        centre: frame centre, px.
        pan: two wobbles, px.
        zoom: wobble of the log scale.
        roll: wobble of the angle, radians.
        shake: two wobbles of frame time, px; not slowed by ``tempo``.
        tempo: time of the other wobbles is ``tempo * t``.
    """

    centre: tuple
    pan: tuple
    zoom: Wobble
    roll: Wobble
    shake: tuple
    tempo: float = 1.0

    def affine(self, t: float, parallax: float = 1.0) -> Pair:
        """``(M, b)`` with frame point ``M y + b`` for world point ``y``."""
        s = self.tempo * t
        matrix = np.exp(self.zoom(s)) * _rotation(self.roll(s))
        centre = np.array(self.centre)
        pan = parallax * np.array([self.pan[0](s), self.pan[1](s)])
        shake = np.array([self.shake[0](t), self.shake[1](t)])
        return matrix, centre + shake - matrix @ (centre + pan)


@dataclass(frozen=True)
class Bend:
    """A volume-preserving shear ``u + d a(t) sin(k.u + phi(t))``, ``d`` normal to ``k``.

    ``k.u`` is unchanged by the shear, so its inverse only flips the sign.

    Attributes:
        k: wave vector, radians per px.
        amplitude: ``a(t) = amplitude * (1 + sin(swell(t))) / 2``, px.
        swell: wobble, radians.
        phase: wobble ``phi``, radians.
    """

    k: tuple
    amplitude: float
    swell: Wobble
    phase: Wobble

    def shift(self, x: np.ndarray, y: np.ndarray, s: float,
              sign: float) -> Pair:
        """Points moved by the shear (``sign=1``) or its inverse (``-1``)."""
        if self.amplitude == 0.0:
            return x, y
        kx, ky = (float(v) for v in self.k)
        swell = 0.5 * (1.0 + float(np.sin(self.swell(s))))
        a = sign * float(self.amplitude) * swell / float(np.hypot(kx, ky))
        wave = x * kx + y * ky
        wave += self.phase(s)
        wave = np.sin(wave)
        return x - wave * (a * ky), y + wave * (a * kx)


@dataclass(frozen=True)
class LayerMotion:
    """Canonical coordinates of a layer <-> frame px, for every real time.

    ``x = C_t(A_t B2_t(B1_t(u)) + c_t)``: two bends, an affine map about the
    object's centre, a translation and the camera. Python-float coefficients
    keep the dtype of the points: float32 for pictures, float64 for labels.

    Attributes:
        bends: the two bends, first applied first.
        home: world position of the centre at rest, px.
        path: two wobbles of the centre, px.
        angle: wobble, radians, on top of ``tilt``.
        tilt: angle at rest, radians.
        scale: two wobbles of the log scales along the canonical axes.
        skew: constant skew of the affine map.
        camera: shared by all layers of a scene.
        parallax: how much of the camera's pan the layer sees.
        tempo: own time is ``tempo * t``.
    """

    bends: tuple
    home: tuple
    path: tuple
    angle: Wobble
    tilt: float
    scale: tuple
    skew: float
    camera: Camera
    parallax: float
    tempo: float

    def world(self, t: float) -> Pair:
        """``(A, c)`` of the affine part before the camera."""
        s = self.tempo * t
        stretch = np.diag([np.exp(self.scale[0](s)), np.exp(self.scale[1](s))])
        skew = np.array([[1.0, self.skew], [0.0, 1.0]])
        matrix = _rotation(self.tilt + self.angle(s)) @ skew @ stretch
        centre = np.array([self.home[0] + self.path[0](s),
                           self.home[1] + self.path[1](s)])
        return matrix, centre

    def affine(self, t: float) -> Pair:
        """``(M, b)``: the affine part and the camera in one."""
        matrix, centre = self.world(t)
        view, offset = self.camera.affine(t, self.parallax)
        return view @ matrix, view @ centre + offset

    def forward(self, x: np.ndarray, y: np.ndarray, t: float) -> Pair:
        """Frame px at time ``t`` of canonical points."""
        m, b = self.affine(t)
        for bend in self.bends:
            x, y = bend.shift(x, y, self.tempo * t, 1.0)
        return _apply(m, b, x, y)

    def inverse(self, x: np.ndarray, y: np.ndarray, t: float) -> Pair:
        """Canonical points seen at frame px at time ``t``."""
        m, b = self.affine(t)
        inv = np.linalg.inv(m)
        x, y = _apply(inv, -inv @ b, x, y)
        for bend in reversed(self.bends):
            x, y = bend.shift(x, y, self.tempo * t, -1.0)
        return x, y

    def box(self, half: tuple, t: float) -> tuple:
        """Frame bounds ``(x0, y0, x1, y1)`` px that contain the layer's box.

        Args:
            half: canonical half width and half height, px.
            t: time, frames.
        """
        m, b = self.affine(t)
        reach = sum(bend.amplitude for bend in self.bends)
        ext = np.abs(m) @ (np.array(half) + reach)
        return b[0] - ext[0], b[1] - ext[1], b[0] + ext[0], b[1] + ext[1]


def _rotation(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def _apply(m: np.ndarray, b: np.ndarray, x: np.ndarray, y: np.ndarray) -> Pair:
    m00, m01, m10, m11 = (float(v) for v in m.ravel())
    return (x * m00 + (y * m01 + float(b[0])),
            x * m10 + (y * m11 + float(b[1])))


def _wobble(rng: np.random.Generator, rate: float, amp: float,
            speed: float) -> Wobble:
    """A drift and one sinusoid whose fastest rate is about ``speed``."""
    amp = amp * rng.uniform(0.5, 1.5)
    freq = speed / max(abs(amp), 1e-6) * rng.uniform(0.5, 1.5)
    return Wobble(rate, (amp, ), (freq, ), (rng.uniform(0, 2 * np.pi), ))


def random_camera(rng: np.random.Generator, size: tuple,
                  style: WorldStyle) -> Camera:
    """A camera whose fastest motion in the frame is drawn from the style."""
    height, width = size
    heading = rng.uniform(0, 2 * np.pi)
    pan = tuple(_wobble(rng, f(heading), 0.06 * height, 0.6)
                for f in (np.cos, np.sin))
    zoom = _wobble(rng, 0.0, 0.08, 0.7 / height)
    roll = _wobble(rng, 0.0, 0.08, 0.6 / height)
    shake_px = 0.2 * height / 128 * rng.uniform(0, 1)
    shake = tuple(Wobble(0.0, (shake_px, ), (rng.uniform(1.2, 2.2), ),
                         (rng.uniform(0, 2 * np.pi), )) for _ in range(2))
    camera = Camera(((width - 1) / 2, (height - 1) / 2), pan, zoom, roll, shake)
    wanted = rng.uniform(*style.camera_speed) * height
    xs = np.array([0.0, width, 0.0, width, width / 2])
    ys = np.array([0.0, 0.0, height, height, height / 2])
    still = replace(camera, shake=(Wobble(), Wobble()))
    fastest = _fastest(lambda t: _apply(*still.affine(t), xs, ys))
    return replace(camera, tempo=wanted / fastest)


def random_motion(rng: np.random.Generator, size: tuple, style: WorldStyle,
                  camera: Camera, radius: float, depth: float) -> LayerMotion:
    """Motion of an object whose fastest own motion is drawn from the style.

    Args:
        rng: random stream of the object.
        size: frame ``(H, W)`` px.
        style: world.
        camera: shared camera.
        radius: px.
        depth: 0 at the front, 1 at the background.
    """
    height, width = size
    heading = rng.uniform(0, 2 * np.pi)
    path = tuple(_wobble(rng, f(heading), 0.1 * height, 0.6)
                 for f in (np.cos, np.sin))
    spin = rng.normal() * 0.5 / radius
    angle = _wobble(rng, spin, 0.15, 0.4 / radius)
    scale = tuple(_wobble(rng, 0.0, 0.07, 0.4 / radius) for _ in range(2))
    bends = random_bends(rng, rng.uniform(*style.wave) * radius, radius)
    home = (rng.uniform(0.08, 0.92) * width, rng.uniform(0.1, 0.9) * height)
    motion = LayerMotion(bends, home, path, angle, rng.uniform(-np.pi, np.pi),
                         scale, rng.uniform(-0.15, 0.15), camera,
                         1.0 + 0.25 * (1.0 - depth), 1.0)
    wanted = rng.uniform(*style.object_speed) * height
    if rng.uniform() < style.still_share:
        wanted = 0.0
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    xs, ys = radius * np.cos(turn), radius * np.sin(turn)
    rest = (Wobble(), Wobble())
    alone = replace(motion, camera=Camera(camera.centre, rest, Wobble(), Wobble(), rest))
    fastest = _fastest(lambda t: alone.forward(xs, ys, t))
    return replace(motion, tempo=wanted / fastest)


def background_motion(rng: np.random.Generator, size: tuple,
                      style: WorldStyle, camera: Camera) -> LayerMotion:
    """The background: the camera's motion and a slow wide bend."""
    radius = 0.5 * size[0]
    bends = random_bends(rng, 0.25 * rng.uniform(*style.wave) * radius, radius)
    still = Wobble()
    return LayerMotion(bends, (0.0, 0.0), (still, still), still, 0.0,
                       (still, still), 0.0, camera, 1.0, rng.uniform(0.3, 1.0))


def random_bends(rng: np.random.Generator, amplitude: float,
                 radius: float) -> tuple:
    """Two bends of crossing directions, wavelength 2 to 5 radii."""
    bends = []
    first = rng.uniform(0, np.pi)
    for direction in (first, first + rng.uniform(1.0, 2.1)):
        k = 2 * np.pi / (radius * rng.uniform(2.0, 5.0))
        rate = rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.6)
        pace = rate / max(amplitude, 0.05 * radius)
        bends.append(Bend((k * np.cos(direction), k * np.sin(direction)),
                          amplitude, Wobble(0.5 * pace),
                          replace(Wobble(pace), amp=(rng.uniform(-3, 3), ),
                                  freq=(0.0, ), phase=(np.pi / 2, ))))
    return tuple(bends)


def _fastest(place: Callable[[float], Pair]) -> float:
    """Fastest speed of any of the points ``place(t)``, px per unit of time."""
    worst = 1e-6
    for t in np.linspace(0.0, 40.0, 21):
        (x0, y0), (x1, y1) = place(t), place(t + 0.5)
        worst = max(worst, 2.0 * float(np.hypot(x1 - x0, y1 - y0).max()))
    return worst
