"""Rendered videos in many situations that real footage is in, with the exact motion of each, for the guard's bench."""
from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, List, Sequence, Tuple, Union

import cv2
import numpy as np

from mmrefine.synthetic import TARGET, WorldStyle, exact_motion, render_clip

SIZE = (96, 128)  # (height, width) px
FIRST_SEED = 61_000
CAMERA = replace(TARGET, name='camera', objects=(2, 4), still_share=1.)
OBJECT = replace(TARGET, name='object', objects=(1, 1), camera_speed=(0., 0.), still_share=0., camouflage=0.)
SLOW = replace(TARGET, name='slow', object_speed=(0.003, 0.015), camera_speed=(0.002, 0.01))

Rng = np.random.Generator


@dataclass
class Clip:
    """One scene: frames ``(T, H, W, 3)`` uint8 RGB, and the motion from each to the next, ``(T-1, 2, H, W)`` px, nan
    where it is not known.
    """
    frames: np.ndarray
    flow: np.ndarray


Change = Callable[[Clip, int, Rng], Clip]


@dataclass(frozen=True)
class Situation:
    """A video.

    Args:
        name: of the situation.
        style: of the rendered world.
        shape: (scenes, frames of each).
        change: what becomes of a rendered clip, given the number of its scene and randomness.
        kind: ``'plain'``; ``'empty'``, without motion or texture; or ``'overlaid'``, partly covered.
        frames: how many frames of a rendered clip are needed for one of the changed clip.
    """
    name: str
    style: Union[str, WorldStyle] = 'target'
    shape: Tuple[int, int] = (8, 4)
    change: Change = lambda clip, scene, rng: clip
    kind: str = 'plain'
    frames: int = 1

    def render(self) -> Tuple[List[Clip], List[Clip]]:
        """The scenes of the video, and the same scenes as they were."""
        plain, changed = [], []
        for scene in range(self.shape[0]):
            clip = render_clip(FIRST_SEED + scene, self.frames * self.shape[1], SIZE, self.style)
            plain.append(Clip(np.asarray(clip.frames), np.asarray(clip.flow_fw)))
            changed.append(self.change(plain[-1], scene, np.random.default_rng((scene, len(self.name)))))
        return changed, plain


def _each(change: Callable[[np.ndarray, Rng], Any]) -> Change:
    """A change of each frame ``(H, W, 3)``, float, in grey levels; motion stays."""

    def changed(clip: Clip, scene: int, rng: Rng) -> Clip:
        frames = [change(frame.astype(np.float64), rng) for frame in clip.frames]
        return Clip(np.clip(np.round(frames), 0, 255).astype(np.uint8), clip.flow)

    return changed


def _noise(strength: float) -> Callable[[np.ndarray, Rng], Any]:
    return lambda frame, rng: frame + strength * rng.normal(size=frame.shape)


def _blur(sigma: float) -> Callable[[np.ndarray, Rng], Any]:
    return lambda frame, rng: cv2.GaussianBlur(frame, (0, 0), sigma)


def _blocks(quality: int) -> Callable[[np.ndarray, Rng], Any]:
    def changed(frame: np.ndarray, rng: Rng) -> np.ndarray:
        coded = cv2.imencode('.jpg', frame.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))

    return changed


def _pepper(frame: np.ndarray, rng: Rng) -> np.ndarray:
    seen = rng.random(frame.shape[:2])[..., None]
    return np.where(seen < 0.01, 0., np.where(seen > 0.99, 255., frame))


def _small(frame: np.ndarray, rng: Rng) -> np.ndarray:
    size = (SIZE[1], SIZE[0])
    half = cv2.resize(frame, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(half, size, interpolation=cv2.INTER_CUBIC))


def _fade(clip: Clip, scene: int, rng: Rng) -> Clip:
    light = np.linspace(1., 0.4, len(clip.frames))[:, None, None, None]
    return Clip((light * clip.frames).astype(np.uint8), clip.flow)


def _smeared(clip: Clip, scene: int, rng: Rng) -> Clip:
    """A long shutter: each frame is the mean of itself and both neighbours."""
    padded = np.concatenate([clip.frames[:1], clip.frames, clip.frames[-1:]]).astype(np.float64)
    return Clip(((padded[:-2] + padded[1:-1] + padded[2:]) / 3).round().astype(np.uint8), clip.flow)


