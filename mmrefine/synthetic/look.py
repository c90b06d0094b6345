"""What the camera does to a clean picture."""
from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mmrefine.synthetic.style import WorldStyle


@dataclass(frozen=True)
class Look:
    """Degradations of one clip; each frame depends on its own number only.

    Attributes:
        gain: ``(amplitude, frequency, phase)`` of the exposure.
        shading: float32 ``(H, W, 1)`` factor of light and vignette.
        defocus: standard deviation, px.
        shot: noise variance per grey level of signal.
        read: signal-free noise, grey levels.
        quality: JPEG quality or ``None``.
        key: integers that name the noise stream; the frame number is added.
    """

    gain: tuple
    shading: np.ndarray
    defocus: float
    shot: float
    read: float
    quality: int | None
    key: tuple

    def __call__(self, picture: np.ndarray, t: int) -> np.ndarray:
        """The recorded frame, uint8, of a float32 RGB picture in grey levels."""
        amp, freq, phase = self.gain
        out: np.ndarray = picture * (self.shading * np.float32(
            1 + amp * np.sin(freq * t + phase)))
        if self.defocus > 0.05:
            out = cv2.GaussianBlur(out, (0, 0), self.defocus)
        if self.shot > 0 or self.read > 0:
            rng = np.random.default_rng(np.random.SeedSequence(self.key + (t, )))
            noise = rng.standard_normal(out.shape, dtype=np.float32)
            out += noise * np.sqrt(self.shot * np.maximum(out, 0) + self.read**2)
        frame = np.clip(np.rint(out), 0, 255).astype(np.uint8)
        if self.quality is None:
            return frame
        # the codec takes BGR
        packed = cv2.imencode('.jpg', frame[..., ::-1],
                              [cv2.IMWRITE_JPEG_QUALITY, self.quality])[1]
        decoded = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR))
        return np.ascontiguousarray(decoded[..., ::-1])


def random_look(rng: np.random.Generator, size: tuple, style: WorldStyle,
                key: tuple) -> Look:
    """A look drawn from the style's ranges."""
    h, w = size
    y, x = np.mgrid[:h, :w].astype(np.float32)
    r2 = ((x / (w - 1) - 0.5)**2 + (y / (h - 1) - 0.5)**2) * 2
    shading = style.light * (1 - rng.uniform(*style.vignette) * r2)[..., None]
    gain = (style.exposure * rng.uniform(0.3, 1), rng.uniform(0.1, 0.5),
            rng.uniform(0, 2 * np.pi))
    quality = None if style.jpeg is None else int(
        rng.integers(style.jpeg[0], style.jpeg[1] + 1))
    return Look(gain, shading.astype(np.float32), rng.uniform(*style.defocus),
                rng.uniform(*style.shot_noise), rng.uniform(*style.read_noise),
                quality, key)
