"""Contact sheets of a label store."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import numpy as np
import torch
from mmengine.config import Config

from mmrefine.config.load import complete, hooks_of, name_of
from mmrefine.errors import ConfigError, LabelStoreError
from mmrefine.evaluation import stored_cycle_error
from mmrefine.fileio.atomic import remove_leftovers, write_errors
from mmrefine.fileio.codecs import FIRST_KIND
from mmrefine.fileio.images import write_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.geometry import color_residual
from mmrefine.registry import DATASETS, HOOKS
from mmrefine.structures import FlowLabel, as_frames
from mmrefine.visualization import LabelRow, label_sheet, sequence_scale


def browse_labels(cfg: Config, out: Optional[Union[str, Path]] = None, pairs: int = 12) -> List[Path]:
    """Draw the labels that a config has made, one sheet a scene: frame, kept motion, weight, and cycle error.

    All labels of a sheet share one colour scale. Where the backward motion was not labelled, the change of colour along
    the motion is shown instead of the cycle error. Each sheet is written whole or not at all, and only one is in memory
    at a time.

    Args:
        cfg: a config with a ``PseudoLabelHook`` and a ``work_dir``; with ``scene='each'``, the work dirs of all scenes
            below it are read.
        out: folder of the sheets; default: ``<work_dir>/label_sheets``.
        pairs: labels on each sheet, spread evenly over the scene, at least 1.

    Returns:
        the files.

    Raises:
        ConfigError: the config labels nothing, or ``pairs`` is below 1.
        LabelStoreError: the labels are missing, not complete, or of another kind than flow.
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
        if store.codec.kind != FIRST_KIND:
            raise LabelStoreError(f'{store.root}: holds labels of the kind {store.codec.kind!r}, and sheets are drawn '
                                  f'of {FIRST_KIND} only')
        ours = [i for i, pair in enumerate(dataset.pairs) if pair['scene'] == scene and store.has(pair['key'])]
        if not ours:
            raise LabelStoreError(f'{store.root}: has no label of scene {scene}; label again with the data of this '
                                  'config')
        chosen = sorted({ours[int(i)] for i in np.linspace(0, len(ours) - 1, min(pairs, len(ours)))})
        keys = [dataset.pairs[i]['key'] for i in chosen]
        kept = math.fsum(float(store.stats(dataset.pairs[i]['key'])['kept']) for i in ours) / len(ours)
        title = f'{scene}: {kept:.1%} of the motion was kept; {len(chosen)} of {len(ours)} labels'
        path = folder / f'{scene.replace("/", "_")}.png'
        # one scale for all pictures of the scene, from every fourth pixel of every fourth row
        scale = sequence_scale(_kept_motion(store.read(key))[::4, ::4] for key in keys)
        sheet = label_sheet(title, (_row(store, dataset[i], units[i].backward_key) for i in chosen), scale)
        with write_errors(path):
            write_image(path, sheet)
        sheets.append(path)
    return sheets


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
