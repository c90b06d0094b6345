"""Contact sheets of a label store."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config

from mmrefine.config.load import complete, hooks_of, name_of
from mmrefine.errors import ConfigError, LabelStoreError
from mmrefine.evaluation import stored_cycle_error
from mmrefine.fileio.atomic import remove_leftovers, write_errors
from mmrefine.fileio.codecs import FIRST_KIND
from mmrefine.fileio.codecs.tracks import TracksCodec
from mmrefine.fileio.images import write_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.geometry import color_residual
from mmrefine.registry import DATASETS, HOOKS, LABELERS
from mmrefine.structures import FlowLabel, Tracks, as_frames
from mmrefine.visualization import LabelRow, TrackRow, Trails, label_sheet, sequence_scale, track_label_sheet


def browse_labels(cfg: Config, out: Optional[Union[str, Path]] = None, pairs: int = 12) -> List[Path]:
    """Draw the labels that a config has made, one sheet a scene.

    Labels of flow: frame, kept motion, weight, and cycle error. All labels of a sheet share one colour scale. Where the
    backward motion was not labelled, the change of colour along the motion is shown instead of the cycle error. Labels
    of tracks: the tracks over the first, the middle and the last frame of their clip, and where tracks begin that are
    not in the label. Each sheet is written whole or not at all, and only one is in memory at a time.

    Args:
        cfg: a config with a ``PseudoLabelHook`` and a ``work_dir``; with ``scene='each'``, the work dirs of all scenes
            below it are read.
        out: folder of the sheets; default: ``<work_dir>/label_sheets``.
        pairs: labels on each sheet, spread evenly over the scene, at least 1.

    Returns:
        the files.

    Raises:
        ConfigError: the config labels nothing, or ``pairs`` is below 1.
        LabelStoreError: the labels are missing, not complete, or of another kind than flow and tracks.
        MMRefineError: the folder cannot be written.
    """
    if pairs < 1:
        raise ConfigError(f'--pairs must be at least 1, got {pairs}')
    each = cfg.get('scene') == 'each'
    configs = hooks_of(complete(cfg), 'PseudoLabelHook')
    if not configs:
        raise ConfigError(f'{name_of(cfg)}: there is no PseudoLabelHook in custom_hooks, so it has no labels')
    hook = HOOKS.build(configs[0])
    dataset = DATASETS.build(hook.dataset)
    units = dataset.units
    folder = Path(out or Path(cfg.work_dir) / 'label_sheets')
    remove_leftovers(folder)
    sheets = []
    for scene in dataset.scene_names:
        store = LabelStore.open(hook.store_root(str(Path(cfg.work_dir) / scene if each else cfg.work_dir), 0))
        draw = SHEETS.get(store.codec.kind)
        if draw is None:
            raise LabelStoreError(f'{store.root}: holds labels of the kind {store.codec.kind!r}, and sheets are drawn '
                                  f'of {" and ".join(SHEETS)} only')
        ours = [i for i, unit in enumerate(units) if unit.scene == scene and store.has(unit.key)]
        if not ours:
            raise LabelStoreError(f'{store.root}: has no label of scene {scene}; label again with the data of this '
                                  'config')
        chosen = sorted({ours[int(i)] for i in np.linspace(0, len(ours) - 1, min(pairs, len(ours)))})
        kept = math.fsum(float(store.stats(units[i].key)['kept']) for i in ours) / len(ours)
        title = f'{scene}: {kept:.1%} of the {{}} kept; {len(chosen)} of {len(ours)} labels'
        path = folder / f'{scene.replace("/", "_")}.png'
        sheet = draw(title, store, dataset, chosen, hook.labeler)
        with write_errors(path):
            write_image(path, sheet)
        sheets.append(path)
    return sheets


def _flow_sheet(title: str, store: LabelStore, dataset: Any, chosen: Sequence[int], labeler: Any) -> np.ndarray:
    """The sheet of some labels of flow of one scene."""
    units = dataset.units
    # one scale for all pictures of the scene, from every fourth pixel of every fourth row
    scale = sequence_scale(_kept_motion(store.read(units[i].key))[::4, ::4] for i in chosen)
    rows = (_row(store, dataset[i], units[i].backward_key) for i in chosen)
    return label_sheet(title.format('motion was'), rows, scale)


def _track_sheet(title: str, store: LabelStore, dataset: Any, chosen: Sequence[int], labeler: Any) -> np.ndarray:
    """The sheet of some labels of tracks of one scene."""
    units, part = dataset.units, LABELERS.build(labeler)

    def row(i: int) -> TrackRow:
        unit, frames = units[i], dataset[i]['frames']
        label: Tracks = store.read(unit.key)
        stats = store.stats(unit.key)
        trip = stats.get('cycle_error_median')  # none where the teacher has no way back
        name = (f'{unit.key.rpartition("/")[2]}: {len(label.points)} of {stats["queries"]:.0f} tracks'
                f'{"" if trip is None else f", cycle error {trip:.2f} px"}, {stats["mean_speed"]:.1f} px a frame')
        begun = set(map(tuple, label.queries[:, [2, 1]].tolist()))
        asked = part.query_points(unit, as_frames([frames[0]])[0]).tolist()
        left_out = np.array([point for point in asked if tuple(point) not in begun]).reshape(-1, 2)
        return TrackRow(name, frames, Trails(label.points.numpy(), label.visible.numpy()), left_out)

    return track_label_sheet(title.format('tracks were'), map(row, chosen))


# by kind of label
SHEETS: Dict[str, Callable[[str, LabelStore, Any, Sequence[int], Any], np.ndarray]] = {
    FIRST_KIND: _flow_sheet, TracksCodec.kind: _track_sheet}


def _kept_motion(label: FlowLabel) -> np.ndarray:
    """``(H, W, 2)`` px, nan where nothing was kept."""
    return torch.where(label.weight > 0, label.flow, label.flow.new_tensor(float('nan'))).permute(1, 2, 0).numpy()


def _row(store: LabelStore, item: Dict[str, Any], backward: str) -> LabelRow:
    """The pair with the cycle error, or, if the backward motion was not labelled, with the change of colour."""
    key = item['key']
    label, name = store.read(key), key.rpartition('/')[2]
    if store.has(backward):
        return LabelRow(name, item['frame1'], label, stored_cycle_error(label, store.read(backward)).numpy())
    frames1, frames2 = (as_frames([item[frame]]) for frame in ('frame1', 'frame2'))
    residual = color_residual(frames1, frames2, label.flow[None])[0]
    residual = residual.masked_fill(label.weight == 0, float('nan'))
    return LabelRow(name, item['frame1'], label, residual[0].numpy(), 'colour residual')
