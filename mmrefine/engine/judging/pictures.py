"""The pictures of the report: sheets of pairs spread over a group, and the pairs that changed most."""
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from mmrefine.engine.judging.kept_flows import KEPT_WIDTH, KeptFlows, fit, resized, small_size
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import LabelStoreError
from mmrefine.fileio.images import write_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.video.writer import write_video
from mmrefine.report import PairChange, counted
from mmrefine.structures import FlowEstimator, FlowLabel
from mmrefine.visualization import (before_after_sheet, change_view, draw_wheel, flow_to_rgb, label_overlay,
                                    sequence_scale)

PICTURES = 'pictures'  # the folder, in the work dir
CLIP = 'before_after.mp4'  # in the work dir, beside the report
CLIP_RATE, CLIP_SAMPLE = 10., 8  # frames a second; pairs that decide the colour scale
WHEEL, WHEEL_SIZE = f'{PICTURES}/wheel.png', 144  # px; shown at half of it
PAIR_WIDTH = 480  # px at most, of the pictures of single pairs


@dataclass
class Drawn:
    """The pictures of a group, as the record of the report names them; paths are relative to the work dir."""
    sheets: List[Dict[str, Any]] = field(default_factory=list)
    pairs: Dict[int, Dict[str, Any]] = field(default_factory=dict)  # by index in the data set
    overlays: List[Dict[str, Any]] = field(default_factory=list)
    clips: List[Dict[str, Any]] = field(default_factory=list)  # kept and dropped tracks of labels
    wheel: str = ''


@dataclass
class PairFlows:
    """The flows of both networks on one pair, whole or smaller; they stay px of the whole frame.

    Frames are ``(H, W, 3)`` uint8, flows ``(H, W, 2)`` px; the truth is nan where it is unknown.
    """
    key: str
    scene: str
    frame1: np.ndarray
    frame2: np.ndarray
    before: np.ndarray
    after: np.ndarray
    truth: Optional[np.ndarray]

    def small(self) -> 'PairFlows':
        """The same, not wider than the pictures of single pairs."""
        truth = None if self.truth is None else fit(self.truth, PAIR_WIDTH)
        frame1, frame2, before, after = (fit(part, PAIR_WIDTH)
                                         for part in (self.frame1, self.frame2, self.before, self.after))
        return PairFlows(self.key, self.scene, frame1, frame2, before, after, truth)


