"""The options ``--verify`` and ``--max-error`` of the command: passes that the verifier of the package weighs."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Union

from mmengine.config import Config

from mmrefine.apis.inference import is_correspondence, is_tracker
from mmrefine.config.load import hooks_of, name_of
from mmrefine.errors import ConfigError
from mmrefine.values import as_number

# what ArbitratedView.verifier takes; both files come with the package, and are found from any folder
VERIFIER: Dict[str, Any] = dict(
    type='OtherNetwork', model='verifier/pass_verifier.py', checkpoint='configs/verifier/pass_verifier.pth')

SELF = 'self'  # the name of the student's own copy among the teachers
# keys whose value would undo what the options ask for
_VIEW = ('labeler', 'labeler.view', 'labeler.view.type', 'labeler.view.verifier')


def checked_max_error(max_error: Optional[float]) -> Optional[float]:
    """The px of ``--max-error``, or None without that option.

    Raises:
        ConfigError: not a finite number above 0.
    """
    return None if max_error is None else as_number('--max-error', max_error, '(0, inf)', ' px')


def verify_values(cfg: Config,
                  verify: bool = False,
                  max_error: Optional[float] = None,
                  teacher: Union[None, str, Path, Sequence[Union[str, Path]]] = None,
                  labels: Optional[Union[str, Path]] = None,
                  given: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]:
    """The values of the config that these options stand for, by dotted key.

    A :class:`~mmrefine.labeling.CascadeView` is replaced by an :class:`~mmrefine.labeling.ArbitratedView` of four
    passes with the verifier of the package; an ``ArbitratedView`` keeps its settings, and its verifier if it has one.

    Args:
        cfg: of the network that learns, not filled in.
        verify: whether the verifier weighs the passes.
        max_error: px; labels are also only what is expected to be right within so many. Implies ``verify``.
        teacher: as of :func:`~mmrefine.apis.teachers.teacher_values`.
        labels: likewise.
        given: other values of the config by dotted key, which are applied after these.

    Raises:
        ConfigError: a ``max_error`` that is not above 0, a config that labels no flow or by another view, a teacher
            that makes no passes, labels that were made before, or given values that would undo these.
    """
    most = checked_max_error(max_error)
    if not verify and most is None:
        return {}
    option = '--verify' if most is None else '--max-error'
    kept = arbitrated_view(cfg, option)
    if labels is not None:
        raise ConfigError(f'{option} and --labels exclude one another: labels that were made before are used as they '
                          f'are; give {option} to the mmrefine labels that makes them')
    names = [teacher] if isinstance(teacher, (str, Path)) else list(teacher or ())
    if len(names) == 1 and names[0] != SELF and Path(names[0]).is_dir():
        raise ConfigError(f'{option}: --teacher {names[0]} is a folder of flow, and the verifier weighs several passes '
                          'of a network; leave one of the two out')
    undone = [key for key in given or {} if key in (*_VIEW, *(['labeler.filters'] if most else []))]
    if undone:
        raise ConfigError(f'{option} and --cfg-options {undone[0]}=… exclude one another, as both say how labels are '
                          f'made; leave {option} out and give all of it there, or set single values such as '
                          'labeler.view.scales')
    verifier = dict(kept.get('verifier') or VERIFIER)
    found: Dict[str, Any] = {'labeler.view': dict(kept, verifier=verifier, _delete_=True)}
    if most is not None:
        found['labeler.filters'] = [*(cfg.labeler.get('filters') or ()), dict(type='ExpectedErrorFilter', most=most)]
    return found


def arbitrated_view(cfg: Config, option: str) -> Dict[str, Any]:
    """The config of the view that weighs passes: that of the config, or a default one in place of a ``CascadeView``.

    Args:
        cfg: of the network that learns, not filled in.
        option: that asks for it, for messages.

    Raises:
        ConfigError: a config that labels no flow, or by another view.
    """
    if is_tracker(cfg) or is_correspondence(cfg):
        raise ConfigError(f'{name_of(cfg)}: follows points, and {option} weighs passes of a network that estimates '
                          'flow; leave it out, or name such a network with --model')
    labeler: Mapping[str, Any] = cfg.get('labeler') or {}
    if not labeler or not hooks_of(cfg, 'PseudoLabelHook'):
        raise ConfigError(f'{name_of(cfg)}: labels nothing, or has no top-level key labeler, so there is nothing to '
                          f'weigh; leave {option} out')
    view: Dict[str, Any] = dict(labeler.get('view') or {})
    kind = str(view.get('type', '')).rpartition('.')[2]
    if kind not in ('CascadeView', 'ArbitratedView'):
        raise ConfigError(f'{name_of(cfg)}: labeler.view is {kind or "not set"}, and {option} takes configs with '
                          'CascadeView or ArbitratedView')
    return view if kind == 'ArbitratedView' else dict(type='ArbitratedView')
