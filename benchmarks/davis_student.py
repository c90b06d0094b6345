"""How much of what its teacher sees more a refined student learns to see in one pass, on real video: DAVIS sequences, one at a time.

The official RAFT-small is refined on a sequence, without its masks and joints. Judged is what the flow carries along from frame to frame:
the mask of the first frame (J and F as DAVIS-2016 has them, first and last frame not scored) and, where BADJA clicked some, the joints
of the first clicked frame (PCK: at most 0.2 times the root of the mask's area off, joints seen in both frames). Beside one another stand
the first frame's truth left in place, the plain teacher (1x), the view its labels come from (1x then 2x, several times the price), the
student, and a student of labels that its teacher made at 1x. ``closed`` is (student - 1x) / (2x - 1x), where 2x is better at all.

Results lie one by one in the work dir and are not repeated, so it may be stopped and started again, and sequences may run side by side in
processes of their own.

    python benchmarks/davis_student.py --davis DAVIS --badja BADJA --sequences dog horsejump-high
"""
from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np
import torch
from mmengine.config import Config, DictAction
from torch import Tensor

import mmrefine  # noqa: F401  (stands in for mmcv.ops where it is not compiled)
from mmrefine.apis import init_model, refine
from mmrefine.apis.commands import run_command
from mmrefine.apis.config import load_config
from mmrefine.errors import CheckpointError, InputError
from mmrefine.evaluation import (boundary_f, carry_mask, carry_points, jaccard, pck, pck_threshold,
                                 summarise)
from mmrefine.fileio import Joints, digest_of, read_badja, read_image, write_image, write_json
from mmrefine.fileio.digest import digest_of_bytes, digest_of_files
from mmrefine.registry import TEACHER_VIEWS

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'refine' / 'raft_small_video.py'
IN_PLACE, PLAIN, LOOK, STUDENT, RIVAL = NETWORKS = ('in place', '1x', '1x then 2x', 'student', 'student of 1x labels')
MEASURES = ('J', 'F', 'PCK')
LEAST_GAIN = 0.005  # of the second look; a share of less than that is noise
Flow = Callable[[Tensor, Tensor], Tensor]