def _interlaced(clip: Clip, scene: int, rng: Rng) -> Clip:
    """Every other line is from half a frame interval later: the lines of a clip with twice as many frames."""
    frames = clip.frames[::2].copy()
    frames[:, 1::2] = clip.frames[1::2, 1::2]
    motions = [exact_motion(FIRST_SEED + scene, first, first + 2, SIZE, 'target')[0]
               for first in range(0, len(clip.frames) - 2, 2)]
    return Clip(frames, np.stack(motions))


def _doubled(clip: Clip, scene: int, rng: Rng) -> Clip:
    frames = np.repeat(clip.frames, 2, axis=0)
    flow = np.zeros((len(frames) - 1, *clip.flow.shape[1:]), np.float32)
    flow[1::2] = clip.flow
    return Clip(frames, flow)


def _cut(clip: Clip, scene: int, rng: Rng) -> Clip:
    """Every fifth frame begins another shot."""
    other = render_clip(FIRST_SEED + 500 + scene, len(clip.frames), SIZE, 'target')
    turn = (np.arange(len(clip.frames)) // 5 % 2).astype(bool)
    frames = np.where(turn[:, None, None, None], other.frames, clip.frames)
    flow = np.where(turn[:-1, None, None, None], other.flow_fw, clip.flow)
    flow[turn[:-1] != turn[1:]] = np.nan
    return Clip(frames, flow)


def _still(change: Callable[[np.ndarray, int, Rng], Any]) -> Change:
    """The first frame again and again, each time changed."""

    def changed(clip: Clip, scene: int, rng: Rng) -> Clip:
        first = clip.frames[0].astype(np.float64)
        frames = [change(first, scene, rng) for _ in clip.frames]
        return Clip(np.clip(np.round(frames), 0, 255).astype(np.uint8), np.zeros_like(clip.flow))

    return changed


def _over(draw: Callable[[np.ndarray, int], Tuple[np.ndarray, np.ndarray]]) -> Change:
    """A picture over each frame: ``draw(frame, number)`` gives its pixels and where it is; nothing moves there."""

    def changed(clip: Clip, scene: int, rng: Rng) -> Clip:
        drawn = [draw(frame, number) for number, frame in enumerate(clip.frames)]
        frames = np.stack([np.where(there[..., None], over, frame) for frame, (over, there) in zip(clip.frames, drawn)])
        covered = np.stack([there for _, there in drawn[:-1]])
        return Clip(frames.astype(np.uint8), np.where(covered[:, None], np.float32(0), clip.flow))

    return changed


_Y, _X = np.mgrid[:SIZE[0], :SIZE[1]]
_LOGO = (_Y < 24) & (_X >= 96)
_PICTURE = np.random.default_rng(0).integers(0, 256, (SIZE[0] // 4, SIZE[1] // 4, 3), dtype=np.uint8)
_PICTURE = _PICTURE.repeat(4, axis=0).repeat(4, axis=1)


def _timecode(frame: np.ndarray, number: int) -> Tuple[np.ndarray, np.ndarray]:
    over = np.zeros_like(frame)
    cv2.putText(over, f'00:00:{number:02d}', (4, 90), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    return over, (_Y > 74) & (_X < 100)


def _grain(strength: float) -> Callable[[np.ndarray, int, Rng], Any]:
    return lambda first, scene, rng: first + strength * rng.normal(size=first.shape)


LONG, ONE, SHORT = (2, 24), (1, 40), (1, 16)
SITUATIONS: Sequence[Situation] = (
    Situation('untouched'), Situation('untouched, two long scenes', shape=LONG),
    Situation('untouched, one scene of 20 frames', shape=(1, 20)),
    Situation('untouched, one scene of 40 frames', shape=ONE),
    Situation('untouched, one scene of 16 frames', shape=SHORT),
    Situation('untouched, sixteen short scenes', shape=(16, 3)),
    Situation('source', 'source'), Situation('source, two long scenes', 'source', LONG), Situation('fog', 'fog'),
    Situation('fog, two long scenes', 'fog', LONG), Situation('night', 'night'),
    Situation('night, two long scenes', 'night', LONG), Situation('noisy sensor', 'noise'),
    Situation('fast', 'fast'), Situation('fast, two long scenes', 'fast', LONG),
    Situation('slow', SLOW, LONG), Situation('camera only', CAMERA), Situation('camera only, one scene', CAMERA, ONE),
    Situation('one object only', OBJECT), Situation('one object only, two long scenes', OBJECT, LONG),
    Situation('dark', change=_each(lambda frame, rng: 0.25 * frame)),
    Situation('very dark', change=_each(lambda frame, rng: 0.1 * frame)),
    Situation('dark and noisy', change=_each(lambda frame, rng: 0.25 * frame + 4 * rng.normal(size=frame.shape))),
    Situation('overexposed', change=_each(lambda frame, rng: 1.8 * frame)),
    Situation('blurred', change=_each(_blur(1.5))), Situation('blurred, two long scenes', 'target', LONG,
                                                              _each(_blur(1.5))),
    Situation('very blurred', change=_each(_blur(3.))),
    Situation('flickering', change=_each(lambda frame, rng: rng.uniform(0.8, 1.2) * frame)),
    Situation('flickering strongly', change=_each(lambda frame, rng: rng.uniform(0.5, 1.3) * frame)),
    Situation('blocky', change=_each(_blocks(20))), Situation('very blocky', change=_each(_blocks(8))),
    Situation('8 levels', change=_each(lambda frame, rng: frame // 32 * 32 + 16)),
    Situation('4 levels', change=_each(lambda frame, rng: frame // 64 * 64 + 32)),
    Situation('low contrast', change=_each(lambda frame, rng: 90 + 0.3 * frame)),
    Situation('very low contrast', change=_each(lambda frame, rng: 110 + 0.1 * frame)),
    Situation('noise of 10 grey levels', change=_each(_noise(10.))),
    Situation('noise of 25 grey levels', change=_each(_noise(25.))),
    Situation('salt and pepper', change=_each(_pepper)),
    Situation('grey', change=_each(lambda frame, rng: frame.mean(axis=2, keepdims=True) + 0 * frame)),
    Situation('colour cast', change=_each(lambda frame, rng: frame * np.array([1., 0.6, 0.4]))),
    Situation('half resolution', change=_each(_small)), Situation('fading', 'target', LONG, _fade),
    Situation('long shutter', change=_smeared), Situation('cuts', 'target', LONG, _cut),
    Situation('interlaced', change=_interlaced, frames=2), Situation('frames twice', change=_doubled),
    Situation('frames twice, two long scenes', 'target', (2, 12), _doubled),
    Situation('static', change=_still(lambda first, scene, rng: first), kind='empty'),
    Situation('black', change=_still(lambda first, scene, rng: 0 * first), kind='empty'),
    Situation('one grey level per scene', change=_still(lambda first, scene, rng: 0 * first + 25 * scene + 20),
              kind='empty'),
    Situation('static with noise', change=_still(_grain(5.)), kind='empty'),
    Situation('static in flickering light', change=_still(lambda first, scene, rng: rng.uniform(0.6, 1.) * first),
              kind='empty'),
    Situation('noise on grey', change=_still(lambda first, scene, rng: 90 + 8 * rng.normal(size=first.shape)),
              kind='empty'),
    Situation('static, coded', change=_still(lambda first, scene, rng: _blocks(60)(
        np.clip(_grain(3.)(first, scene, rng), 0, 255), rng)), kind='empty'),
    Situation('under diagonals', change=_over(lambda frame, number: (np.full_like(frame, 30), (_X + _Y) // 6 % 2 == 0)),
              kind='overlaid'),
    Situation('under a logo', change=_over(lambda frame, number: (_PICTURE, _LOGO)), kind='overlaid'),
    Situation('under a logo, two long scenes', 'target', LONG, _over(lambda frame, number: (_PICTURE, _LOGO)),
              'overlaid'),
    Situation('letterbox', change=_over(lambda frame, number: (0 * frame, (_Y < 14) | (_Y >= 82))), kind='overlaid'),
    Situation('timecode', 'target', LONG, _over(_timecode), 'overlaid'),
    Situation('in a frame', change=_over(lambda frame, number: (
        _PICTURE, np.minimum(np.minimum(_Y, SIZE[0] - 1 - _Y), np.minimum(_X, SIZE[1] - 1 - _X)) < 12)),
              kind='overlaid'),
)
BY_NAME: Dict[str, Situation] = {situation.name: situation for situation in SITUATIONS}
# those that are taught by two more recipes
TAUGHT_MORE = ('untouched', 'untouched, two long scenes', 'fog', 'night', 'fast', 'dark', 'blurred', 'noise of 10 grey '
               'levels', 'under diagonals', 'under a logo')
