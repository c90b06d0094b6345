"""Contact sheets of a label store."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional, Union

import cv2
import numpy as np
from mmengine.config import Config

from mmrefine.apis.config import fill_in
from mmrefine.errors import ConfigError
from mmrefine.fileio.images import write_image
from mmrefine.fileio.label_store import LabelStore
from mmrefine.registry import DATASETS, HOOKS
from mmrefine.visualization import label_overlay, sequence_scale

__all__ = ['browse_labels']

TILE_WIDTH, COLUMNS, BAR = 320, 3, 24  # px, tiles, px


def browse_labels(cfg: Config, out: Optional[Union[str, Path]] = None, pairs: int = 12) -> List[Path]:
    """Draw the labels that a config has made, one sheet a scene; all labels of a sheet share one colour scale.

    Args:
        cfg: a config with a ``PseudoLabelHook`` and a ``work_dir``; of ``scene='each'``, every work dir below it is looked at.
        out: folder of the sheets; default: ``<work_dir>/label_sheets``.
        pairs: labels a sheet, spread evenly over the scene, at least 1.

    Returns:
        the pictures.

    Raises:
        ConfigError: the config labels nothing, or no pairs are wanted.
        LabelStoreError: the labels are not there, or not complete.
    """
    if pairs < 1:
        raise ConfigError(f'--pairs must be at least 1, got {pairs}')
    each = cfg.get('scene') == 'each'
    plain = Config(cfg.to_dict(), filename=cfg.filename)
    if each:
        plain.scene = 'all'
    plain = fill_in(plain)
    configs = [hook for hook in plain.get('custom_hooks') or [] if hook.get('type') == 'PseudoLabelHook']
    if not configs:
        raise ConfigError(f'{cfg.filename or "config"}: there is no PseudoLabelHook in custom_hooks, so it has no labels')
    hook = HOOKS.build(configs[0])
    dataset = DATASETS.build(hook.dataset)
    folder = Path(out or Path(cfg.work_dir) / 'label_sheets')
    sheets = []
    for scene in dataset.scene_names:
        store = LabelStore.open(hook.store_root(str(Path(cfg.work_dir) / scene if each else cfg.work_dir), 0))
        ours = [i for i, pair in enumerate(dataset.pairs) if pair['scene'] == scene and store.has(pair['key'])]
        chosen = sorted({ours[int(i)] for i in np.linspace(0, len(ours) - 1, min(pairs, len(ours)))})
        path = folder / f'{scene.replace("/", "_")}.png'
        write_image(path, _sheet([dataset[i] for i in chosen], store))
        sheets.append(path)
    return sheets


def _sheet(items: List[Dict[str, Any]], store: LabelStore) -> np.ndarray:
    """Tiles with their names and kept shares, three a row."""
    labels = [store.read(item['key']) for item in items]
    scale = sequence_scale([label.flow.permute(1, 2, 0).numpy() for label in labels])
    tiles = [_tile(item, label_overlay(item['frame1'], label, scale), label.kept) for item, label in zip(items, labels)]
    while len(tiles) % COLUMNS:
        tiles.append(np.full_like(tiles[0], 255))
    return np.vstack([np.hstack(tiles[i:i + COLUMNS]) for i in range(0, len(tiles), COLUMNS)])


def _tile(item: Dict[str, Any], picture: np.ndarray, kept: float) -> np.ndarray:
    height = max(round(picture.shape[0] * TILE_WIDTH / picture.shape[1]), 1)
    bar = np.full((BAR, TILE_WIDTH, 3), 255, np.uint8)
    text = f'{item["key"].rpartition("/")[2]}: {kept:.0%} kept'
    cv2.putText(bar, text, (2, BAR - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (29, 39, 51), 1, cv2.LINE_AA)
    return np.vstack([bar, cv2.resize(picture, (TILE_WIDTH, height), interpolation=cv2.INTER_AREA)])
