"""Augmentations of clips that move frames and tracks together, and the way to the model."""
from __future__ import annotations

from typing import Any, Dict, Sequence, Tuple

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmrefine.errors import ConfigError
from mmrefine.registry import TRANSFORMS
from mmrefine.structures import TrackSample
from mmrefine.values import as_count, as_number, as_share


@TRANSFORMS.register_module()
class ClipBlur(BaseTransform):
    """Blur each frame on its own with some chance, as PIPs' training does.

    Required keys: frames, rng. Changed keys: frames.

    Args:
        prob: chance of each frame, in [0, 1].
        sigma: (least, greatest) standard deviation, px.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, prob: float = 0.25, sigma: Sequence[float] = (0.1, 2.)) -> None:
        self.prob, self.sigma = as_share('ClipBlur.prob', prob), _span('ClipBlur.sigma', sigma)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw and blur."""
        rng: np.random.Generator = results['rng']
        draws = [(rng.random() < self.prob, rng.uniform(*self.sigma)) for _ in results['frames']]
        frames = [cv2.GaussianBlur(frame, (0, 0), sigma) if is_blurred else frame
                  for frame, (is_blurred, sigma) in zip(results['frames'], draws)]
        return {**results, 'frames': frames}


@TRANSFORMS.register_module()
class ClipOcclude(BaseTransform):
    """Cover boxes of the frames after the first: with their mean colour, or with a patch from elsewhere in the clip.

    Points under a box are not visible there; where they are stays what is to be learned. As PIPs' training does, which
    erases and replaces patches.

    Required keys: frames, rng. Changed keys: frames, visible.

    Args:
        prob: chance of each frame, in [0, 1].
        max_boxes: most boxes in a frame; their number is drawn from 1 to this.
        sides: (shortest, longest) side of a box, px; parts beyond the frame are cut off.
        patches: share of the boxes that show a patch of another place and frame instead of the mean colour, in [0, 1].

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, prob: float = 0.5, max_boxes: int = 4, sides: Sequence[int] = (2, 40),
                 patches: float = 0.5) -> None:
        self.prob, self.patches = as_share('ClipOcclude.prob', prob), as_share('ClipOcclude.patches', patches)
        self.max_boxes = as_count('ClipOcclude.max_boxes', max_boxes)
        shortest, longest = _span('ClipOcclude.sides', sides)
        self.sides = (as_count('ClipOcclude.sides', shortest), as_count('ClipOcclude.sides', longest))

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw the boxes and cover them."""
        rng: np.random.Generator = results['rng']
        before, frames = results['frames'], [results['frames'][0]]
        visible = results['visible'].copy() if 'visible' in results else None
        for number, frame in enumerate(before[1:], start=1):
            if rng.random() >= self.prob:
                frames.append(frame)
                continue
            covered, (height, width) = frame.copy(), frame.shape[:2]
            for _ in range(rng.integers(1, self.max_boxes, endpoint=True)):
                tall, wide = (min(int(side), limit) for side, limit in zip(
                    rng.integers(self.sides[0], self.sides[1], size=2, endpoint=True), (height, width)))
                top, left = rng.integers(0, height - tall, endpoint=True), rng.integers(0, width - wide, endpoint=True)
                other = before[rng.integers(len(before))]
                y, x = rng.integers(0, height - tall, endpoint=True), rng.integers(0, width - wide, endpoint=True)
                box = np.s_[top:top + tall, left:left + wide]
                if rng.random() < self.patches:
                    covered[box] = other[y:y + tall, x:x + wide]
                else:
                    covered[box] = np.rint(frame.mean(axis=(0, 1)))
                if visible is not None:
                    away = results['tracks'][:, number] - np.array([left, top], np.float32)
                    visible[:, number] &= ~((away > -0.5) & (away < (wide - 0.5, tall - 0.5))).all(axis=1)
            frames.append(covered)
        return {**results, 'frames': frames, **({} if visible is None else dict(visible=visible))}


