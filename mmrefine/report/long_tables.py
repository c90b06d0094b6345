"""Tables of many scenes: the two ends, a plot of all, and all rows folded away."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from markupsafe import Markup

from mmrefine.report.formats import title_in_text
from mmrefine.report.plots import Dot, dot_plot
from mmrefine.structures.figures import Figure

MOST_ROWS = 10  # scenes of a table that is shown whole
ENDS = 5  # of a longer one, at each end

Row = Tuple[str, Any]


@dataclass(frozen=True)
class Folded:
    """The scenes of a table.

    Args:
        all: (name, what is known of the scene), in their order.
        ends: the same of those that are shown at once: all, or the first and the last of the ranking.
        plot: of all; empty where all are shown, or none has a value.
    """
    all: Sequence[Row]
    ends: Sequence[Row]
    plot: Markup = Markup('')

    @property
    def count(self) -> int:
        """Scenes in all."""
        return len(self.all)

    @property
    def is_folded(self) -> bool:
        """Whether some are not shown at once."""
        return len(self.ends) < len(self.all)


def fold(scenes: Mapping[str, Any], ranks: Mapping[str, Any], values: Mapping[str, Optional[float]], title: str,
         x_name: str, zero: str = '') -> Folded:
    """Fold a table of more than :data:`MOST_ROWS` scenes.

    Args:
        scenes: by name, in their order.
        ranks: of each scene, from the lowest on; one without a rank is not at the ends.
        values: of each scene what is plotted in the order of the ranks; what is None or not finite is left out.
        title: of the plotted values, with their unit.
        x_name: of the axis of the scenes, which goes from 0 to 100 %.
        zero: what 0 stands for; empty: no line there.
    """
    rows = list(scenes.items())
    if len(rows) <= MOST_ROWS:
        return Folded(rows, rows)
    ranked = sorted((row for row in rows if ranks.get(row[0]) is not None), key=lambda row: ranks[row[0]])
    dots: List[Dot] = []
    for place, (name, _) in enumerate(ranked):
        value = values.get(name)
        if value is not None and math.isfinite(value):
            dots.append(Dot(100 * place / max(len(ranked) - 1, 1), value, (None, None), False))
    plot = dot_plot(dots, x_name, title, zero) if dots else Markup('')
    ends = [*ranked[:ENDS], *ranked[-ENDS:]] if len(ranked) > MOST_ROWS else ranked or rows[:MOST_ROWS]
    return Folded(rows, ends, plot)


def fold_scores(scenes: Mapping[str, Any], main: Sequence[Figure]) -> Folded:
    """Fold a table of scores before and after, by the change of its first figure, from the largest gain to the largest
    loss.

    Args:
        scenes: of a group of the record.
        main: the figures that the table shows.
    """
    if not main:
        return fold(scenes, {}, {}, '', '')
    changes = {name: scene['change_percent'].get(main[0].name) for name, scene in scenes.items()}
    ranks = {name: None if change is None else -(main[0].sign or -1) * change for name, change in changes.items()}
    return fold(scenes, ranks, changes, f'change of {title_in_text(main[0])} [%]',
                'scenes, from the largest gain to the largest loss [%]', 'as before')