class ReportPictures:
    """Draws pairs of one group, all pictures of a scene in one colour scale.

    Args:
        work_dir: where the report goes.
        group: name of the group.
        dataset: its pairs; the pipeline ends in :class:`~mmrefine.datasets.transforms.PackPair`.
        teacher: the original network.
        model: the refined network.
        device: where both live.
        store: of the labels, for those pairs that it has; None: no labels are drawn.
        kept: the motion of ``teacher`` and of ``model`` that is known already; both are asked for what is missing.
    """

    def __init__(self,
                 work_dir: Path,
                 group: str,
                 dataset: Any,
                 teacher: FlowEstimator,
                 model: FlowEstimator,
                 device: str,
                 store: Optional[LabelStore] = None,
                 kept: Optional[Tuple[KeptFlows, KeptFlows]] = None) -> None:
        self.work_dir, self.group, self.dataset = work_dir, group, dataset
        self.networks, self.device, self.store = (teacher, model), device, store
        self.kept = (KeptFlows(), KeptFlows()) if kept is None else kept

    def draw(self, spread: int, changed: Sequence[PairChange]) -> Drawn:
        """Write the pictures.

        Args:
            spread: how many sheets, of pairs spread evenly over the group; their labels are drawn, too.
            changed: pairs that are drawn one by one.

        Returns:
            what was drawn; sheets in the order of the data.
        """
        sheets = spread_over(range(len(self.dataset)), spread)
        singles = {one.index for one in changed}
        drawn = Drawn()
        scenes: Dict[str, List[int]] = {}
        for i in sorted({*sheets, *singles}):
            scenes.setdefault(str(self.dataset.pairs[i]['scene']), []).append(i)
        by_index: Dict[int, List[Dict[str, Any]]] = {}
        for indices in scenes.values():  # of one scene at a time, and only those for sheets in full size
            flows = {i: self._flows(i, None if i in sheets else PAIR_WIDTH) for i in indices}
            scale = sequence_scale(flow for pair in flows.values() for flow in _typical(pair))
            for i, pair in flows.items():
                if i in sheets:
                    by_index[i] = [self._sheet(pair, scale), self._overlay(pair.small(), scale)]
                if i in singles:
                    drawn.pairs[i] = self._single(pair.small(), scale)
        drawn.sheets = [by_index[i][0] for i in sheets]
        drawn.overlays = [by_index[i][1] for i in sheets if by_index[i][1]]
        if drawn.pairs or drawn.overlays:
            write_image(self.work_dir / WHEEL, draw_wheel(WHEEL_SIZE))
            drawn.wheel = WHEEL
        return drawn

    def draw_clip(self, most: int, log: Callable[[str], None]) -> Dict[str, str]:
        """Write a video of frame, motion before and motion after, one picture a pair, in one colour scale.

        Args:
            most: pairs at most: the first of the group that have the size of its first frame.
            log: called with a line now and then.

        Returns:
            path and caption, as the record of the report names them.

        Raises:
            MMRefineError: the video cannot be written.
        """
        sizes = {scene: self.dataset.size(scene) for scene in {pair['scene'] for pair in self.dataset.pairs}}
        size = sizes[self.dataset.pairs[0]['scene']]
        chosen = [i for i, pair in enumerate(self.dataset.pairs)
                  if sizes[pair['scene']] == size and not pair.get('reverse')][:most]
        spread = sorted({int(k) for k in np.linspace(0, len(chosen) - 1, min(CLIP_SAMPLE, len(chosen)))})
        scale = sequence_scale(flow for k in spread for flow in _typical(self._flows(chosen[k], PAIR_WIDTH)))
        progress = Progress('Report: video of {} pairs', len(chosen), log)
        with write_video(self.work_dir / CLIP, CLIP_RATE) as add:
            for done, i in enumerate(chosen, start=1):
                pair = self._flows(i, KEPT_WIDTH)
                add(change_view(pair.frame1, pair.before, pair.after, scale, pair.key.partition('__')[0]))
                progress(done)
        return dict(path=CLIP, caption=f'{self.group}: frame, motion before and motion after, {counted(len(chosen))} '
                                       f'at {CLIP_RATE:.0f} a second')

    def _sheet(self, pair: PairFlows, scale: float) -> Dict[str, str]:
        valid = None if pair.truth is None else np.isfinite(pair.truth).all(axis=2)
        picture = before_after_sheet(pair.frame1, pair.before, pair.after, scale, pair.truth, valid, pair.frame2)
        return dict(path=self._write(f'{file_name(pair.key)}.png', picture), caption=f'{self.group}: {pair.key}')

    def _single(self, pair: PairFlows, scale: float) -> Dict[str, Any]:
        name = f'pairs/{file_name(pair.key)}'
        parts: Dict[str, Any] = dict(
            key=pair.key,
            scene=pair.scene,
            max_motion=scale,
            frame=self._write(f'{name}_frame.jpg', pair.frame1),
            flow_before=self._write(f'{name}_before.png', flow_to_rgb(pair.before, scale)),
            flow_after=self._write(f'{name}_after.png', flow_to_rgb(pair.after, scale)))
        if pair.truth is not None:
            parts['truth'] = self._write(f'{name}_truth.png', flow_to_rgb(pair.truth, scale))
        overlay = self._overlay(pair, scale)
        return dict(parts, labels=overlay['path']) if overlay else parts

    def _overlay(self, pair: PairFlows, scale: float) -> Dict[str, Any]:
        """The kept label of a small pair over its frame; nothing where there is none of this kind and shape."""
        if self.store is None or not self.store.has(pair.key):
            return {}
        try:
            label = self.store.read(pair.key)
        except LabelStoreError:  # the report does without a label that is gone
            return {}
        if not isinstance(label, FlowLabel):
            return {}
        flow, weight = (fit(part.permute(1, 2, 0).numpy(), PAIR_WIDTH) for part in (label.flow, label.weight))
        if flow.shape[:2] != pair.frame1.shape[:2]:
            return {}
        small = FlowLabel(*(torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1) for part in (flow, weight)))
        path = self._write(f'labels/{file_name(pair.key)}.jpg', label_overlay(pair.frame1, small, scale))
        return dict(path=path, caption=pair.key, max_motion=scale)

    def _write(self, name: str, picture: np.ndarray) -> str:
        path = Path(PICTURES, self.group, name)
        write_image(self.work_dir / path, picture)
        return path.as_posix()

    def _flows(self, index: int, width: Optional[int] = None) -> PairFlows:
        """A pair at most so many px wide; None: as it is."""
        item = self.dataset[index]
        inputs, sample, truth = item['inputs'], item['data_samples'], None
        whole = (inputs.shape[-2], inputs.shape[-1])
        size = whole if width is None else small_size(whole, width)
        before, after = (self._flow(side, index, inputs, size) for side in (0, 1))
        if 'flow' in sample:
            truth = resized(np.where(_image(sample.weight) > 0, _image(sample.flow), np.nan), size)
        frame1, frame2 = (resized(_image(frame), size) for frame in inputs)
        return PairFlows(sample.key, sample.scene, frame1, frame2, before, after, truth)

    @torch.no_grad()
    def _flow(self, side: int, index: int, inputs: Tensor, size: Tuple[int, int]) -> np.ndarray:
        """Of one network on a pair ``(2, 3, H, W)`` uint8."""
        known = self.kept[side].get(index, size)
        if known is not None:
            return known
        frames = inputs[:, None].to(self.device).float() / 255
        flow = self.networks[side].estimate(frames[0], frames[1])[-1][0].float()
        self.kept[side].keep(index, flow)
        return resized(_image(flow), size)


def spread_over(indices: Sequence[int], count: int) -> List[int]:
    """At most ``count`` of the indices, the first and the last among them, spread evenly."""
    places = np.linspace(0, len(indices) - 1, min(count, len(indices)))
    return sorted({indices[int(place)] for place in places})


def named_pairs(chosen: Mapping[str, Sequence[PairChange]], drawn: Drawn) -> Dict[str, Any]:
    """The best and the worst pairs with their scores and pictures, for the record."""
    named: Dict[str, Any] = {
        name: [
            dict(drawn.pairs.get(one.index, dict(scene=one.scene)), before=one.before, after=one.after)
            for one in changes
        ]
        for name, changes in chosen.items()
    }
    return dict(named, wheel=drawn.wheel) if drawn.pairs and drawn.wheel else named


def _typical(pair: PairFlows) -> List[np.ndarray]:
    return [pair.before, pair.after] if pair.truth is None else [pair.truth]


def file_name(key: str) -> str:
    """A key as a part of a path."""
    return key.replace('/', '_')


def _image(tensor: Tensor) -> np.ndarray:
    """``(C, H, W)`` -> ``(H, W, C)``."""
    return tensor.detach().cpu().numpy().transpose(1, 2, 0)
