"""The motion of a whole video as files: flow, confidence, occlusion, and a video that shows them."""
from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Union

import numpy as np
import torch
from mmengine.config import Config

import mmrefine
from mmrefine.apis.flow_files import (FORMATS, RECORD, VIDEO, Motion, MotionPair, files_of, read_flow_record,
                                      read_motion, write_pair)
from mmrefine.apis.flow_forecast import tell_flow_forecast
from mmrefine.apis.frame_damage import check_out, check_scenes, intact_pairs
from mmrefine.apis.inference import usable_device
from mmrefine.apis.named_models import open_model
from mmrefine.apis.result_files import default_out, digests_of, is_as_written, noted_digests, write_result_record
from mmrefine.apis.verifiers import VERIFIER, checked_max_error
from mmrefine.engine.runtime.progress import Progress
from mmrefine.errors import ConfigError, TeacherError
from mmrefine.fileio.atomic import remove_leftovers, write_errors
from mmrefine.fileio.images import read_image
from mmrefine.fileio.video.frame_check import FrameCheck
from mmrefine.fileio.video.frames import FrameSource, Place
from mmrefine.fileio.video.reader import open_frames
from mmrefine.fileio.video.reading import Reading
from mmrefine.fileio.video.scenes import Roots, find_scenes
from mmrefine.fileio.video.writer import write_video
from mmrefine.labeling import (ArbitratedView, CascadeView, CutGuard, CycleFilter, ExpectedErrorFilter, PairContext,
                               SoftCycleFilter)
from mmrefine.models import FrozenTeacher
from mmrefine.structures import Look, PairBatch, as_frames
from mmrefine.values import is_number
from mmrefine.visualization import motion_view, sequence_scale

# of the default cycle check of labels; no unit, px
ALPHA, BETA = 0.01, 0.5
SAMPLE = 8  # pairs that decide the colour scale
FOLDER_RATE = 10.  # frames a second of a folder of pictures, which has no rate of its own


@dataclass(frozen=True)
class FlowFolder:
    """The motion of one scene on disk.

    Args:
        scene: its name.
        folder: holds ``flow/``, ``confidence/``, ``occlusion/``, ``flow.json`` and, unless left out, ``flow.mp4``;
            with a verifier also ``expected_error/``.
        pairs: their number.
        made: how many of them were computed now; the others existed.
        max_motion: px that have full colour in the video.
        video: the video that shows the motion, or None.
    """
    scene: str
    folder: Path
    pairs: int
    made: int
    max_motion: float
    video: Optional[Path]


