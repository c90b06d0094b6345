"""Run a config: one model, or one for each scene with a table at the end."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner, find_latest_checkpoint

from mmrefine.apis.config import check_config, fill_in
from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.evaluation import read_report, summary_table
from mmrefine.registry import DATASETS


def train(cfg: Config) -> List[Dict[str, Any]]:
    """Run both stages of a config.

    ``scene='each'`` runs once for every scene of the data, in ``<work_dir>/<scene>``, and prints a table at the end; a scene that has its
    report already is not run again when the run is resumed.

    Returns:
        the reports (see :mod:`mmrefine.evaluation.record`), one for each run; empty where the config makes none.

    Raises:
        ConfigError: keys or values that cannot be meant, all of them at once, before anything heavy is built.
    """
    if cfg.get('scene') != 'each':
        report = _run(fill_in(cfg))
        return [report] if report else []
    reports = []
    for scene in _scenes_of(cfg):
        one = Config(cfg.to_dict(), filename=cfg.filename)
        one.scene, one.work_dir = scene, str(Path(cfg.work_dir) / scene)
        finished = read_report(one.work_dir) if cfg.get('resume') else None
        report = finished or _run(fill_in(one))
        if report:
            reports.append(report)
    if reports and is_main_process():
        print(summary_table(reports))
    return reports


def _run(cfg: Config) -> Optional[Dict[str, Any]]:
    check_config(cfg)
    prepare(cfg)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return read_report(runner.work_dir)


def prepare(cfg: Config) -> None:
    """Decide where the weights come from; in place.

    MMEngine would resume from ``load_from``, or start from random weights where there is nothing to resume. Here ``resume`` means: go on
    from the latest checkpoint of the work dir if there is one (killed in stage 2), else start from ``load_from`` (killed in stage 1; the
    labels made so far are kept).

    Raises:
        CheckpointError: ``load_from`` cannot be read.
        ConfigError: there is no work dir.
    """
    if not cfg.get('work_dir'):
        raise ConfigError(f'{cfg.filename}: there is no work_dir; pass --work-dir')
    if cfg.get('resume'):
        latest = find_latest_checkpoint(cfg.work_dir) if Path(cfg.work_dir, 'last_checkpoint').is_file() else None
        cfg.resume = latest is not None
        if latest is not None:
            cfg.load_from = None
    if cfg.get('load_from') and not str(cfg.load_from).startswith(('http://', 'https://')):
        if not Path(cfg.load_from).is_file():
            raise CheckpointError(f'{cfg.load_from}: there is no such checkpoint (load_from of {cfg.filename}); '
                                  'put it there, or pass --cfg-options load_from=…')
        load_checkpoint_file(cfg.load_from)


def _scenes_of(cfg: Config) -> List[str]:
    """The scenes of the data that the config labels, whatever scene it names."""
    everything = Config(cfg.to_dict(), filename=cfg.filename)
    everything.scene = 'all'
    for hook in fill_in(everything).get('custom_hooks') or []:
        if hook.get('type') == 'PseudoLabelHook':
            return list(DATASETS.build(hook['dataset']).scene_names)
    raise ConfigError(f"{cfg.filename}: scene='each' needs a PseudoLabelHook in custom_hooks, whose data set has the scenes")
