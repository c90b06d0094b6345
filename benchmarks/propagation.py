"""How far do the first mask and the first joints get: copied, by random features, by given features, and by flow?

DAVIS, and rendered clips as ``tools/render.py`` writes them: J and F of the mask of the first frame, propagated to the
end (docs/metrics.md), percent; means over objects. JHMDB: PCK of the joints of the first frame, of 0.6 times the
diagonal of the box around them; mean over the joints. Frames of DAVIS are shown at each of the ``--heights``, px, in
their aspect; masks are scored at their own size, to which soft labels are brought before the id with the most is taken.
The others are shown as they are. Features look into the frame before, as in the paper, unless ``--memory`` and
``--top-k`` say otherwise.

Each video, method and height is a row in the work dir, by the weights, settings and frames that decide over it; it is
not computed again, so this may be stopped and started again, and videos may run side by side in processes of their own.

    python benchmarks/propagation.py --davis DAVIS --checkpoint before=corrflow.pth after=refined.pth
    python benchmarks/propagation.py --davis DAVIS --jhmdb JHMDB --heights 240 480 --flow raft_small --out scores.json
    python benchmarks/propagation.py --rendered work_dirs/corrflow/rendered/unseen --checkpoint after=refined.pth
"""
from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmrefine.apis import init_model, open_model
from mmrefine.apis.commands import run_command
from mmrefine.datasets import DavisClips, JhmdbClips
from mmrefine.errors import CheckpointError, ConfigError, InputError
from mmrefine.evaluation import KeypointMetric, KeypointTally, MaskTally
from mmrefine.evaluation.masks.scores import tally_masks
from mmrefine.fileio import digest_of, digest_of_state, read_ids, read_image, write_json
from mmrefine.fileio.atomic import write_errors
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.fileio.video.frames import list_folder, list_images
from mmrefine.geometry import ids_of, one_hot
from mmrefine.models import FeaturePropagator, FlowPropagator
from mmrefine.models.trackers.ways import queries_of
from mmrefine.structures import ClipSample
from mmrefine.structures.propagation import Propagator
from mmrefine.values import as_count

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'corrflow' / 'resnet18_video.py'
COPIED, RANDOM, FLOW = 'copied', 'random', 'flow'
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)
MASKS, JOINTS = ('J&F', 'J_mean', 'F_mean'), ('PCK@0.1_joints', 'PCK@0.2_joints')
SHOWN = dict(davis=MASKS, rendered=MASKS, jhmdb=JOINTS)


class Method(NamedTuple):
    """A way to propagate, and what it is called in the tables."""
    name: str
    propagator: Optional[Propagator]  # None: what is first stays in its place
    decides: List[Any]  # over its results, beside the frames; JSON-able


