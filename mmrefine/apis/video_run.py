"""A run on a user's video: config, weights, folder of results, and whether an earlier run goes on."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Tuple, Union

from mmengine.config import Config

from mmrefine.apis.followed_points import FollowedPoints
from mmrefine.apis.frame_damage import skipping
from mmrefine.apis.labelled import RENDERED, check_labelled, mix_in, with_labelled
from mmrefine.apis.named_models import find_weights, load_named, official_kind
from mmrefine.apis.result_files import default_out
from mmrefine.apis.teachers import who_teaches, without_place
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.model_names import NAMED_MODELS
from mmrefine.compat.stock_names import stock_names
from mmrefine.config.check import value_at
from mmrefine.config.load import building, complete, hooks_of, name_of, override
from mmrefine.datasets.frame_pairs import build_pipeline
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.fileio.atomic import write_errors, write_json
from mmrefine.fileio.digest import digest_of_state
from mmrefine.fileio.records import read_record
from mmrefine.fileio.video.scenes import Roots, paths_of
from mmrefine.registry import DATASETS
from mmrefine.structures import name_units
from mmrefine.values import brief

# in the folder of results: the settings of its run, and whether it is finished; and the refined weights
RUN_FILE, REFINED = 'run.json', 'refined.pth'
# what may change when a run goes on; video and weights are compared separately
_MAY_CHANGE = ('video', 'work_dir', 'resume', 'load_from', 'launcher', 'num_workers', 'experiment_name', 'log_level')


def prepare_run(video: Roots,
                model: Union[str, Path, Config] = 'raft_small',
                out: Optional[Union[str, Path]] = None,
                checkpoint: Optional[Union[str, Path]] = None,
                overrides: Optional[Mapping[str, Any]] = None,
                skip_corrupt: bool = False,
                resume: bool = False,
                log: Callable[[str], None] = print,
                reading: Optional[Mapping[str, Any]] = None,
                dry_run: bool = False,
                labelled: Optional[Union[str, Path]] = None,
                points: Optional[FollowedPoints] = None) -> Tuple[Config, bool]:
    """The config of a run on a video, ready for :func:`~mmrefine.apis.train` or :func:`~mmrefine.apis.make_labels`.

    Every frame is read; the settings are kept in ``<out>/run.json``.

    Args:
        video: a video file, a folder of frames, a folder of such folders and files, or a list of these.
        model: a short name (:data:`~mmrefine.compat.model_names.NAMED_MODELS`), a config with a top-level key
            ``video``, or its file.
        out: folder of results; default: :func:`default_out`.
        checkpoint: weights to start from, official RAFT files too; default: ``load_from`` of the config.
        overrides: other values of the config by dotted key.
        skip_corrupt: leave out corrupt frames; default: an error.
        resume: go on with the run in ``out``, which must have the same settings unless it has not written anything yet.
            Default: ``out`` is not checked.
        log: called with a line.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name.
        dry_run: write nothing.
        labelled: pairs with ground truth to learn from, too, see :func:`~mmrefine.apis.labelled.check_labelled`.
        points: what a tracker is to follow; the config is that of :meth:`FollowedPoints.plan`.

    Returns:
        the config, not filled in, and whether the run is finished already.

    Raises:
        ConfigError: no such model, unknown keys, invalid values, or a folder that holds another run.
        CheckpointError: weights that are missing, broken, or of another network.
        InputError: a video, or labelled pairs, that cannot be used.
    """
    values = {**(overrides or {}), 'video': _plain(video)}
    cfg = load_named(model)
    if 'video' not in cfg:
        raise ConfigError(f'{name_of(cfg)}: has no key video, so it cannot be run on your video (mmrefine flow and '
                          f'export take it); take one of {", ".join(NAMED_MODELS)}, or a config that inherits from '
                          'configs/_base_/datasets/video.py')
    cfg = override(cfg, values)
    teaches = who_teaches(cfg)  # what is wrong with it is said before the video is read
    if labelled is not None:
        check_labelled(labelled, cfg)
        cfg = with_labelled(cfg, str(labelled))
    if points is not None:
        points.check(cfg)
    folder = Path(out) if out is not None else default_out(video)
    cfg, videos = skipping(cfg, folder, skip_corrupt, log, reading, dry_run)
    cfg.work_dir = str(folder)
    if labelled is not None:
        cfg = mix_in(cfg, labelled, folder, log)
    cfg.load_from = str(find_weights(cfg, checkpoint, log))
    if points is not None:
        cfg = points.plan(cfg, videos)
    digest = digest_of_state(stock_names(load_checkpoint_file(cfg.load_from), official_kind(cfg), cfg.load_from))
    settings = dict(video=_plain(video, resolved=True), weights=digest, config=_settings(cfg))
    if 'digest' in teaches:
        settings['teacher'] = teaches['digest']
    if labelled == RENDERED:  # their place follows that of the results
        settings['config']['labelled'] = RENDERED
    if points is not None:
        settings['config']['labeler']['queries'] = points.settings(cfg)
    finished = resume and _check_folder(folder, settings)
    cfg.resume = bool(resume or cfg.get('resume'))
    _check_data(cfg, log)
    if teaches:
        log(f'labelled by: {teaches["name"]}')
    if not dry_run and not finished:  # else its record is there, and the disk may be read-only by now
        _write(folder, settings, finished)
    return cfg, finished


def _check_data(cfg: Config, log: Callable[[str], None]) -> None:
    """Log what is to be labelled, or learned from without labels; a video that is too short for it and a training
    pipeline that cannot be built are refused here, before anything is loaded."""
    cfg = complete(cfg)
    labels = hooks_of(cfg, 'PseudoLabelHook')
    for hook in labels:
        data = DATASETS.build(hook['dataset'])
        rounds = int(cfg.train_cfg.get('rounds', 1))
        each = f', and again in each of {rounds} rounds' if rounds > 1 and hook.get('relabel') == 'every_round' else ''
        made = hook.get('labels')
        what = f'labelled before, {made}' if made else f'to label{each}'
        log(f'{len(data.units)} {name_units(data.units)} {what}')
    with building(cfg):
        data = value_at(cfg.to_dict(), 'train_dataloader.dataset') or {}
        if not labels and data.get('type') in ('FrameClips', 'FramePairs'):
            learned = DATASETS.build(dict(data, pipeline=[]))
            log(f'{len(learned)} {name_units(learned.units)} to learn from, without labels')
        for one in (data.get('parts') or {'': data}).values():
            build_pipeline(one.get('pipeline') or ())


def _plain(video: Roots, resolved: bool = False) -> Any:
    """The path or paths as text."""
    texts = [str(path.resolve() if resolved else path) for path in paths_of(video)]
    return texts[0] if len(texts) == 1 else texts


def mark_finished(folder: Union[str, Path]) -> None:
    """Note that the run in ``folder`` has nothing left to do."""
    record = _read(Path(folder))
    if record is not None and not record['finished']:
        _write(Path(folder), record['settings'], finished=True)


def check_refined(folder: Union[str, Path]) -> None:
    """Refuse a finished run whose refined weights can no longer be read.

    Raises:
        CheckpointError: they are there, and damaged.
    """
    path = Path(folder) / REFINED
    if not path.is_file():  # a config need not write any
        return
    try:
        load_checkpoint_file(path)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: is damaged, although the run that wrote it is finished; put a whole copy of it '
                              'back, or delete report.json beside it: the same command then makes both '
                              'again') from error


def _settings(cfg: Config) -> Dict[str, Any]:
    """The part of a config that decides the result, in JSON's types."""
    plain = {key: value for key, value in cfg.to_dict().items() if key not in _MAY_CHANGE}
    found: Dict[str, Any] = json.loads(json.dumps(plain, default=str))
    return found