def flow_of_video(video: Roots,
                  model: Union[str, Path, Config] = 'raft_small',
                  checkpoint: Optional[Union[str, Path]] = None,
                  out: Optional[Union[str, Path]] = None,
                  format: str = 'png',
                  two_looks: bool = False,
                  iters: Optional[int] = None,
                  draw: bool = True,
                  skip_corrupt: bool = False,
                  device: Optional[str] = None,
                  log: Callable[[str], None] = print,
                  reading: Optional[Mapping[str, Any]] = None,
                  dry_run: bool = False,
                  backward: bool = False,
                  verify: bool = False,
                  max_error: Optional[float] = None) -> List[FlowFolder]:
    """Write the motion of every pair of neighbouring frames; what exists as it was written is not computed again.

    Named by the first frame of the pair: ``flow/<frame>.png`` (KITTI's 16-bit PNG, or another format),
    ``confidence/<frame>.png`` (8 bits: 255 exp(-(e / t)^2), ``e`` the cycle error, ``t = 0.01 (|f| + |b|) + 0.5`` px)
    and ``occlusion/<frame>.png`` (255 where ``e > t`` or the motion leaves the frame, else 0). ``flow.json`` has the
    settings, the time of each frame, the colour scale of the video, which a few pairs spread over it decide before the
    others are computed, and, once all is there, the digests of the files. Frames stream: memory does not grow with the
    video.

    With ``verify`` the motion is what four passes come to, weighed by the verifier of the package; ``confidence/`` is
    then 255 times the chance that its error is below 1 px, and ``expected_error/<frame>.png`` the error that is to be
    expected (16 bits, steps of 1/256 px, at most 255.996 px).

    Args:
        video: a video file, a folder of frames, or a folder of such folders and files; then each scene has a folder
            below ``out``. Or a list of these, also of pictures: two pictures are a scene of one pair.
        model: see :func:`~mmrefine.apis.named_models.open_model`.
        checkpoint: see there.
        out: default: ``work_dirs/<name of the video>_flow``.
        format: of the flow files, one of :data:`FORMATS`; ``npz`` holds ``flow`` ``(H, W, 2)`` float32 px.
        two_looks: two passes, the second at twice the size and starting from the flow of the first, as the teacher of a
            refinement does.
        iters: iterations of RAFT, GMA and CRAFT; default: what the config says for tests.
        draw: write the video.
        skip_corrupt: leave out pairs with corrupt frames, and scenes that cannot be used; else these are an error.
        device: default: the GPU where there is one.
        log: called with a line.
        reading: which frames are read, and how: values of :class:`~mmrefine.fileio.Reading` by name, such as
            ``dict(start='0:10', resize=(240, 424))``.
        dry_run: check the frames, list the scenes, write nothing.
        backward: write also the motion from the second frame of each pair back to the first, named by the second:
            ``backward/<frame>.png``.
        verify: see above; takes the place of ``two_looks``.
        max_error: px; motion, there and back, that is expected to be off by more is unknown in its file, as the format
            says so (``npz``: nan). Implies ``verify``.

    Returns:
        one for each scene; none after a dry run.

    Raises:
        ConfigError: no such model, format or device, a ``max_error`` that is not above 0, ``verify`` with
            ``two_looks``, or an ``out`` that is a file, lies in the folder of the video, or holds flow that was made
            with other settings.
        CheckpointError: weights that are missing, broken, or of another network.
        InputError: a video that cannot be used.
        TeacherError: the network gives nan.
        MMRefineError: the files cannot be written.
    """
    if format not in FORMATS:
        raise ConfigError(f'the format of flow files must be one of {", ".join(FORMATS)}, got {format!r}')
    if format == 'flo5' and find_spec('h5py') is None:
        raise ConfigError('--format flo5 needs h5py, which is not installed; take --format flo, which holds the same '
                          'motion, or run: pip install h5py')
    most = checked_max_error(max_error)
    verify = verify or most is not None
    if verify and two_looks:
        raise ConfigError('--two-passes has no place beside --verify and --max-error, which make four passes; leave it '
                          'out')
    device, what = usable_device(device), Reading.of(reading)
    root = Path(out) if out is not None else Path(f'{default_out(video)}_flow')
    check_out(root, video)
    found = find_scenes(video)
    network = open_model(model, checkpoint, device)
    if iters is not None:
        if iters < 1 or network.test_iters is None:
            raise ConfigError(f'--iters must be at least 1, and only RAFT, GMA and CRAFT iterate; got {iters} for '
                              f'{type(network.estimator).__name__}')
        network.test_iters = iters
    view = ArbitratedView(verifier=VERIFIER) if verify else CascadeView(scales=(1., 2.) if two_looks else (1., ))
    maker = _Maker(FrozenTeacher(network).to(device), view, device, most)
    checks = check_scenes(found, root, skip_corrupt, log, what, dry_run)
    one = len(found.scenes) == 1
    if not any((root if one else root / name).joinpath(RECORD).is_file() for name in checks):
        tell_flow_forecast(found.scenes, checks, what, maker.look, device, dry_run, log, maker.work)
    if dry_run:
        return []
    return [_flow_of_scene(name, found.scenes[name], check, what, root if one else root / name, maker, format, draw,
                           log, backward) for name, check in checks.items()]


