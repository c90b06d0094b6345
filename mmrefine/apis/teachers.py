"""Another teacher than the network itself: the options ``--teacher``, ``--teacher-checkpoint`` and ``--labels``."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

from mmengine.config import Config

from mmrefine.apis.inference import is_correspondence, is_tracker
from mmrefine.apis.named_models import find_weights, load_named
from mmrefine.apis.ready_config import labels_by_student
from mmrefine.compat.model_names import NAMED_MODELS, find_config
from mmrefine.config.load import complete, hooks_of, name_of
from mmrefine.errors import ConfigError
from mmrefine.fileio.store.layout import MANIFEST
from mmrefine.models.teachers.motion_files import MotionFiles
from mmrefine.registry import TEACHERS

PathLike = Union[str, Path]


def teacher_values(cfg: Config,
                   teacher: Optional[PathLike] = None,
                   checkpoint: Optional[PathLike] = None,
                   labels: Optional[PathLike] = None,
                   rounds: Optional[int] = None,
                   log: Callable[[str], None] = print) -> Dict[str, Any]:
    """The values of the config that these options stand for, by dotted key.

    Args:
        cfg: of the network that learns, not filled in.
        teacher: name or config of the network that labels, or a folder of flow files (see
            :class:`~mmrefine.models.StoredMotion`); None: what the config says.
        checkpoint: its weights; None: those of its config, or published ones.
        labels: folder of labels that were made before; None: they are made.
        rounds: of labels and training, as they were asked for.
        log: called with a line where weights are downloaded.

    Raises:
        ConfigError: options that exclude one another, a teacher of another kind than the network, or a config that
            labels nothing.
        CheckpointError: weights that are missing, or cannot be downloaded.
    """
    if teacher is None and checkpoint is not None:
        raise ConfigError(f'--teacher-checkpoint {checkpoint}: these are the weights of a teacher that is another '
                          'network; name that network with --teacher')
    if teacher is None and labels is None:
        return {}
    option = '--teacher' if teacher is not None else '--labels'
    if teacher is not None and labels is not None:
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
    folder = Path(str(teacher))
    more: Dict[str, Any] = {}
    if folder.is_dir():
        found, more = _folder(cfg, folder, checkpoint)
    else:
        found = _network(cfg, str(teacher), checkpoint, log)
    if 'teacher' in cfg.custom_hooks[at]:
        found['_delete_'] = True  # it is replaced, and not mixed with this one
    return {f'custom_hooks.{at}.teacher': found, **more}


def _network(cfg: Config, teacher: str, checkpoint: Optional[PathLike],
             log: Callable[[str], None]) -> Dict[str, Any]:
    named = load_named(teacher)
    if is_correspondence(named) or is_tracker(named) != is_tracker(cfg):
        kinds = [f'{name} {"follows points" if is_tracker(one) or is_correspondence(one) else "estimates flow"}'
                 for name, one in ((teacher, named), ('the network that learns', cfg))]
        raise ConfigError(f'--teacher {teacher}: {", and ".join(kinds)}; name a teacher of its kind')
    model = teacher if teacher in NAMED_MODELS or '::' in teacher else str(find_config(teacher).resolve())
    return dict(type='OtherNetwork', model=model, checkpoint=str(find_weights(named, checkpoint, log).resolve()))


def _folder(cfg: Config, folder: Path, checkpoint: Optional[PathLike]) -> Tuple[Dict[str, Any], Dict[str, Any]]:
    """The teacher, and a labeler of what cannot be asked for larger frames: what comes back and looks the same counts;
    without motion backwards, what looks the same."""
    if is_tracker(cfg):
        raise ConfigError(f'--teacher {folder}: is a folder of flow, and {name_of(cfg)} follows points; name a tracker')
    if checkpoint is not None:
        raise ConfigError(f'--teacher-checkpoint {checkpoint}: --teacher {folder} is a folder of flow, which has no '
                          'weights; leave it out')
    if (folder / MANIFEST).is_file():
        raise ConfigError(f'--teacher {folder}: is a store of labels that were made before; name it with --labels')
    both = MotionFiles(folder).has_backward
    cycle = [dict(type='CycleFilter', alpha=0.01, beta=0.5)] if both else []
    labeler = dict(type='FlowLabeler', view=dict(type='CascadeView', scales=(1., )),
                   filters=[dict(type='CutGuard'), *cycle, dict(type='CensusFilter')],
                   directions='both' if both else 'forward', _delete_=True)
    return dict(type='StoredMotion', root=str(folder.resolve())), dict(labeler=labeler)


def who_teaches(cfg: Config) -> Dict[str, str]:
    """Of a config whose teacher is another one than the network itself: ``name``, and of a network the ``digest`` of
    its weights; else nothing.

    Raises:
        ConfigError: the teacher cannot be built.
        CheckpointError: its weights are missing, broken, or of another network.
    """
    hooks = hooks_of(cfg, 'PseudoLabelHook')
    # a student or its average is not asked, as the config may still lack values, such as labelled pairs
    if not hooks or labels_by_student(hooks[0]):
        return {}
    hook = hooks_of(complete(cfg), 'PseudoLabelHook')[0]
    if hook.get('labels'):
        return dict(name=f'labels that were made before, {hook["labels"]}')
    source: Any = TEACHERS.build(hook['teacher'])
    if not hasattr(source, 'name'):  # optional, see TeacherSource
        return {}
    return dict(name=source.name, **(dict(digest=source.network().digest()) if hasattr(source, 'network') else {}))


def without_place(hooks: Any) -> Any:
    """Hooks of a config that is compared with another one, without the file of the weights of a teacher: its contents
    are compared."""
    if not isinstance(hooks, list):
        return hooks
    return [dict(hook, teacher={key: value for key, value in hook['teacher'].items() if key != 'checkpoint'})
            if isinstance(hook, Mapping) and isinstance(hook.get('teacher'), Mapping) else hook for hook in hooks]
