"""Another teacher than the network itself: the options ``--teacher``, ``--teacher-checkpoint`` and ``--labels``."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from mmengine.config import Config

from mmrefine.apis.inference import is_correspondence, is_tracker
from mmrefine.apis.named_models import find_weights, load_named
from mmrefine.apis.ready_config import labels_by_student, teachers_of
from mmrefine.apis.verifiers import SELF, arbitrated_view
from mmrefine.compat.model_names import NAMED_MODELS, find_config
from mmrefine.config.load import complete, hooks_of, name_of
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.fileio.store.layout import MANIFEST
from mmrefine.models.teachers.group import BETWEEN, build_source, networks_of
from mmrefine.models.teachers.motion_files import MotionFiles

PathLike = Union[str, Path]
Named = Union[None, PathLike, Sequence[PathLike]]  # none, one, or several


def teacher_values(cfg: Config,
                   teacher: Named = None,
                   checkpoint: Named = None,
                   labels: Optional[PathLike] = None,
                   rounds: Optional[int] = None,
                   log: Callable[[str], None] = print) -> Dict[str, Any]:
    """The values of the config that these options stand for, by dotted key.

    Several teachers label together, by an :class:`~mmrefine.labeling.ArbitratedView`, which replaces a
    :class:`~mmrefine.labeling.CascadeView`.

    Args:
        cfg: of the network that learns, not filled in.
        teacher: name or config of the network that labels, a folder of flow files (see
            :class:`~mmrefine.models.StoredMotion`), ``'self'``, which is a copy of the network that learns, or several
            of these; None: what the config says.
        checkpoint: the weights of each network among them, in the same order; None: those of their configs, or
            published ones.
        labels: folder of labels that were made before; None: they are made.
        rounds: of labels and training, as they were asked for.
        log: called with a line where weights are downloaded.

    Raises:
        ConfigError: options that exclude one another, a teacher of another kind than the network, weights for another
            number of networks, or a config that labels nothing, or whose view asks one teacher only.
        CheckpointError: weights that are missing, or cannot be downloaded.
    """
    names, weights = _listed(teacher), _listed(checkpoint)
    if not names and weights:
        raise ConfigError(f'--teacher-checkpoint {weights[0]}: these are the weights of a teacher that is another '
                          'network; name that network with --teacher')
    if not names and labels is None:
        return {}
    option = '--teacher' if names else '--labels'
    if names and labels is not None:
        raise ConfigError('--labels and --teacher exclude one another: labels that were made before need no teacher; '
                          'leave one out')
    if (rounds or 1) > 1:
        raise ConfigError(f'{option} and --rounds exclude one another: in each round but the first the student of the '
                          'one before labels; leave one out')
    hooks = {hook.get('type'): i for i, hook in enumerate(cfg.get('custom_hooks') or [])}
    at = hooks.get('PseudoLabelHook')
    if at is None:
        raise ConfigError(f'{name_of(cfg)}: learns without labels, so nobody labels; leave {option} out')
    if labels is not None:
        return {f'custom_hooks.{at}.labels': str(Path(labels).resolve())}
    if names.count(SELF) > 1:
        raise ConfigError(f'--teacher {SELF}: is named {names.count(SELF)} times, and its passes are the same each '
                          'time; name it once')
    files = iter(_weights_of(names, weights))
    found = [_teacher(cfg, name, next(files), log) for name in names]
    key = f'custom_hooks.{at}.teacher'
    if len(found) > 1:
        return {key: found, 'labeler.view': dict(arbitrated_view(cfg, 'a second --teacher'), _delete_=True)}
    if 'teacher' in cfg.custom_hooks[at]:
        found[0]['_delete_'] = True  # it is replaced, and not mixed with this one
    return {key: found[0], **(dict(labeler=_labeler_of(Path(names[0]))) if _is_folder(names[0]) else {})}


def _listed(named: Named) -> List[str]:
    return [] if named is None else [str(one) for one in ([named] if isinstance(named, (str, Path)) else named)]


def _is_folder(name: str) -> bool:
    return name != SELF and Path(name).is_dir()


def _weights_of(names: Sequence[str], weights: Sequence[str]) -> List[Optional[str]]:
    """For each teacher the file of its weights, or None: that of its config, or it needs none."""
    networks = [name for name in names if name != SELF and not _is_folder(name)]
    if weights and not networks:
        what = 'a folder of flow, which has no weights' if _is_folder(names[0]) else (
            'the network itself, whose weights --checkpoint names')
        raise ConfigError(f'--teacher-checkpoint {weights[0]}: --teacher {names[0]} is {what}; leave it out')
    if weights and len(weights) != len(networks):
        raise ConfigError(f'--teacher-checkpoint: got {len(weights)} files, and the teachers that need weights are '
                          f'{", ".join(networks)}; give one for each of them, in this order, or none')
    left: List[Optional[str]] = [*weights] or [None] * len(networks)
    return [left.pop(0) if name in networks else None for name in names]


def _teacher(cfg: Config, name: str, checkpoint: Optional[str], log: Callable[[str], None]) -> Dict[str, Any]:
    if name == SELF:
        return dict(type='StudentCopy')
    return _folder(cfg, Path(name)) if _is_folder(name) else _network(cfg, name, checkpoint, log)


def _network(cfg: Config, teacher: str, checkpoint: Optional[PathLike],
             log: Callable[[str], None]) -> Dict[str, Any]:
    try:
        named = load_named(teacher)
    except ConfigError as error:
        if Path(teacher).exists():
            raise
        raise ConfigError(f'--teacher {error} (a folder of flow would do, too, and there is none of that name)'
                          ) from error
    if is_correspondence(named) or is_tracker(named) != is_tracker(cfg):
        kinds = [f'{name} {"follows points" if is_tracker(one) or is_correspondence(one) else "estimates flow"}'
                 for name, one in ((teacher, named), ('the network that learns', cfg))]
        raise ConfigError(f'--teacher {teacher}: {", and ".join(kinds)}; name a teacher of its kind')
    model = teacher if teacher in NAMED_MODELS or '::' in teacher else str(find_config(teacher).resolve())
    try:
        weights = find_weights(named, checkpoint, log)
    except CheckpointError as error:
        # what it tells to give is for the network that learns
        said = str(error).replace('--checkpoint', '--teacher-checkpoint').replace('--model', '--teacher')
        raise CheckpointError(said) from error
    return dict(type='OtherNetwork', model=model, checkpoint=str(weights.resolve()))


def _folder(cfg: Config, folder: Path) -> Dict[str, Any]:
    if is_tracker(cfg):
        raise ConfigError(f'--teacher {folder}: is a folder of flow, and {name_of(cfg)} follows points; name a tracker')
    if (folder / MANIFEST).is_file():
        raise ConfigError(f'--teacher {folder}: is a store of labels that were made before; name it with --labels')
    MotionFiles(folder)  # says what is wrong with it
    return dict(type='StoredMotion', root=str(folder.resolve()))


def _labeler_of(folder: Path) -> Dict[str, Any]:
    """The labeler of what cannot be asked for larger frames: what comes back and looks the same counts; without motion
    backwards, what looks the same."""
    both = MotionFiles(folder).has_backward
    cycle = [dict(type='CycleFilter', alpha=0.01, beta=0.5)] if both else []
    return dict(type='FlowLabeler', view=dict(type='CascadeView', scales=(1., )),
                filters=[dict(type='CutGuard'), *cycle, dict(type='CensusFilter')],
                directions='both' if both else 'forward', _delete_=True)


def who_teaches(cfg: Config) -> Dict[str, str]:
    """Of a config whose teacher is another one than the network itself: ``name``, and of networks the ``digest`` of
    their weights; else nothing.

    Raises:
        ConfigError: the teacher cannot be built.
        CheckpointError: its weights are missing, broken, or of another network.
    """
    hooks = hooks_of(cfg, 'PseudoLabelHook')
    # a student or its average is not asked, as the config may still lack values, such as labelled pairs
    if not hooks or (hooks[0].get('labels') is None
                     and all(labels_by_student(dict(teacher=one)) for one in teachers_of(hooks[0]) or [None])):
        return {}
    hook = hooks_of(complete(cfg), 'PseudoLabelHook')[0]
    if hook.get('labels'):
        return dict(name=f'labels that were made before, {hook["labels"]}')
    source: Any = build_source(hook['teacher'])
    if not hasattr(source, 'name'):  # optional, see TeacherSource
        return {}
    digests = [one.network().digest() for one in networks_of(source)]
    return dict(name=source.name, **(dict(digest=BETWEEN.join(digests)) if digests else {}))


def without_place(hooks: Any) -> Any:
    """Hooks of a config that is compared with another one, without the files of the weights of teachers: their contents
    are compared."""
    if not isinstance(hooks, list):
        return hooks
    return [dict(hook, teacher=[{key: value for key, value in one.items() if key != 'checkpoint'}
                                for one in teachers_of(hook)])
            if isinstance(hook, Mapping) and hook.get('teacher') else hook for hook in hooks]
