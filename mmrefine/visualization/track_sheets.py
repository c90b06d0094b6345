"""Sheets of tracks over the frames of their clips: what became a label, and what a refinement changed."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from mmrefine.visualization.panels import joined
from mmrefine.visualization.track_panels import FINE, FULL, HALF, Color, Trails, clip_row, heading

# of the filters, in their order: red, orange, cyan, magenta, yellow, white
DROPPED: Tuple[Color, ...] = ((240, 55, 45), (255, 150, 20), (60, 205, 245), (235, 85, 225), (250, 230, 60),
                              (255, 255, 255))
LEFT_OUT: Color = (240, 55, 45)  # where points were asked for whose tracks are not in a label
READING = 'dot: where the point is; trail: where it was; ring: not seen'


@dataclass(frozen=True)
class TrackRow:
    """What is drawn of one label.

    Args:
        name: of the clip, and what its label holds.
        frames: ``(H, W, 3)`` uint8 RGB each, T of them.
        label: its tracks.
        left_out: ``(M, 2)`` px, where tracks begin in the first frame that are not in the label.
    """
    name: str
    frames: Sequence[np.ndarray]
    label: Trails
    left_out: np.ndarray


def track_label_sheet(title: str, rows: Iterable[TrackRow]) -> np.ndarray:
    """A contact sheet of labels, one row a clip: its first, middle and last frame with the tracks of its label.

    Args:
        title: of the sheet.
        rows: at least one; drawn as they come, so they may be read one by one.

    Returns:
        ``(h, 1224, 3)`` uint8 RGB.

    Raises:
        ValueError: no rows.
    """
    drawn = [clip_row(row.name, row.frames, _with_left_out(row)) for row in rows]
    if not drawn:
        raise ValueError(f'a sheet of labels needs at least one label, {title} has none')
    about = [(f'tracks of the label, coloured by where they begin; {READING}', None),
             ('asked for, but not in the label', LEFT_OUT)]
    return np.vstack([heading(drawn[0].shape[1], title, about), joined(drawn, 0)])


def kept_and_dropped(title: str, frames: Sequence[np.ndarray], kept: Trails, dropped: Mapping[str, Trails],
                     counts: Mapping[str, int]) -> np.ndarray:
    """The tracks of a clip that became a label, above those that did not, in the colours of what dropped them.

    Args:
        title: of the sheet.
        frames: ``(H, W, 3)`` uint8 RGB each, T of them.
        kept: the tracks that all filters keep.
        dropped: by name of the filter the tracks that it drops and no filter before it; their colours do not count.
        counts: by name of the filter how many tracks it drops, whatever the others do.

    Returns:
        ``(h, 1224, 3)`` uint8 RGB.
    """
    colors = {name: DROPPED[i % len(DROPPED)] for i, name in enumerate(dropped)}
    parts = [Trails(part.points, part.visible, np.full((len(part.points), 3), colors[name], np.uint8))
             for name, part in dropped.items()]
    lost = sum(len(part.points) for part in parts)
    rows = [clip_row(f'kept: {len(kept.points)} of {len(kept.points) + lost} tracks, coloured by where they begin',
                     frames, kept.thinned())]
    if lost:
        every = Trails(*(np.concatenate([getattr(part, name) for part in parts])
                         for name in ('points', 'visible', 'colors')))
        rows.append(clip_row(f'dropped: {lost} tracks, in the colour of the first filter that drops them', frames,
                             every.thinned()))
    entries: List[Tuple[str, Optional[Color]]] = [(READING, None)]
    entries += [(f'{name} drops {counts[name]}', color) for name, color in colors.items()]
    return np.vstack([heading(rows[0].shape[1], title, entries), joined(rows, 0)])


def before_after_tracks(title: str, frames: Sequence[np.ndarray], rows: Mapping[str, Trails], error: str,
                        full: float) -> np.ndarray:
    """The same points followed by several networks, one row each, over the frames of the clip.

    Args:
        title: of the sheet.
        frames: ``(H, W, 3)`` uint8 RGB each, T of them.
        rows: by title; at least one. Where a row has truth, thin lines lead to where its points should be.
        error: what the colours of the tracks say, such as ``'distance from the truth'``.
        full: px of full colour.

    Returns:
        ``(h, 1224, 3)`` uint8 RGB.
    """
    entries: List[Tuple[str, Optional[Color]]] = [
        (READING, None), (f'{error}: 0 px', FINE), (f'{full / 2:g} px', HALF), (f'{full:g} px or more', FULL)]
    if any(trails.truth is not None for trails in rows.values()):
        entries.append(('thin line: to where the point should be', None))
    drawn = [clip_row(name, frames, trails.thinned()) for name, trails in rows.items()]
    return np.vstack([heading(drawn[0].shape[1], title, entries), joined(drawn, 0)])


def _with_left_out(row: TrackRow) -> Trails:
    """The tracks of a label, and rings in the first frame where others begin."""
    label, count = row.label.thinned(), row.label.points.shape[1]
    others = np.full((len(row.left_out), count, 2), np.nan)
    others[:, 0] = row.left_out
    rings = Trails(others, np.zeros(others.shape[:2]), np.full((len(others), 3), LEFT_OUT, np.uint8)).thinned()
    colors = np.concatenate([label.colors_in(row.frames[0].shape[:2]), rings.colors_in((1, 1))])
    return Trails(np.concatenate([label.points, rings.points]), np.concatenate([label.visible, rings.visible]), colors)
