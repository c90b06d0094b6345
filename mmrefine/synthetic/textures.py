"""Tileable textures of the two worlds, float32 grey levels in [0, 255]."""
from __future__ import annotations

import colorsys
from collections.abc import Iterator

import cv2
import numpy as np

# Muted base colours (RGB): foliage, bark, soil, sand, stone, water, dry grass, slate.
_NATURAL = ((86, 98, 62), (96, 82, 66), (112, 92, 70), (158, 144, 116),
            (120, 120, 116), (92, 108, 118), (140, 132, 88), (74, 80, 84))


def smooth_noise(rng: np.random.Generator, size: int, cells: int,
                 octaves: int = 1, fall: float = 0.5) -> np.ndarray:
    """Periodic noise ``(size, size)`` in about [-1, 1], ``cells`` per period.

    Args:
        rng: random stream.
        size: px.
        cells: grid cells of the first octave; doubles per octave.
        octaves: number of octaves.
        fall: amplitude ratio of neighbouring octaves.
    """
    out = np.zeros((size, size), np.float32)
    gain = 1.0
    for _ in range(octaves):
        if cells > size:
            break
        grid = rng.uniform(-1, 1, (cells, cells)).astype(np.float32)
        at = (np.arange(size, dtype=np.float32) * (cells / size))
        gx, gy = np.meshgrid(at, at)
        out += gain * cv2.remap(grid, gx, gy, cv2.INTER_CUBIC,
                                borderMode=cv2.BORDER_WRAP)
        cells, gain = cells * 2, gain * fall
    return out


def power_noise(rng: np.random.Generator, size: int,
                slope: float) -> np.ndarray:
    """Periodic noise of amplitude spectrum ``1 / f**slope``, unit variance."""
    white = np.fft.rfft2(rng.standard_normal((size, size)))
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    f[0, 0] = np.inf
    out = np.fft.irfft2(white * f**-slope, s=(size, size))
    return (out / out.std()).astype(np.float32)


def bold_colour(rng: np.random.Generator) -> np.ndarray:
    """A saturated colour, RGB grey levels."""
    hsv = rng.uniform(), rng.uniform(0.55, 1.0), rng.uniform(0.35, 1.0)
    return np.array(colorsys.hsv_to_rgb(*hsv), np.float32) * 255


def natural_colour(rng: np.random.Generator) -> np.ndarray:
    """A muted colour, RGB grey levels."""
    base = np.array(_NATURAL[rng.integers(len(_NATURAL))], np.float32)
    return np.clip(base * rng.uniform(0.75, 1.3) + rng.normal(0, 5, 3), 15, 230
                   ).astype(np.float32)


