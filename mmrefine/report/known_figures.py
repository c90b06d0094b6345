"""The figures that a record shows: those that it declares and, in a record of an older version, those known by name."""
from __future__ import annotations

from typing import Any, Iterable, List, Mapping, Optional, Sequence

from mmrefine.evaluation import FlowTally, KeypointTally, LabelFreeTally, MaskTally
from mmrefine.evaluation.flow.witnesses import FIGURES as FLOW_WITNESSES
from mmrefine.evaluation.joints.pck import PCK_SHARE
from mmrefine.structures.figures import Figure

# what records of older versions hold without saying what it is
SCORES = (*FlowTally.figures, *LabelFreeTally.figures, *MaskTally.figures, *KeypointTally((PCK_SHARE, )).figures)
FORGETTING = FlowTally.figures[0]
LABEL_STATISTICS = (
    Figure('kept', '%'), Figure('mean_motion', 'px', title='mean motion'),
    Figure('cycle_error_median', 'px', 'lower', title='cycle error, median'),
    Figure('cycle_error_mean', 'px', 'lower', title='cycle error, mean'),
    Figure('color_residual', 'grey levels', 'lower', title='colour residual'),
    Figure('queries', title='tracks asked for'), Figure('mean_speed', 'px a frame', title='mean speed'),
)


def figures_of(group: Mapping[str, Any]) -> List[Figure]:
    """The figures of a group, in the order in which they are shown.

    A score that neither the record nor this module knows comes last, under its own name.
    """
    return _named([*group.get('before', {}), *group.get('after', {})], group.get('figures'), SCORES)


def figure_of(name: str, group: Mapping[str, Any]) -> Figure:
    """The figure of a score, whether or not the group has it."""
    return _named([name], group.get('figures'), SCORES)[0]


def witness_figures(guard: Mapping[str, Any]) -> List[Figure]:
    """The figures of the guard's witnesses, in the order in which they are shown."""
    sides = guard.get('witnesses') or {}
    names = [*(sides.get('before') or {}), *(sides.get('after') or {})]
    return _named(names, (guard.get('score') or {}).get('figures'), FLOW_WITNESSES)


def label_figures(names: Iterable[str]) -> List[Figure]:
    """The figures of the statistics of a label store, in the order of their names."""
    known = {figure.name: figure for figure in LABEL_STATISTICS}
    return [known.get(name) or Figure(name, title=name.replace('_', ' ')) for name in dict.fromkeys(names)]


def main_figures(group: Mapping[str, Any]) -> List[Figure]:
    """The figures of the first table of a group: the main ones, or all where none is."""
    figures = figures_of(group)
    return [figure for figure in figures if figure.table == 'main'] or figures


def headline_figure(group: Mapping[str, Any]) -> Optional[Figure]:
    """The figure that decides whether a network got better on a group; None if it was not scored on both sides."""
    sides = [group.get(side, {}) for side in ('before', 'after')]
    return next((figure for figure in figures_of(group)
                 if figure.headline and all(side.get(figure.name) is not None for side in sides)), None)


def _named(names: Sequence[str], declared: Optional[Iterable[Mapping[str, Any]]],
           defaults: Iterable[Figure]) -> List[Figure]:
    own = {figure['name']: Figure.from_dict(figure) for figure in declared or () if figure.get('name') in names}
    known = {**own, **{figure.name: figure for figure in defaults}, **own}  # the record's own figures and order first
    ordered = dict.fromkeys([*(name for name in known if name in names), *names])
    return [known.get(name) or Figure(name) for name in ordered]