def _check_folder(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the folder holds a finished run of these settings; refuses a folder with another run."""
    record = _read(folder)
    if record is None:
        if (folder / 'last_checkpoint').exists() or (folder / 'report.json').exists():
            raise ConfigError(f'{folder}: holds a run that was not started by this command, so its settings are '
                              'unknown; go on with the command that began it, or choose another --out')
        return False
    changes = [f'{key} was {brief(old)}, is {brief(new)}'
               for key, old, new in _differences(_compared(record['settings']), _compared(settings))]
    if changes and _has_trained(folder):
        more = f' and {len(changes) - 4} more' if len(changes) > 4 else ''
        raise ConfigError(f'{folder}: holds a run of other settings ({"; ".join(changes[:4])}{more}); choose another '
                          '--out, or delete that folder to start again')
    return bool(record['finished']) and (folder / 'report.json').is_file() and (folder / REFINED).is_file()


def _compared(settings: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings that must be equal when a run goes on."""
    config = _object(settings, 'config')
    wrapper, hooks = _object(config, 'optim_wrapper'), _object(config, 'default_hooks')
    if wrapper.get('type') in ('OptimWrapper', 'BFloat16OptimWrapper'):
        # a run goes on in the precision that its checkpoint names
        config['optim_wrapper'] = {key: value for key, value in wrapper.items() if key not in ('type', 'precision')}
    # the frames are the same out of a cache, and the weights whatever is logged or noted
    config['default_hooks'] = {key: value for key, value in hooks.items()
                               if key not in ('frame_cache', 'logger', 'rounds')}
    if 'custom_hooks' in config:
        config['custom_hooks'] = without_place(config['custom_hooks'])
    return dict(settings, config=config)


def _object(parent: Mapping[str, Any], key: str) -> Dict[str, Any]:
    """The object under a key; an empty one if there is something else."""
    found = parent.get(key)
    return dict(found) if isinstance(found, dict) else {}


def _has_trained(folder: Path) -> bool:
    """Whether there is a checkpoint or a report of any scene.

    Labels alone are good for any schedule; their store itself refuses a run that needs others. A run that failed before
    it trained leaves a record, too, and may be started again with other settings.
    """
    return any(path.name == 'report.json' or path.suffix == '.pth' for path in folder.rglob('*'))


def _differences(old: Any, new: Any, key: str = '') -> Iterator[Tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(old.get(name), new.get(name), f'{key}.{name}' if key else str(name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (one, other) in enumerate(zip(old, new)):
            yield from _differences(one, other, f'{key}.{i}')
    elif old != new:
        yield key.replace('config.', '', 1), old, new


def _read(folder: Path) -> Optional[Dict[str, Any]]:
    return read_record(folder / RUN_FILE, 'the record of a run of '
                                          'mmrefine', dict(settings=dict, finished=bool), 'choose another --out')


def _write(folder: Path, settings: Mapping[str, Any], finished: bool) -> None:
    with write_errors(folder / RUN_FILE):
        write_json(folder / RUN_FILE, dict(settings=dict(settings), finished=finished))