class Clip(NamedTuple):
    """A sequence: frames at the working size, and the truth at its own size by the number of the frame."""
    name: str
    frames: List[np.ndarray]  # (h, w, 3) uint8 RGB
    masks: List[np.ndarray]  # (H, W) bool
    joints: Dict[int, Joints]  # px of (H, W)
    digest: str  # of the files, not of the working size


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Refine, carry, print the table."""
    args = _parser().parse_args(argv)
    if not Path(args.checkpoint).is_file():
        raise CheckpointError(f'{args.checkpoint}: there is no such checkpoint; make it from the official RAFT-small with '
                              'tools/convert_checkpoint.py, or name it with --checkpoint')
    options: Dict[str, Any] = dict(max_iters=args.steps, crop_size=(192, 320), num_workers=0, held_out=0., load_from=args.checkpoint)
    options.update({'model.train_iters': min(8, args.iters), 'model.test_iters': args.iters, **args.cfg_options})
    cfgs = {network: load_config(CONFIG, options) for network in NETWORKS}
    cfgs[RIVAL] = load_config(CONFIG, {**options, 'labeler.view.scales': (1., )})
    results: Dict[str, Dict[str, Dict[str, Any]]] = {}
    for name in args.sequences or _sequences(args.davis):
        clip = _read_clip(args, name)
        results[name] = {network: _result(args, clip, network, cfgs[network]) for network in NETWORKS}
    _print(results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--davis', type=Path, default=Path('data/davis'), help='folder with JPEGImages/480p and Annotations/480p')
    parser.add_argument('--badja', type=Path, help='folder with <sequence>.json; without it, and for other sequences, there is no PCK')
    parser.add_argument('--checkpoint', default=str(ROOT / 'checkpoints' / 'raft-small-mmrefine.pth'),
                        help='official RAFT-small, converted (tools/convert_checkpoint.py)')
    parser.add_argument('--sequences', nargs='+', help='default: all there are')
    parser.add_argument('--steps', type=int, default=200, help='of refinement, 4 crops each')
    parser.add_argument('--height', type=int, default=240, help='working size, px')
    parser.add_argument('--width', type=int, default=432, help='working size, px')
    parser.add_argument('--iters', type=int, default=12, help='iterations of the network; at most 8 in training')
    parser.add_argument('--frames', type=int, help='only the first so many frames, at least 3, to try it out')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/davis_student'))
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='of configs/refine/raft_small_video.py')
    return parser


def _sequences(davis: Path) -> List[str]:
    folder = davis / 'JPEGImages' / '480p'
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise InputError(f'{folder}: there are no sequences; give the folder of DAVIS that holds JPEGImages and Annotations with --davis')
    return names


def _read_clip(args: argparse.Namespace, name: str) -> Clip:
    """The frames resized by area, the masks and joints as they are."""
    parts = {part: args.davis / part / '480p' / name for part in ('JPEGImages', 'Annotations')}
    frames, masks = (sorted(parts[part].glob(f'*{suffix}'))[:args.frames] for part, suffix in zip(parts, ('.jpg', '.png')))
    if len(frames) < 3 or [path.stem for path in frames] != [path.stem for path in masks]:
        raise InputError(f'{parts["JPEGImages"]}: needs 3 or more frames (.jpg), each with a mask (.png) in {parts["Annotations"]}, found '
                         f'{len(frames)} and {len(masks)}; give the folder of DAVIS with --davis, a sequence with --sequences')
    if args.badja is not None and not args.badja.is_dir():
        raise InputError(f'{args.badja}: there is no such folder of joints; correct --badja, or leave it out for a table without PCK')
    files = [(str(path.relative_to(args.davis)), path) for path in frames + masks]
    truth = [read_image(path)[..., 0] > 127 for path in masks]
    joints: Dict[int, Joints] = {}
    clicked = None if args.badja is None else args.badja / f'{name}.json'
    if clicked is not None and clicked.is_file():
        files.append((clicked.name, clicked))
        found = read_badja(clicked, truth[0].shape)
        joints = {t: found[path.stem] for t, path in enumerate(frames) if path.stem in found}
    size = (args.width, args.height)
    shrunk = [cv2.resize(read_image(path), size, interpolation=cv2.INTER_AREA) for path in frames]
    return Clip(name, shrunk, truth, joints, digest_of_files(files))


def _result(args: argparse.Namespace, clip: Clip, network: str, cfg: Config) -> Dict[str, Any]:
    """The scores of a network on a sequence, from the work dir if they are there."""
    name = f'{network.replace(" ", "_")}_{_key(clip, network, cfg)}'
    path = args.work_dir / clip.name / f'{name}.json'
    if not path.is_file():
        row: Dict[str, Any] = dict(sequence=clip.name, network=network)
        started = time.monotonic()
        flow = _flow(clip, network, cfg, path.parent / name)
        row['seconds_before'] = round(time.monotonic() - started, 1)
        started = time.monotonic()
        row.update(_scores(clip, flow))
        row['seconds'] = round(time.monotonic() - started, 1)
        write_json(path, row)
    found: Dict[str, Any] = json.loads(path.read_text(encoding='utf-8'))
    print(f'{clip.name}, {network}:', *(f'{measure} {_percent(found[measure]).strip()}' for measure in MEASURES), flush=True)
    return found


def _key(clip: Clip, network: str, cfg: Config) -> str:
    """By everything that decides over a result, so one of other settings, weights or frames is not taken for this one."""
    decides: List[Any] = [network, clip.frames[0].shape, clip.digest]
    if network != IN_PLACE:
        decides += [digest_of_bytes(Path(cfg.load_from).read_bytes()), cfg.model.to_dict()]
    if network == LOOK:
        decides.append(cfg.labeler.view.to_dict())
    if network in (STUDENT, RIVAL):
        decides.append({key: value for key, value in cfg.to_dict().items() if key != 'load_from'})
    return digest_of(decides)


def _flow(clip: Clip, network: str, cfg: Config, work_dir: Path) -> Flow:
    """What says where each pixel of the first frames went in the second ones; a student is refined first, in ``work_dir``."""
    if network == IN_PLACE:
        return lambda frames1, frames2: torch.zeros_like(frames1[:, :2])
    weights = Path(cfg.load_from)
    if network in (STUDENT, RIVAL):
        video = work_dir / 'frames' / clip.name
        for t, frame in enumerate(clip.frames):
            write_image(video / f'{t:05d}.png', frame)
        refine(video, cfg, work_dir, resume=True)  # of a run that was stopped
        weights = work_dir / 'refined.pth'
    model = init_model(CONFIG, weights)
    model.test_iters = cfg.model.test_iters
    if network == LOOK:
        view = TEACHER_VIEWS.build(cfg.labeler.view)
        return lambda frames1, frames2: view(model, frames1, frames2)
    return lambda frames1, frames2: model.estimate(frames1, frames2)[-1]


@torch.no_grad()
def _scores(clip: Clip, flow_of: Flow) -> Dict[str, Optional[float]]:
    """J, F and PCK in [0, 1] of what is carried from frame to frame; the mask stays soft, and is thresholded only for scoring."""
    height, width = clip.frames[0].shape[:2]
    full = clip.masks[0].shape
    scale = np.array([full[1] / width, full[0] / height])
    mask = torch.from_numpy(cv2.resize(clip.masks[0].astype(np.float32), (width, height), interpolation=cv2.INTER_AREA))
    first, last = (min(clip.joints), max(clip.joints)) if clip.joints else (0, 0)
    points = torch.from_numpy(clip.joints[first].points / scale).float() if clip.joints else torch.zeros(0, 2)
    js, fs, carried = [], [], {}
    for t in range(1, len(clip.frames)):
        before, now = (torch.from_numpy(clip.frames[i]).permute(2, 0, 1)[None].float() / 255 for i in (t - 1, t))
        if t < len(clip.frames) - 1:
            mask = carry_mask(mask, flow_of(now, before)[0])
            found = cv2.resize(mask.numpy(), full[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
            js.append(jaccard(found, clip.masks[t]))
            fs.append(boundary_f(found, clip.masks[t]))
        if first < t <= last:
            points = carry_points(points, flow_of(before, now)[0])
            if t in clip.joints:
                carried[t] = points.numpy() * scale
    return dict(J=summarise(js)['mean'], F=summarise(fs)['mean'], PCK=_pck(clip, first, carried))


def _pck(clip: Clip, first: int, carried: Dict[int, np.ndarray]) -> Optional[float]:
    """Of the joints seen in the first clicked frame and in the one where they are scored; None if there are none."""
    seen = np.array([clip.joints[first].visible & clip.joints[t].visible for t in carried])
    if not seen.any():
        return None
    truth = np.stack([clip.joints[t].points for t in carried])
    return pck(np.stack(list(carried.values())), truth, seen, np.array([pck_threshold(clip.masks[t]) for t in carried]))


def share_closed(plain: float, look: float, student: float) -> Optional[float]:
    """How much of the way from the plain teacher to its second look the student goes; None if that way does not lead up."""
    return (student - plain) / (look - plain) if look - plain >= LEAST_GAIN else None


def _print(results: Dict[str, Dict[str, Dict[str, Any]]]) -> None:
    print(f'\n{"":18}{"":5}', *(f'{network:>12}' for network in NETWORKS[:4]), f'{"closed":>8}{NETWORKS[4]:>23}{"closed":>8}', sep='')
    table: Dict[str, List[Dict[str, float]]] = {measure: [] for measure in MEASURES}
    for name, rows in results.items():
        for measure in MEASURES:
            if rows[PLAIN][measure] is not None:
                table[measure].append({network: row[measure] for network, row in rows.items()})
                _print_line(name, measure, table[measure][-1])
    for measure, lines in table.items():
        if len(lines) > 1:
            mean = {network: sum(line[network] for line in lines) / len(lines) for network in NETWORKS}
            _print_line(f'mean of {len(lines)}', measure, mean)


def _print_line(name: str, measure: str, scores: Dict[str, float]) -> None:
    closed = [_percent(share_closed(scores[PLAIN], scores[LOOK], scores[network])) for network in (STUDENT, RIVAL)]
    print(f'{name:18}{measure:5}', *(f'{_percent(scores[network]):>12}' for network in NETWORKS[:4]),
          f'{closed[0]:>8}{_percent(scores[RIVAL]):>23}{closed[1]:>8}', sep='')  # yapf: disable


def _percent(share: Optional[float]) -> str:
    return '-' if share is None else f'{100 * share:.1f}'


if __name__ == '__main__':
    run_command(main)
