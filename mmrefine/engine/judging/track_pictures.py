"""The pictures of the report of a tracker: what became labels, and the same points before and after."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from torch import Tensor

from mmrefine.engine.judging.pictures import PICTURES, Drawn, file_name, spread_over
from mmrefine.engine.judging.track_scores import JudgedClip, clips_with_truth, judge_clip
from mmrefine.errors import LabelStoreError
from mmrefine.fileio.images import write_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.report import PairChange, format_value
from mmrefine.structures import LabelUnit, TrackEstimator, Tracks
from mmrefine.visualization import (Trails, before_after_tracks, error_colors, error_scale, kept_and_dropped, scaled,
                                    track_panel)

SINGLE_WIDTH = 640  # px, of the pictures of single clips
BEYOND = 'the limit of the label (most)'  # which drops what all filters keep
LABELLED_CLIPS = 3  # at most, whose kept and dropped tracks are shown
ERRORS = {True: 'mean distance from the true track', False: 'largest distance between the ways there and back'}

# what the labeler of a run thinks of the tracks of a clip, from its unit and its frames (T, 3, H, W) in [0, 1]
Examine = Callable[[LabelUnit, Tensor], Any]


@dataclass
class ClipTracks:
    """The same points of one clip, followed by both networks; frames are ``(T, H, W, 3)`` uint8."""
    key: str
    scene: str
    frames: np.ndarray
    before: JudgedClip
    after: JudgedClip
    truth: Optional[np.ndarray]  # (N, T, 2) px, nan where it is not known
    seen: Optional[np.ndarray]  # (N, T), whether the true points are visible

    def trails(self, side: JudgedClip, full: float) -> Trails:
        """The tracks of one network in the colours of their errors, with their truth."""
        return Trails(side.points.numpy(), side.visible.numpy(), error_colors(side.errors.numpy(), full), self.truth)


class TrackPictures:
    """Draws clips of one group; all errors of a scene share one scale of colours.

    Args:
        work_dir: where the report goes.
        group: name of the group.
        dataset: its clips; the pipeline ends in :class:`~mmrefine.datasets.transforms.PackClip`.
        teacher: the original network.
        model: the refined network.
        device: where both live.
        store: of the labels, for those clips that it has; None: no labels are drawn.
        examine: asks the teacher that made the labels again, see
            :func:`~mmrefine.engine.stage1.examine.label_examiner`; None: dropped tracks are not drawn.
    """

    def __init__(self,
                 work_dir: Path,
                 group: str,
                 dataset: Any,
                 teacher: TrackEstimator,
                 model: TrackEstimator,
                 device: str,
                 store: Optional[LabelStore] = None,
                 examine: Optional[Examine] = None) -> None:
        self.work_dir, self.group, self.dataset = work_dir, group, dataset
        self.teacher, self.model, self.device, self.store, self.examine = teacher, model, device, store, examine
        self.known = clips_with_truth(dataset)

    def draw(self, spread: int, changed: Sequence[PairChange]) -> Drawn:
        """Write the pictures.

        Args:
            spread: how many sheets, of clips spread evenly over those that can be judged.
            changed: clips that are drawn one by one.

        Returns:
            what was drawn; sheets in the order of the data.
        """
        sheets = spread_over(self.known or range(len(self.dataset)), spread)
        singles = {one.index for one in changed}
        drawn = Drawn()
        scenes: Dict[str, List[int]] = {}
        for i in sorted({*sheets, *singles}):
            scenes.setdefault(str(self.dataset.clips[i]['scene']), []).append(i)
        by_index: Dict[int, Dict[str, Any]] = {}
        for indices in scenes.values():
            clips = {i: self._follow(i) for i in indices}
            full = error_scale([side.errors.numpy() for clip in clips.values() for side in (clip.before, clip.after)])
            for i, clip in clips.items():
                if i in sheets:
                    by_index[i] = self._sheet(clip, full)
                if i in singles:
                    drawn.pairs[i] = self._single(clip, full)
        drawn.sheets = [by_index[i] for i in sheets]
        if self.store is not None and spread:
            # clips of benchmarks are whole videos under names that no label has
            labelled = [i for i, clip in enumerate(self.dataset.clips)
                        if '/' in clip['key'] and self.store.has(clip['key'])]
            shown = [self._labels_of(i) for i in spread_over(labelled, min(spread, LABELLED_CLIPS))]
            drawn.clips = [one for one in shown if one]
        return drawn

    def _follow(self, index: int) -> ClipTracks:
        item = self.dataset[index]
        sample, known = item['data_samples'], bool(self.known)
        before, after = (judge_clip(network, item, known, self.device) for network in (self.teacher, self.model))
        truth = seen = None
        if known:
            truth = np.where(sample.weight.numpy()[..., None] > 0, sample.points.numpy(), np.nan)
            seen = sample.visible.numpy()
        return ClipTracks(sample.key, sample.scene, _images(item['inputs']), before, after, truth, seen)

    def _sheet(self, clip: ClipTracks, full: float) -> Dict[str, str]:
        rows = {f'{name}: {_score(side)}': clip.trails(side, full)
                for name, side in (('before', clip.before), ('after', clip.after))}
        picture = before_after_tracks(clip.key, list(clip.frames), rows, ERRORS[clip.truth is not None], full)
        return dict(path=self._write(f'{file_name(clip.key)}.jpg', picture), caption=f'{self.group}: {clip.key}')

    def _single(self, clip: ClipTracks, full: float) -> Dict[str, Any]:
        name = f'clips/{file_name(clip.key)}'
        parts: Dict[str, Any] = dict(
            key=clip.key, scene=clip.scene, full_error=full, error=ERRORS[clip.truth is not None],
            frame=self._write(f'{name}_frame.jpg', scaled(clip.frames[-1], SINGLE_WIDTH)),
            tracks_before=self._last(f'{name}_before.jpg', clip, clip.trails(clip.before, full)),
            tracks_after=self._last(f'{name}_after.jpg', clip, clip.trails(clip.after, full)))
        if clip.truth is not None and clip.seen is not None:
            parts['truth'] = self._last(f'{name}_truth.jpg', clip, Trails(clip.truth, clip.seen))
        label = self._label(clip.key, clip.frames.shape)
        if label is not None:
            parts['labels'] = self._last(f'{name}_labels.jpg', clip, label)
        return parts

    def _last(self, name: str, clip: ClipTracks, trails: Trails) -> str:
        """The last frame of a clip with tracks from the first one on."""
        return self._write(name, track_panel(list(clip.frames), trails.thinned(), len(clip.frames) - 1, SINGLE_WIDTH))

    def _label(self, key: str, shape: Tuple[int, ...]) -> Optional[Trails]:
        """The kept label of a clip; None where there is none of tracks in frames of this number and size."""
        try:
            label = self.store.read(key) if self.store is not None and self.store.has(key) else None
        except LabelStoreError:  # the report does without a label that is gone
            return None
        if not isinstance(label, Tracks) or (label.points.shape[1], *label.size) != shape[:3]:
            return None
        return Trails(label.points.numpy(), label.visible.numpy())

    def _labels_of(self, index: int) -> Dict[str, Any]:
        """The kept and the dropped tracks of a clip, or the kept ones alone where the teacher cannot be asked."""
        clip, inputs = self.dataset.clips[index], self.dataset[index]['inputs']
        frames, name = _images(inputs), f'labels/{file_name(clip["key"])}.jpg'
        kept = self._label(clip['key'], frames.shape)
        if kept is None:
            return {}
        found = None if self.examine is None else self.examine(
            self.dataset.units[index], inputs.to(self.device).float() / 255)
        record: Dict[str, Any] = dict(caption=clip['key'], kept=len(kept.points))
        dropped: Dict[str, Trails] = {}
        if found is not None:
            left = np.ones(len(found.points), bool)
            there, visible = found.look.there.cpu().numpy(), found.look.visible.cpu().numpy()
            for part, passed in found.passed.items():
                new = left & ~passed.cpu().numpy()
                dropped[part], left = Trails(there[new], visible[new]), left & ~new
            counts = {part: int((~passed).sum()) for part, passed in found.passed.items()}
            beyond = left & ~found.chosen.cpu().numpy()
            if beyond.any():
                dropped[BEYOND], counts[BEYOND] = Trails(there[beyond], visible[beyond]), int(beyond.sum())
                left &= ~beyond
            kept = Trails(there[left], visible[left])
            record.update(kept=int(left.sum()), queries=len(found.points), dropped=counts)
        picture = kept_and_dropped(clip['key'], list(frames), kept, dropped, record.get('dropped', {}))
        return dict(record, path=self._write(name, picture))

    def _write(self, name: str, picture: np.ndarray) -> str:
        path = Path(PICTURES, self.group, name)
        write_image(self.work_dir / path, picture)
        return path.as_posix()


def _score(side: JudgedClip) -> str:
    """The headline score of a clip, as the tables of the report have it."""
    figure = next((figure for figure in side.tally.figures if figure.headline), None)
    value = None if figure is None else side.tally.scores().get(figure.name)
    return 'not scored' if figure is None or value is None else f'{figure.title} {format_value(value)} {figure.unit}'


def _images(frames: Tensor) -> np.ndarray:
    """``(T, 3, H, W)`` uint8 -> ``(T, H, W, 3)``."""
    return np.ascontiguousarray(frames.permute(0, 2, 3, 1).cpu().numpy())
