"""What a calibration found: the thresholds, what they promise, and what else there was to choose from."""
from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, fields
from typing import Any, Dict, List, Mapping, Optional

import numpy as np

from mmrefine.errors import ConfigError


@dataclass(frozen=True)
class Calibration:
    """Thresholds for the filters of a labeler, chosen on some known warps and judged on others.

    Precision is the share of the weight that is right, coverage the mean weight on the video. A share of nothing is
    None.

    Args:
        thresholds: what to set, by the key below the labeler's config: ``filters.0.beta`` -> px.
        target: the precision that was asked for.
        within: px; a motion is right if its error is less than this,
        relative: or less than this share of the true motion.
        reached: whether any thresholds reach the target on the warps that choose. If not, ``thresholds`` are the most
            precise ones.
        precision: on the warps that judge.
        precision_error: standard error of ``precision``, from how much the frames differ; None with less than two of
            them.
        coverage: on the frame pairs that judge.
        chosen_precision: on the warps that chose, on which it is a little too good, as these thresholds were chosen for
            it.
        chosen_coverage: on the frame pairs that chose.
        before: ``thresholds``, ``precision`` and ``coverage`` of the labeler as it was, on what judges.
        table: a row for each setting, from the strictest to the loosest: ``thresholds``, and precision and coverage as
            above.
        note: the outcome in words.
        material: what the warps were made of: numbers of ``frames``, ``warps`` and ``pixels``, the ``seed``, the
            ``motion`` of the video (px: median, 95th percentile), its ``noise`` and ``drift`` (grey levels), the
            ``grain`` of each frame of a warp before its compression (grey levels), the JPEG ``qualities`` of the
            frames, and the ``hidden`` share of the warps.
    """
    thresholds: Dict[str, float]
    target: float
    within: float
    relative: float
    reached: bool
    precision: Optional[float]
    precision_error: Optional[float]
    coverage: float
    chosen_precision: float
    chosen_coverage: float
    before: Dict[str, Any]
    table: List[Dict[str, Any]]
    note: str
    material: Dict[str, Any]

    def apply(self, labeler: Mapping[str, Any]) -> Dict[str, Any]:
        """A copy of the labeler's config with the thresholds set.

        Raises:
            ConfigError: it has not the filters that were calibrated.
        """
        config = copy.deepcopy(dict(labeler))
        config['filters'] = [dict(part) for part in config.get('filters', ())]
        for key, value in self.thresholds.items():
            _, number, name = key.split('.')
            if int(number) >= len(config['filters']):
                raise ConfigError(f'labeler.{key} was calibrated, but this labeler has {len(config["filters"])} '
                                  'filters; calibrate again')
            config['filters'][int(number)][name] = value
        return config

    def options(self, labeler: str = 'labeler') -> str:
        """The thresholds as arguments of ``--cfg-options``; ``labeler`` is the key of the labeler in the config."""
        return ' '.join(f'{labeler}.{key}={value:g}' for key, value in self.thresholds.items())

    def to_dict(self) -> Dict[str, Any]:
        """All of it, JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Calibration:
        """What :meth:`to_dict` gave; keys of other versions are left out.

        Raises:
            KeyError: a key is missing.
        """
        return cls(**{part.name: record[part.name] for part in fields(cls)})

    def summary(self) -> Dict[str, Any]:
        """All but the table."""
        return {key: value for key, value in self.to_dict().items() if key != 'table'}

    def lines(self, rows: int = 12) -> List[str]:
        """A table of the settings that nothing beats in both precision and coverage, the chosen one marked, and the
        note below it.

        Args:
            rows: how many at most, spread evenly, the chosen one among them.
        """
        front = [row for row in self.table
                 if row['thresholds'] == self.thresholds or not any(_beats(other, row) for other in self.table)]
        front.sort(key=lambda row: row['chosen_coverage'])
        mine = next(i for i, row in enumerate(front) if row['thresholds'] == self.thresholds)
        kept = {int(i) for i in np.linspace(0, len(front) - 1, min(rows - 1, len(front)))} | {mine}
        keys = list(self.thresholds)
        widths = [max(len(key), 8) for key in keys]
        head = '  '.join(f'{key:>{width}}' for key, width in zip(keys, widths))
        lines = [f'  {head}  coverage  precision   on frames that did not choose']
        for i in sorted(kept):
            row = front[i]
            values = '  '.join(f'{row["thresholds"][key]:>{width}g}' for key, width in zip(keys, widths))
            precision = '-' if row['precision'] is None else f'{row["precision"]:.1%}'
            lines.append(f'{">" if i == mine else " "} {values}  {row["coverage"]:>8.1%}  {precision:>9}')
        return [*lines, self.note]


def _beats(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a row keeps as much and is as right, and better in one of both."""
    if other['chosen_precision'] is None or one['chosen_precision'] is None:
        return other['chosen_precision'] is None and one['chosen_precision'] is not None
    gains = [one[key] - other[key] for key in ('chosen_precision', 'chosen_coverage')]
    return min(gains) >= 0 and max(gains) > 0