@TRANSFORMS.register_module()
class ClipDrift(BaseTransform):
    """Move the whole picture more and more from frame to frame: shift, scale and rotation that drift at random.

    So the student sees motion that the teacher has not seen. The picture is repeated at its borders by reflection; the
    first frame stays as it is.

    Required keys: frames, rng. Changed keys: frames, tracks.

    Args:
        prob: in [0, 1].
        shift: standard deviation of the shift from one frame to the next, px.
        scale: of the logarithm of the scale.
        angle: of the angle, degrees.

    Raises:
        ConfigError: a value out of range.
    """

    def __init__(self, prob: float = 0.5, shift: float = 2., scale: float = 0.01, angle: float = 0.5) -> None:
        self.prob = as_share('ClipDrift.prob', prob)
        self.shift = as_number('ClipDrift.shift', shift, '[0, 1000]')
        self.scale = as_number('ClipDrift.scale', scale, '[0, 1]')
        self.angle = as_number('ClipDrift.angle', angle, '[0, 180]')

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw a drift and warp frames and tracks by it."""
        rng: np.random.Generator = results['rng']
        if rng.random() >= self.prob:
            return results
        height, width = results['frames'][0].shape[:2]
        spread = np.array([self.shift, self.shift, self.scale, np.deg2rad(self.angle)])
        # a pace that keeps up, and a little of its own in each step
        pace = rng.normal(size=4)
        steps = spread * np.stack([pace + 0.3 * rng.normal(size=4) for _ in results['frames'][1:]])
        frames, tracks = [results['frames'][0]], results['tracks'].copy()
        for number, (x, y, size, turn) in enumerate(np.cumsum(steps, axis=0), start=1):
            matrix = _about_centre((height, width), (x, y), float(np.exp(size)), turn)
            frames.append(cv2.warpAffine(results['frames'][number], matrix, (width, height), flags=cv2.INTER_LINEAR,
                                         borderMode=cv2.BORDER_REFLECT_101))
            tracks[:, number] = tracks[:, number] @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
        return {**results, 'frames': frames, 'tracks': tracks}


@TRANSFORMS.register_module()
class SampleTracks(BaseTransform):
    """Take as many tracks as a batch has: at random, of those that begin inside the first frame; anew in each draw, so
    that none is left out for good.

    Where there are fewer, the others have no weight.

    Required keys: frames, tracks, visible, rng. Changed keys: tracks, visible. Added keys: track_weight, float32
    ``(N, T)``.

    Args:
        count: N.

    Raises:
        ConfigError: a count below 1.
    """

    def __init__(self, count: int = 128) -> None:
        self.count = as_count('SampleTracks.count', count)

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Draw the tracks."""
        tracks, visible = results['tracks'], results['visible']
        height, width = results['frames'][0].shape[:2]
        first = tracks[:, 0]
        inside = np.flatnonzero(((first >= -0.5) & (first <= (width - 0.5, height - 0.5))).all(axis=1))
        chosen = results['rng'].permutation(inside)[:self.count]
        some = np.zeros((self.count, *tracks.shape[1:]), np.float32)
        seen, weight = np.zeros(some.shape[:2], bool), np.zeros(some.shape[:2], np.float32)
        some[:len(chosen)], seen[:len(chosen)], weight[:len(chosen)] = tracks[chosen], visible[chosen], 1.
        return {**results, 'tracks': some, 'visible': seen, 'track_weight': weight}


@TRANSFORMS.register_module()
class PackClip(BaseTransform):
    """Turn a clip into what the model's data preprocessor takes.

    Required keys: frames, key, scene. Optional keys: tracks, visible, track_weight, plain_frames. Returns only: inputs,
    uint8 ``(T, 3, H, W)`` RGB; data_samples, a :class:`~mmrefine.structures.TrackSample`. Points outside the frame are
    not visible.
    """

    def transform(self, results: Dict[str, Any]) -> Dict[str, Any]:
        """Pack; nothing of ``results`` is shared with the tensors."""
        frames = _planes(results['frames'])
        height, width = frames.shape[-2:]
        sample = TrackSample(metainfo=dict(key=results['key'], scene=results['scene'], size=(height, width)))
        if 'tracks' in results:
            points = np.array(results['tracks'], np.float32)
            inside = ((points >= -0.5) & (points <= (width - 0.5, height - 0.5))).all(axis=-1)
            sample.points = torch.from_numpy(points)
            sample.visible = torch.from_numpy((results['visible'] & inside).astype(np.float32))
            sample.weight = torch.from_numpy(
                np.array(results.get('track_weight', np.ones(points.shape[:2])), dtype=np.float32))
        if 'plain_frames' in results:
            sample.plain_frames = _planes(results['plain_frames'])
        return dict(inputs=frames, data_samples=sample)


def _planes(frames: Sequence[np.ndarray]) -> torch.Tensor:
    """``(H, W, 3)`` each -> ``(T, 3, H, W)``, a copy."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2)))


def _about_centre(size: Tuple[int, int], shift: Tuple[float, float], scale: float, turn: float) -> np.ndarray:
    """``(2, 3)``: where a point of the picture goes that is scaled and turned about its centre, then shifted."""
    centre = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.column_stack([matrix, centre + np.array(shift) - matrix @ centre])


def _span(key: str, values: Sequence[float]) -> Tuple[float, float]:
    if not isinstance(values, (list, tuple)) or len(values) != 2 or not 0 < values[0] <= values[1] < float('inf'):
        raise ConfigError(f'{key} must be (least, greatest), both above 0, got {values!r}')
    return values[0], values[1]