def bold_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Saturated colour clouds with flat shapes of strong edges, ``(size, size, 3)``."""
    kind = rng.choice(['clouds', 'shapes', 'checker', 'strips'],
                      p=[0.3, 0.4, 0.15, 0.15])
    mix = smooth_noise(rng, size, int(rng.integers(3, 6)), 4, 0.5)
    mix = np.clip(0.5 + 0.6 * mix, 0, 1)[..., None]
    out = bold_colour(rng) * (1 - mix) + bold_colour(rng) * mix
    if kind == 'checker':
        n = int(rng.choice([6, 8, 10, 12]))
        at = np.arange(size) * n // size
        out[(at[:, None] + at[None]) % 2 == 0] *= rng.uniform(0.2, 0.6)
    elif kind == 'strips':
        gy, gx = np.mgrid[:size, :size] * (2 * np.pi / size)
        a, b = rng.integers(2, 7), rng.integers(-6, 7)
        on = np.sin(a * gx + b * gy) > rng.uniform(-0.3, 0.5)
        out[on] = 0.25 * out[on] + 0.75 * bold_colour(rng)
    if kind in ('shapes', 'strips'):
        for _ in range(int(rng.integers(10, 26))):
            _stamp(rng, out, bold_colour(rng), size * rng.uniform(0.04, 0.16))
    # strong detail down to 3 px everywhere, so that motion below a pixel can be measured
    fine = [smooth_noise(rng, size, size // 12, 3, 0.8) for _ in range(3)]
    return np.clip(out + np.stack(fine, axis=-1) * rng.uniform(15, 45), 0, 255)


def natural_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Muted ``1/f`` clouds with weave, stripes, leaves or grain, ``(size, size, 3)``."""
    kind = rng.choice(['plain', 'leaves', 'weave', 'stripes', 'grain'],
                      p=[0.2, 0.3, 0.15, 0.15, 0.2])
    base, other = natural_colour(rng), natural_colour(rng)
    clouds = power_noise(rng, size, rng.uniform(1.0, 1.6))
    mix = np.clip(0.5 + 0.3 * clouds, 0, 1)[..., None]
    out = base * (1 - mix) + (0.4 * base + 0.6 * other) * mix
    detail: np.ndarray = np.zeros((size, size), np.float32)
    if kind in ('weave', 'stripes'):
        gy, gx = np.mgrid[:size, :size].astype(np.float32) * (2 * np.pi / size)
        warp = 0.6 * smooth_noise(rng, size, 5, 2)
        n = int(rng.integers(size // 24, size // 9))
        m = int(rng.integers(-n, n + 1)) if kind == 'stripes' else 0
        detail = np.sin(n * gx + m * gy + warp)
        if kind == 'weave':
            detail = detail * np.sin(n * gy - warp)
        detail *= rng.uniform(8, 22)
    elif kind == 'leaves':
        _leaves(rng, out, size)
    elif kind == 'grain':
        detail = power_noise(rng, size, 0.4) * rng.uniform(6, 13)
    detail = detail + power_noise(rng, size, 0.7) * rng.uniform(2, 6)
    # patches of low texture, where matching is hard
    calm = np.clip(0.5 + 1.2 * smooth_noise(rng, size, 4, 2), 0.1, 1)
    return np.clip(out + (detail * calm)[..., None], 0, 255)


def _leaves(rng: np.random.Generator, out: np.ndarray, size: int) -> None:
    tone = natural_colour(rng)
    heading = rng.uniform(0, 180)
    length = rng.uniform(4, 11)
    for _ in range(int(0.6 * size * size / (length * length))):
        colour = np.clip(tone * rng.uniform(0.65, 1.35), 0, 255)
        axes = (length * rng.uniform(0.6, 1.2), length * rng.uniform(0.15, 0.4))
        turn = heading + rng.normal() * 35
        for x, y in _copies(rng.uniform(0, size, 2), size, length * 1.3):
            centre = (int(x * 16), int(y * 16))
            cv2.ellipse(out, centre, (int(axes[0] * 16), int(axes[1] * 16)),
                        turn, 0, 360, colour.tolist(), -1, cv2.LINE_8, 4)


def _stamp(rng: np.random.Generator, out: np.ndarray, colour: np.ndarray,
           radius: float) -> None:
    """One flat polygon or blob, wrapped around the tile."""
    size = out.shape[0]
    n = int(rng.choice([3, 4, 5, 6, 40]))
    turn = np.sort(rng.uniform(0, 2 * np.pi, n)) if n < 40 else np.linspace(
        0, 2 * np.pi, n, endpoint=False)
    r = radius * (1 + 0.3 * np.sin(3 * turn + rng.uniform(0, 6)) if n == 40
                  else rng.uniform(0.7, 1.3, n))
    rim = np.stack([r * np.cos(turn), r * np.sin(turn) * rng.uniform(0.5, 1)], 1)
    for centre in _copies(rng.uniform(0, size, 2), size, 1.4 * radius):
        points = np.round((rim + centre) * 16).astype(np.int32)
        cv2.fillPoly(out, [points], colour.tolist(), cv2.LINE_8, 4)


def _copies(centre: np.ndarray, size: int,
            reach: float) -> Iterator[tuple[float, float]]:
    """The centre and its wrapped copies that touch the tile."""
    for dx in (-size, 0, size):
        for dy in (-size, 0, size):
            x, y = centre[0] + dx, centre[1] + dy
            if -reach < x < size + reach and -reach < y < size + reach:
                yield x, y
