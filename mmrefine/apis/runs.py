"""Run a config: for one model, or for one model of each scene with a table at the end."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.runner import Runner

from mmrefine.apis.brief_runner import BriefRunner, ResumingRunner
from mmrefine.apis.browse import browse_labels
from mmrefine.apis.followed_points import FollowedPoints
from mmrefine.apis.labelled import RENDERED, render_labelled, rendering_seconds
from mmrefine.apis.precision import amp_values
from mmrefine.apis.ready_config import ready_config
from mmrefine.apis.recipes import load_with_recipe
from mmrefine.apis.rounds import round_values
from mmrefine.apis.run_forecast import tell_forecast
from mmrefine.apis.run_threads import run_threads
from mmrefine.apis.teachers import Named, teacher_values
from mmrefine.apis.verifiers import verify_values
from mmrefine.apis.video_run import check_refined, mark_finished, prepare_run
from mmrefine.config.load import building, complete, hooks_of, name_of
from mmrefine.engine import PseudoLabelHook, join_processes
from mmrefine.engine.guard.candidates import proves_nothing
from mmrefine.engine.runtime.processes import model_of
from mmrefine.errors import ConfigError
from mmrefine.fileio.video.scenes import Roots, find_scenes
from mmrefine.registry import DATASETS, HOOKS
from mmrefine.report import format_table, read_report, summary_table


def refine(video: Roots,
           config: Union[str, Path, Config] = 'raft_small',
           work_dir: Optional[Union[str, Path]] = None,
           checkpoint: Optional[Union[str, Path]] = None,
           resume: bool = False,
           skip_corrupt: bool = False,
           amp: str = 'auto',
           reading: Optional[Mapping[str, Any]] = None,
           dry_run: bool = False,
           rounds: Optional[int] = None,
           labelled: Optional[Union[str, Path]] = None,
           points: Optional[Union[str, Path]] = None,
           teacher: Named = None,
           teacher_checkpoint: Named = None,
           labels: Optional[Union[str, Path]] = None,
           recipe: Optional[str] = None,
           verify: bool = False,
           max_error: Optional[float] = None,
           **overrides: Any) -> Dict[str, Any]:
    """Refine a network on a video: make labels, finetune, compare before with after.

    Args:
        video: a video file, a folder of frames, a folder of such folders and files, or a list of these.
        config: a short name (:data:`~mmrefine.compat.model_names.NAMED_MODELS`), or a config with a top-level key
            ``video``, such as ``configs/refine/raft_small_video.py``.
        work_dir: where labels, ``refined.pth`` and the report go; default: ``work_dirs/<name of the video>``.
        checkpoint: the weights to start from, an official RAFT file too; default: ``load_from`` of the config.
        resume: go on with the run in ``work_dir``, which must have the same settings; a finished one is not repeated.
        skip_corrupt: leave out corrupt frames, which are listed in ``<work_dir>/corrupt_frames.json``, and scenes that
            cannot be used, listed in ``left_out.json``; both are logged. Default: an error.
        amp: train in bfloat16 where a short measurement finds that faster (``'auto'``), wherever the hardware knows it
            (``'on'``), or never (``'off'``); ``'auto'`` leaves alone what config or overrides choose.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name, such as
            ``dict(start='0:10', resize=(240, 424))``.
        dry_run: check all frames, list the scenes and what is left out, write nothing; the report is then empty.
        rounds: how many times to label and train; each round but the first is labelled by the student of the one
            before, they share the steps, and the guard ends them after the first that brings no better student.
            Default: the config's, which is 1.
        labelled: also learn from the frame pairs with ground truth of this folder, whose layout is recognised
            (:class:`~mmrefine.datasets.LabelledPairs`), or from clips that are rendered into ``work_dir``
            (``'rendered'``): half of the pairs at first, a tenth at the end, or as a config that mixes already has it.
            Default: what the config says.
        points: the file of what a tracker is to follow, see :class:`~mmrefine.apis.followed_points.FollowedPoints`.
        teacher: another network that labels the video, by short name or config, or a folder of flow files
            (:class:`~mmrefine.models.StoredMotion`), or a list of these, in which ``'self'`` is the network itself; the
            passes of all are weighed. Default: the network itself.
        teacher_checkpoint: its weights, or a list for the networks among the teachers; default: ``load_from`` of their
            configs, or published weights.
        labels: folder of labels of this video that were made before (:func:`label_video`), by whatever network: several
            networks can learn from them. Default: they are made.
        recipe: what is learned from, :func:`~mmrefine.apis.recipes.with_recipe`; without labels there are no
            ``rounds``. Default: ``'labels+warp'`` for a short name of a flow network, else what the config says.
        verify: labels are what four passes come to, weighed by the verifier of the package.
        max_error: px; the same, and motion that is expected to be off by more gets no label.
        overrides: other values of the config; dotted keys as ``**{'optim_wrapper.optimizer.lr': 5e-5}``.

    Returns:
        the report (see :mod:`mmrefine.report.record`); with ``scene='each'`` that of the first scene, and all of them
        under ``scenes``.

    Raises:
        MMRefineError: what is wrong with the video, the config or the checkpoint, in one sentence.
    """
    named = load_with_recipe(config, recipe, labelled)
    overrides = {**amp_values(amp, named, overrides), **round_values(rounds, named),
                 **teacher_values(named, teacher, teacher_checkpoint, labels, rounds),
                 **verify_values(named, verify, max_error, teacher, labels, overrides), **overrides}
    followed = FollowedPoints(points) if points is not None else None
    cfg, finished = prepare_run(video, named, work_dir, checkpoint, overrides, skip_corrupt, resume, reading=reading,
                                dry_run=dry_run, labelled=labelled, points=followed)
    if finished:
        check_refined(cfg.work_dir)
    else:
        tell_forecast(cfg, dry_run=dry_run, before=rendering_seconds if labelled == RENDERED else None)
    if followed is not None and not finished:
        cfg = followed.follow(cfg, dry_run)
    if dry_run:
        _tell_guard(cfg)
        return {}
    if labelled == RENDERED and not finished:
        render_labelled(cfg)
    finished_report = read_report(cfg.work_dir) if finished else None
    if finished_report:
        reason = (finished_report.get('guard') or {}).get('reason')
        print(f'{cfg.work_dir}: this run is finished '
              'already\n' + (f'guard: {reason}\n' if reason else '') + format_table(finished_report))
    reports = [finished_report] if finished_report else train(cfg, brief=True)
    if not reports:
        raise ConfigError(f'{name_of(cfg)}: makes no report; give it a ReportHook in custom_hooks, or use train()')
    mark_finished(cfg.work_dir)
    return dict(reports[0], scenes=reports) if cfg.get('scene') == 'each' else reports[0]


def _tell_guard(cfg: Config) -> None:
    """Say whether the guard can prove nothing, which a run says as it begins."""
    cfg = complete(cfg)
    with building(cfg):
        for hook in (HOOKS.build(config) for config in hooks_of(cfg, 'RegressionGuardHook')):
            if not hook.off:
                held = DATASETS.build(dict(hook.config, pipeline=[]))
                too_few = proves_nothing(len(held), hook.witnesses.sample_name)
                if too_few:
                    print(f'Guard: {too_few}')


def label_video(video: Roots,
                config: Union[str, Path, Config] = 'raft_small',
                work_dir: Optional[Union[str, Path]] = None,
                checkpoint: Optional[Union[str, Path]] = None,
                skip_corrupt: bool = False,
                sheets: int = 0,
                reading: Optional[Mapping[str, Any]] = None,
                dry_run: bool = False,
                teacher: Named = None,
                teacher_checkpoint: Named = None,
                verify: bool = False,
                max_error: Optional[float] = None,
                **overrides: Any) -> List[Path]:
    """Only stage 1 of :func:`refine`; existing labels are kept. ``refine(…, resume=True)`` with the same arguments goes
    on from there.

    Args:
        sheets: labels on a contact sheet of each scene, ``<work_dir>/label_sheets/<scene>.png``; 0: no sheets.
        video, config, work_dir, checkpoint, skip_corrupt, reading, dry_run, teacher, teacher_checkpoint, verify,
            max_error, overrides: see :func:`refine`.

    Returns:
        the folders of the label stores.

    Raises:
        MMRefineError: what is wrong with the video, the config or the checkpoint, in one sentence.
    """
    if sheets < 0:  # before the labels, which take long
        raise ConfigError(f'sheets must be 0 or more labels of each scene, got {sheets}')
    named = load_with_recipe(config)  # a refinement may go on in the same folder
    overrides = {**teacher_values(named, teacher, teacher_checkpoint),
                 **verify_values(named, verify, max_error, teacher, given=overrides), **overrides}
    cfg, _ = prepare_run(video, named, work_dir, checkpoint, overrides, skip_corrupt, resume=True, reading=reading,
                         dry_run=dry_run)
    tell_forecast(cfg, labels_only=True, dry_run=dry_run)
    if dry_run:
        return []
    # the teacher is the original network, even if a student is half trained; the store resumes by itself
    cfg.resume = False
    stores = make_labels(cfg, brief=True)
    if sheets:
        browse_labels(cfg, pairs=sheets)
    return stores


def train(cfg: Config, brief: bool = False) -> List[Dict[str, Any]]:
    """Run both stages of a config.

    ``scene='each'`` runs once for every scene of the data, in ``<work_dir>/<scene>``, and prints a table at the end; a
    scene that has its report already is not run again when the run is resumed.

    Args:
        cfg: with a ``work_dir``.
        brief: print neither the whole config nor the environment nor the list of hooks; the log file has them.

    Returns:
        the reports (see :mod:`mmrefine.report.record`), one for each run; empty if the config makes none.

    Raises:
        CheckpointError: the refined weights of a scene that is finished are damaged.
        ConfigError: unknown keys or invalid values, all of them at once, before anything heavy is built.
    """
    reports = []
    for one in _runs_of(cfg):
        finished = read_report(one.work_dir) if cfg.get('scene') == 'each' and cfg.get('resume') else None
        if finished:
            check_refined(one.work_dir)
        report = finished or _train_one(one, brief, bool(cfg.get('resume')))
        if report:
            reports.append(report)
    if cfg.get('scene') == 'each' and reports and is_main_process():
        print(summary_table(reports))
    return reports


def make_labels(cfg: Config, part: Tuple[int, int] = (1, 1), brief: bool = False) -> List[Path]:
    """Run stage 1 only, into the label store that :func:`train` uses.

    Args:
        part: (k, n): make only the k-th of n parts of the labels, as one of n machines, each with its own work dir;
            ``merge`` of ``tools/label_store.py`` makes one store of theirs.
        brief: see :func:`train`.

    Returns:
        the folders of the stores, one for each run.

    Raises:
        ConfigError: the config labels nothing.
    """
    stores = []
    for one in _runs_of(cfg):
        runner = _build(one, brief)
        _tell_left_out(one, runner, brief)
        hooks = [hook for hook in runner.hooks if isinstance(hook, PseudoLabelHook)]
        if not hooks:
            raise ConfigError(f'{name_of(cfg)}: there is no PseudoLabelHook in custom_hooks, so it labels nothing')
        with run_threads(runner, go_on=True):
            runner.load_or_resume()
            for hook in hooks:
                root = hook.store_root(runner.work_dir, 0)
                hook.teachers.start(model_of(runner))
                hook.label(runner, root, part)
                stores.append(root)
    return stores


def _runs_of(cfg: Config) -> Iterator[Config]:
    """The runs that a config asks for, filled in and checked."""
    if not cfg.get('work_dir'):
        raise ConfigError(f'{name_of(cfg)}: there is no work_dir; pass --work-dir')
    if cfg.get('scene') != 'each':
        yield ready_config(cfg)
        return
    for scene in _scenes_of(cfg):
        one = Config(cfg.to_dict(), filename=cfg.filename)
        one.scene, one.work_dir = scene, str(Path(cfg.work_dir) / scene)
        yield ready_config(one)


def _scenes_of(cfg: Config) -> List[str]:
    """The scenes of the data that a config with ``scene='each'`` labels, or else trains on."""
    filled = complete(cfg)
    data = [hook['dataset'] for hook in hooks_of(filled, 'PseudoLabelHook')] or [filled.train_dataloader.dataset]
    scenes = getattr(DATASETS.build(data[0]), 'scene_names', None)
    if scenes is None:
        raise ConfigError(f"{name_of(cfg)}: scene='each' needs scenes, {data[0]['type']} has none; set scene='all'")
    return list(scenes)


def _train_one(cfg: Config, brief: bool, go_on: bool) -> Optional[Dict[str, Any]]:
    runner = _build(cfg, brief)
    _tell_left_out(cfg, runner, brief)
    with building(cfg):
        runner.train_loop  # builds data set and sampler without opening the data
        _build_optimizer(runner)
    with run_threads(runner, go_on):
        runner.train()
    barrier()  # the first process writes the report
    return read_report(runner.work_dir)


def _tell_left_out(cfg: Config, runner: Runner, brief: bool) -> None:
    """Log which files beside the frames and videos to label are not used; who runs on a video has read it already."""
    for hook in [] if brief else hooks_of(cfg, 'PseudoLabelHook'):
        if hook['dataset'].get('type') in ('FrameClips', 'FramePairs'):
            for line in find_scenes(hook['dataset']['data_root']).summary():
                runner.logger.info(line)


def _build_optimizer(runner: Runner) -> None:
    """Build what the runner would build itself a moment later, in the same order, so that mistakes are found now."""
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    # the runner scales the learning rate in between, and would do so twice
    if runner.param_schedulers is not None and not (runner.auto_scale_lr or {}).get('enable'):
        runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)


def _build(cfg: Config, brief: bool = False) -> Runner:
    """The runner; values that its parts refuse are mistakes in the config."""
    join_processes(cfg.get('launcher', 'none'))
    with building(cfg):
        return (BriefRunner if brief else ResumingRunner).from_cfg(cfg)