class _Maker:
    """Runs the network in both directions and judges the result."""

    def __init__(self, teacher: FrozenTeacher, view: Union[ArbitratedView, CascadeView], device: str,
                 max_error: Optional[float]) -> None:
        self.teacher, self.view, self.device = teacher, view, device
        self.sure, self.comes_back = SoftCycleFilter(ALPHA, BETA), CycleFilter(ALPHA, BETA)
        self.within = None if max_error is None else ExpectedErrorFilter(max_error)
        self.shots = CutGuard()
        self.cuts: List[str] = []  # pairs of frames across which the verifier is not believed
        self.verifier: Dict[str, Any] = {}  # what it adds to the settings
        self.work = ''  # what a pair takes, where it is more than the reader would expect
        if isinstance(view, ArbitratedView):
            self.verifier = dict(verifier=view.describe()['verifier']['digest'], max_error=max_error,
                                 least_correlation=self.shots.least)
            self.work = f', each in {len(view.traits_of(teacher))} passes that a verifier weighs'

    def settings(self) -> Dict[str, Any]:
        """What decides the content of the files, besides the frames."""
        network = self.teacher.refiner
        return dict(mmrefine=mmrefine.__version__, network=type(network.estimator).__name__,
                    weights=self.teacher.digest(),
                    iters=network.test_iters, scales=list(self.view.scales), alpha=ALPHA, beta=BETA, **self.verifier)

    @torch.no_grad()
    def __call__(self, frames: FrameSource, index: int) -> Motion:
        """The motion from a frame to the next one."""
        pair = [as_frames([frames[i]], self.device) for i in (index, index + 1)]
        names = [(str(frames.path), frames.name(i)) for i in (index, index + 1)]
        look = self.look(PairBatch(pair[0], pair[1], names=(names[:1], names[1:])))
        forward, backward = look.flow_fw.float(), look.flow_bw.float()
        if not bool(torch.isfinite(forward).all() and torch.isfinite(backward).all()):
            raise TeacherError(f'{frames.path}: the motion from {names[0][1]} to {names[1][1]} is nan or infinite; '
                               'check that the checkpoint is sound and belongs to the model')
        ctx = PairContext(pair[0], pair[1], forward, backward, error_fw=look.error_fw, error_bw=look.error_bw)
        sure = self.sure(ctx) if look.sure_fw is None else look.sure_fw
        if look.error_fw is not None and not bool(self.shots.passes(ctx).all()):
            # the verifier has learned from pairs of one shot alone, and believes motion across a cut
            self.cuts.append(f'{names[0][1]} to {names[1][1]}')
            endless, sure = torch.full_like(look.error_fw, float('inf')), torch.zeros_like(sure)
            ctx = replace(ctx, error_fw=endless, error_bw=endless)
        if self.within is not None:
            forward, backward = (one.flow_fw.masked_fill(self.within(one) == 0, float('nan'))
                                 for one in (ctx, ctx.reversed()))
        there, again = (flow[0].permute(1, 2, 0).contiguous().cpu().numpy() for flow in (forward, backward))
        return Motion(there, again, sure[0, 0].cpu().numpy(), self.comes_back(ctx)[0, 0].cpu().numpy() == 0,
                      None if ctx.error_fw is None else ctx.error_fw[0, 0].cpu().numpy())

    @torch.no_grad()
    def look(self, pairs: PairBatch) -> Look:
        """The motion there and back, and what the view knows of it."""
        return self.view.look(self.teacher, pairs)