class Video(NamedTuple):
    """A video of a data set, at the height in which it is shown."""
    kind: str
    name: str
    height: int
    frames: Tensor  # (T, 3, h, w) uint8 RGB
    sample: ClipSample  # truth at its own size


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Propagate, score, print the tables."""
    args = _parser().parse_args(argv)
    if args.davis is None and args.jhmdb is None and args.rendered is None:
        raise ConfigError('there is nothing to propagate along; name videos with --davis, --jhmdb or --rendered')
    if args.out is not None:
        with write_errors(args.out):  # found out before all is computed
            args.out.parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=args.out.parent).close()
    methods = list(_methods(args))
    rows = [row_of(args.work_dir, video, method) for video in videos_of(args) for method in methods]
    print_tables(rows)
    if args.out is not None:
        with write_errors(args.out):
            write_json(args.out, rows)
    return 0


def add_videos(parser: argparse.ArgumentParser) -> None:
    """The arguments that :func:`videos_of` reads."""
    parser.add_argument('--davis', type=Path, help='folder with JPEGImages/480p and Annotations/480p')
    parser.add_argument('--jhmdb', type=Path, help='folder with Rename_Images, joint_positions and splits; needs SciPy')
    parser.add_argument('--rendered', type=Path, help='folder with frames and masks, as tools/render.py writes it')
    parser.add_argument('--split', type=int, help='of JHMDB; default: all videos that there are')
    parser.add_argument('--heights', type=int, nargs='+', default=[240], help='of the frames of DAVIS, px')
    parser.add_argument('--sequences', nargs='+', help='only these videos; default: all')
    parser.add_argument('--frames', type=int, help='only the first so many frames, at least 3, to try it out')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_videos(parser)
    parser.add_argument('--checkpoint', nargs='+', type=_named, default=[], metavar='NAME=FILE',
                        help='features to compare, such as before=corrflow.pth after=refined.pth')
    parser.add_argument('--flow', default='raft_small', help='network that gives the flow, by name or config; '
                                                             '"none": leave it out')
    parser.add_argument('--flow-checkpoint', metavar='FILE', help='its weights; default: those of its config')
    parser.add_argument('--memory', type=int, default=0, help='of features: frames before, beside the first one')
    parser.add_argument('--top-k', type=int, help='of features: candidates that count; default: all')
    parser.add_argument('--hard', action='store_true',
                        help='of features: decide at every frame, as the reference code of CorrFlow does')
    parser.add_argument('--seed', type=int, default=0, help='of the random features')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/propagation'))
    parser.add_argument('--out', type=Path, metavar='JSON', help='file for all rows')
    return parser


def _methods(args: argparse.Namespace) -> Iterator[Method]:
    names = [name for name, _ in args.checkpoint]
    if len(set(names)) < len(names):
        raise ConfigError(f'--checkpoint must give each file a name of its own, got {", ".join(names)}; files of one '
                          'name would share a line of the table')
    yield Method(COPIED, None, [])
    torch.manual_seed(args.seed)
    # as before the first step of a training
    yield by_features(RANDOM, init_model(CONFIG), args.memory, args.top_k, args.hard)
    for name, file in args.checkpoint:
        yield by_features(name, init_model(CONFIG, file), args.memory, args.top_k, args.hard)
    if args.flow != 'none':
        network = open_model(args.flow, args.flow_checkpoint)
        yield Method(FLOW, FlowPropagator(network),
                     [digest_of_state(network.estimator.state_dict()), network.test_iters])


def by_features(name: str, learner: Any, memory: int = 0, top_k: Optional[int] = None, hard: bool = False) -> Method:
    """Propagation by the features of a ``CorrespondenceLearner``, in the window that it has."""
    decides = [digest_of_state(learner.estimator.state_dict()), learner.radius, memory, top_k, *['hard'] * hard]
    way = dict(hard=True, shrink='bilinear') if hard else {}
    return Method(name, FeaturePropagator(learner, learner.radius, memory, top_k, **way), decides)


def videos_of(args: argparse.Namespace) -> Iterator[Video]:
    """The videos that the command line names, those of DAVIS at each height.

    Raises:
        ConfigError: a number out of range, or no such video.
    """
    for height in args.heights:
        as_count('--heights', height, 8)
    if args.frames is not None:
        as_count('--frames', args.frames, 3)
    videos = _chosen(args)
    first = next(videos, None)
    if first is None:
        raise ConfigError(f'there is no video {" or ".join(args.sequences or ["at all"])}; correct --sequences or the '
                          'folder')
    yield first
    yield from videos


def _chosen(args: argparse.Namespace) -> Iterator[Video]:
    chosen = args.sequences or 'all'
    if args.davis is not None:
        for item in DavisClips(args.davis, chosen):
            frames, sample = item['inputs'][:args.frames], item['data_samples']
            sample.masks = sample.masks[:args.frames]
            for height in args.heights:
                yield Video('davis', sample.scene, height, shown_at(frames, height), sample)
    if args.rendered is not None:
        for folder in list_folder(args.rendered / 'frames'):
            if chosen == 'all' or folder.name in chosen:
                yield rendered_video(args.rendered, folder.name, args.frames)
    if args.jhmdb is not None:
        for item in JhmdbClips(args.jhmdb, args.split):
            frames, sample = item['inputs'][:args.frames], item['data_samples']
            sample.points, sample.visible = sample.points[:args.frames], sample.visible[:args.frames]
            if chosen == 'all' or sample.scene in chosen:
                yield Video('jhmdb', sample.scene, frames.shape[-2], frames, sample)


def rendered_video(root: Path, scene: str, count: Optional[int]) -> Video:
    """A rendered scene at its own size."""
    pictures, drawn = (list_images(root / kind / scene)[:count] for kind in ('frames', 'masks'))
    if len(pictures) != len(drawn):
        raise InputError(f'{root}: {scene} has {len(pictures)} frames and {len(drawn)} masks; render it again')
    frames = torch.from_numpy(np.stack([read_image(path) for path in pictures])).permute(0, 3, 1, 2)
    sample = ClipSample(metainfo=dict(scene=scene))
    sample.masks = torch.from_numpy(np.stack([read_ids(path) for path in drawn]))
    return Video('rendered', scene, frames.shape[-2], frames, sample)


def shown_at(frames: Tensor, height: int) -> Tensor:
    """Frames ``(T, 3, H, W)`` uint8 brought to a height by area, in their aspect."""
    if frames.shape[-2] == height:
        return frames
    width = round(frames.shape[-1] * height / frames.shape[-2])
    return torch.cat([F.interpolate(frame[None].float(), (height, width), mode='area').round().byte()
                      for frame in frames])


def row_of(work_dir: Path, video: Video, method: Method) -> Dict[str, Any]:
    """The scores of a method on a video, from the work dir if they are there."""
    truth = {key: value.numpy().tobytes() for key, value in video.sample.items() if isinstance(value, Tensor)}
    decides = [video.kind, list(video.frames.shape), digest_of_bytes(video.frames.numpy().tobytes()),
               {key: digest_of_bytes(value) for key, value in sorted(truth.items())}, method.decides,
               method.propagator is None]
    path = work_dir / video.kind / video.name / f'{video.height}_{digest_of(decides)}.json'
    if not path.is_file():
        started = time.monotonic()
        tally = (score_joints if video.kind == 'jhmdb' else score_masks)(video, method.propagator)
        write_json(path, dict(kind=video.kind, video=video.name, height=video.height, frames=len(video.frames),
                              tally=asdict(tally), scores=tally.scores(), seconds=round(time.monotonic() - started, 1)))
    found: Dict[str, Any] = dict(json.loads(path.read_text(encoding='utf-8')), method=method.name)
    scores = ', '.join(f'{name} {100 * found["scores"][name]:.1f}' for name in SHOWN[video.kind])
    print(f'{video.kind}, {video.name}, {video.height}p, {method.name}: {scores}', flush=True)
    return found


def _frame_of(frames: Tensor) -> Callable[[int], Tensor]:
    return lambda number: frames[number].float() / 255


def score_masks(video: Video, propagator: Optional[Propagator]) -> Any:
    """The tally of masks that were propagated at the height of the video, scored at their own size."""
    truth = video.sample.masks
    first = one_hot(truth[0])
    found = ids_of(first).repeat(len(truth), 1, 1)
    if propagator is not None:
        size = (int(video.frames.shape[-2]), int(video.frames.shape[-1]))
        given = F.interpolate(first[None], size, mode='area')[0]
        for number, labels in propagator.propagate(_frame_of(video.frames), len(truth), {0: given}):
            if number:
                found[number] = ids_of(F.interpolate(labels[None], tuple(truth.shape[1:]), mode='bilinear')[0])
    return tally_masks(found.numpy(), truth.numpy())


def score_joints(video: Video, propagator: Optional[Propagator]) -> Any:
    """The tally of joints, those of the first frame being given."""
    points = video.sample.points
    found = points[:1].repeat(len(points), 1, 1)
    if propagator is not None:
        size = (int(video.frames.shape[-2]), int(video.frames.shape[-1]))
        tracks = propagator.follow(_frame_of(video.frames), len(points), size, queries_of(points[0].float(), size))
        found[1:] = tracks.points.transpose(0, 1)[1:].to(points)
    fields = dict(points=points, visible=video.sample.visible, pred_points=found)
    return KeypointMetric('joints', SHARES).tally(fields)


def print_tables(rows: Sequence[Dict[str, Any]]) -> None:
    """A line for each data set, height and method: means over all objects or joints, percent."""
    for kind in dict.fromkeys(row['kind'] for row in rows):
        print(f'\n| {kind} | method | videos | {" | ".join(SHOWN[kind])} |')
        print('|---' * (3 + len(SHOWN[kind])) + '|')
        for height, method in dict.fromkeys((row['height'], row['method']) for row in rows if row['kind'] == kind):
            own = [row for row in rows if (row['kind'], row['height'], row['method']) == (kind, height, method)]
            pooled = pooled_scores(kind, [row['tally'] for row in own])
            means = ' | '.join(f'{100 * pooled[name]:.1f}' for name in SHOWN[kind])
            print(f'| {height}p | {method} | {len(own)} | {means} |')


def pooled_scores(kind: str, tallies: Sequence[Dict[str, Any]]) -> Dict[str, float]:
    """The scores of several videos together, as the data set pools them."""
    total: Any = KeypointTally() if kind == 'jhmdb' else MaskTally()
    for parts in tallies:
        if kind != 'jhmdb':
            total += MaskTally(**parts)
        else:  # JSON has lists
            total += KeypointTally(tuple(parts['shares']), tuple(parts['seen']), tuple(map(tuple, parts['right'])),
                                   parts['name'])
    found: Dict[str, float] = total.scores()
    return found


def _named(text: str) -> Tuple[str, str]:
    name, _, path = text.partition('=')
    if not path or name in (COPIED, RANDOM, FLOW, ''):
        raise argparse.ArgumentTypeError(f'{text} must be NAME=FILE, with a name of its own, such as after=refined.pth')
    if not Path(path).is_file():
        raise CheckpointError(f'{path}: there is no such checkpoint; name another with --checkpoint {name}=FILE')
    return name, path


if __name__ == '__main__':
    run_command(main)