def _flow_of_scene(scene: str, path: Place, check: FrameCheck, reading: Reading, folder: Path, maker: _Maker,
                   format: str, draw: bool, log: Callable[[str], None], backward: bool) -> FlowFolder:
    skip = {frame.name for frame in check.corrupt}
    frames = open_frames(path, sorted(skip), reading)
    pairs = [MotionPair.of(folder, i, frames.name(i), format, frames.name(i + 1) if backward else None,
                           bool(maker.verifier))
             for i in intact_pairs(path, check)]
    settings = dict(maker.settings(), format=format, frames=frames.digest(), skipped=sorted(skip),
                    **(dict(gaps=list(check.gaps)) if check.gaps else {}), **(dict(backward=True) if backward else {}))
    record = read_flow_record(folder, settings)
    if record is None:
        record = dict(settings=settings, video=str(path), scene=scene, size=list(frames.size), pairs=len(pairs),
                      rate=check.rate, reading=reading.values(),
                      times={frames.name(i): time for i, time in enumerate(check.times)}, max_motion=None,
                      complete=False)
        write_result_record(folder / RECORD, record)
    remove_leftovers(folder)
    sample = [pairs[i] for i in sorted({int(i) for i in np.linspace(0, len(pairs) - 1, min(SAMPLE, len(pairs)))})]
    todo = _to_make(scene, pairs, folder, noted_digests(record), log)
    made = len(todo)
    progress = Progress(f'{scene}: flow of {{}} pairs', made, log)
    first = [pair for pair in todo if pair in sample]
    _make(first, frames, maker, progress)
    if not is_number(record.get('max_motion')):
        record['max_motion'] = sequence_scale(read_motion(pair.flow)[::4, ::4] for pair in sample)
        write_result_record(folder / RECORD, record)
    _make([pair for pair in todo if pair not in first], frames, maker, lambda done: progress(len(first) + done))
    if maker.cuts:
        log(f'{scene}: no motion is believed where the two frames have nothing in common, as at a cut or in a black '
            f'frame: {len(maker.cuts)} of {made} pairs, the first is {maker.cuts[0]}')
        maker.cuts.clear()
    out_video = folder / VIDEO if draw else None
    if out_video is not None and (made or not out_video.is_file()):
        _draw(out_video, pairs, frames, record['max_motion'], (check.rate or FOLDER_RATE) / reading.stride, scene, log)
    if made or record.get('complete') is not True:
        write_result_record(folder / RECORD, dict(record, complete=True, digests=digests_of(files_of(pairs), folder)))
    return FlowFolder(scene, folder, len(pairs), made, record['max_motion'], out_video)


def _to_make(scene: str, pairs: Sequence[MotionPair], folder: Path, digests: Mapping[str, Any],
             log: Callable[[str], None]) -> List[MotionPair]:
    """The pairs of which a file is missing, or is not as it was written, which is logged."""
    wrong = {pair: [path for path in files_of([pair]) if not is_as_written(path, folder, digests)] for pair in pairs}
    changed = [path for paths in wrong.values() for path in paths if path.exists()]
    if changed:
        log(f'{scene}: {len(changed)} files are not as they were written, the first is {changed[0]}; their pairs are '
            'made again')
    return [pair for pair, paths in wrong.items() if paths]


def _make(pairs: Iterable[MotionPair], frames: FrameSource, maker: _Maker, step: Callable[[int], None]) -> None:
    """The files of these pairs."""
    for done, pair in enumerate(pairs, start=1):
        motion = maker(frames, pair.index)
        with write_errors(pair.flow):
            write_pair(pair, motion)
        step(done)


def _draw(path: Path, pairs: Sequence[MotionPair], frames: FrameSource, max_motion: float, rate: float, scene: str,
          log: Callable[[str], None]) -> None:
    """Write the video from the files, so that it is the same whether the flow was computed in one run or in several."""
    progress = Progress(f'{scene}: drawing {{}} pairs', len(pairs), log)
    with write_video(path, rate) as add:
        for done, pair in enumerate(pairs, start=1):
            sure = read_image(pair.confidence)[..., 0] / 255
            title = f'{scene} {frames.name(pair.index)}'
            add(motion_view(frames[pair.index], read_motion(pair.flow), sure, max_motion, title))
            progress(done)
