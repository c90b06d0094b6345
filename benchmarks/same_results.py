"""Whether two commits produce the same labels, student and report, to the bit: the check of a refactoring.

Both trees get the same rendered frames and are run by command line only (tools/make_labels.py, tools/train.py), so
modules may move between them. Compared are the labels of every config of flow in configs/_base_/labelers and of
labelers with third frames, composed steps, calibrated thresholds and all other filters, on frames with a cut, a
duplicate and a jump of the light; and a student of the demo config, trained for six steps under the guard: its labels,
weights and report. Of the report everything counts but settings, versions, times, sentences and names of files.

The results of a commit are kept in the work dir, so a second comparison with it runs only the other tree. They hold for
one machine: another CPU adds up in another order. Each tree takes a minute of one core.

    python benchmarks/same_results.py main                      # against the working tree as it is
    python benchmarks/same_results.py main feature --allow-new
"""
from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from result_parts import Part, compare_results, print_parts

ROOT = Path(__file__).resolve().parents[1]
SIZE = (96, 160)  # px, as the demo crops
STUDENT_STEPS = 6
ITERS = 3  # of the network where it does not train

ONE_LOOK = dict(type='CascadeView', scales=(1., ))
GUARDS = [dict(type=name) for name in ('StillPairGuard', 'DuplicateFrameGuard', 'CutGuard', 'ExposureJumpGuard')]
OTHERS = [dict(type=name) for name in ('SoftCycleFilter', 'LabFilter', 'CensusFilter', 'GainRobustColorFilter',
                                       'TextureFilter', 'InFrameFilter')]
# beside those of configs/_base_/labelers; what is no part of the labeler is a setting of its PseudoLabelHook, or `step`
LABELERS: Dict[str, Dict[str, Any]] = dict(
    third=dict(view=ONE_LOOK, filters=[*GUARDS, dict(type='CompositeFilter')], directions='both', floor=0.1,
               step=(1, 2)),
    composed=dict(view=dict(type='ComposedView', scales=(1., 2.)), filters=[dict(type='CutGuard')], directions='both',
                  balance=dict(type='Novelty'), step=(1, 2)),
    calibrated=dict(view=ONE_LOOK, filters=[dict(type='CycleFilter')], batch_size=2,
                    calibrate=dict(precision=0.7, frames=4, warps=1)),
    filters=dict(view=ONE_LOOK, filters=OTHERS, balance=dict(type='InverseHistogram')),
    dense=dict(view=ONE_LOOK, filters=[dict(type='CycleFilter')], densify=dict(type='EdgeAwareDensify', fill=True),
               balance=dict(type='SpeedQuota')),
    threshold=dict(view=ONE_LOOK, balance=dict(type='SpeedThreshold', least_motion=1.)))


def main(argv: Optional[List[str]] = None) -> int:
    """Run what has to be run and print a line for each part; 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('base', metavar='BASE', help='git revision whose results are right')
    parser.add_argument('head', metavar='HEAD', nargs='?',
                        help='git revision to compare with it; default: the working tree as it is')
    parser.add_argument('--allow-new', action='store_true',
                        help='list added keys and labels without counting them as a difference')
    parser.add_argument('--work-dir', type=Path, default=ROOT / 'work_dirs' / 'same_results',
                        help='of the frames, and of the results that are kept')
    args = parser.parse_args(argv)
    work_dir = args.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work_dir) as folder:
        scratch = Path(folder)
        frames, digest = _frames(work_dir, scratch)
        base = _results(args.base, frames, digest, scratch)
        if args.head is None:
            tree, head = ROOT, _run_tree(ROOT, frames, scratch / 'head', 'the working tree')
        else:
            tree, head = _check_out(args.head, scratch), _results(args.head, frames, digest, scratch)
        return print_parts([*compare_results(base, head), _verified(tree, base)], args.allow_new)


def _results(revision: str, frames: Path, digest: str, scratch: Path) -> Path:
    """The folder of results of a commit, made now if it is not there yet."""
    kept = frames.parent / 'results' / f'{_commit(revision)[:12]}-{digest}'
    if not kept.exists():
        made = _run_tree(_check_out(revision, scratch), frames, scratch / kept.name, revision)
        _keep(made, kept)
    return kept


def _run_tree(tree: Path, frames: Path, out: Path, name: str) -> Path:
    """Labels, student and report of a tree, in ``out``."""
    started = time.monotonic()
    found = _run(tree, '-c', 'import importlib.util; print(importlib.util.find_spec("mmrefine").origin)')
    if tree.resolve() not in Path(found.stdout.strip()).resolve().parents:
        raise SystemExit(f'{name}: Python finds the package of another tree, {found.stdout.strip()}')
    (out / 'configs').mkdir(parents=True)
    for stage, tool, config in (('labels', 'make_labels', _label_config), ('student', 'train', _student_config)):
        path = out / 'configs' / f'{stage}.py'
        lines = [f'{key} = {value!r}\n' for key, value in config(tree, frames).items()]
        path.write_text(''.join(lines), encoding='utf-8')
        _run(tree, f'tools/{tool}.py', str(path), '--work-dir', str(out / stage))
    for checkpoint in out.rglob('iter_*.pth'):
        checkpoint.unlink()
    print(f'{name}: labelled and trained in {time.monotonic() - started:.0f} s', flush=True)
    return out


def _label_config(tree: Path, frames: Path) -> Dict[str, Any]:
    """The demo config with a hook for each labeler; tools/make_labels.py runs them in turn."""
    files = sorted((tree / 'configs' / '_base_' / 'labelers').glob('*.py'))
    stock = {path.stem: _load(path)['labeler'] for path in files}
    labelers = {**{name: found for name, found in stock.items() if found.get('type') != 'TrackLabeler'}, **LABELERS}
    hooks = []
    for name, settings in labelers.items():
        labeler = dict(type='FlowLabeler', **{key: value for key, value in settings.items() if key != 'type'})
        more = {key: labeler.pop(key) for key in ('batch_size', 'calibrate') if key in labeler}
        dataset = dict(type='FramePairs', data_root=str(frames / 'spliced'), step=labeler.pop('step', 1))
        hooks.append(dict(type='PseudoLabelHook', dataset=dataset, labeler=labeler, store=name, min_kept=0., **more))
    config = dict(_demo(tree), custom_hooks=hooks)
    config['train_dataloader']['dataset'].update(data_root=str(frames / 'spliced'), held_out=0., directions='forward')
    return config


def _student_config(tree: Path, frames: Path) -> Dict[str, Any]:
    """The demo config with few steps, and a guard that is easily convinced, so that it hands the student back."""
    config = dict(_demo(tree), video=str(frames / 'video'), unseen=str(frames / 'unseen'), held_out=0.3,
                  max_iters=STUDENT_STEPS)
    for hook in config['custom_hooks']:
        if hook['type'] == 'RegressionGuardHook':
            hook.update(pairs=4, general=2, confidence=0.01)
    return config


def _demo(tree: Path) -> Dict[str, Any]:
    config = _load(tree / 'configs' / 'demo' / 'raft_small_target.py')
    config['model']['test_iters'] = ITERS
    return config


def _load(path: Path) -> Dict[str, Any]:
    return dict(Config.fromfile(path, import_custom_modules=False).to_dict())  # the package stays out of this process


def _frames(work_dir: Path, scratch: Path) -> Tuple[Path, str]:
    """The folder of rendered frames, and a digest of all that results depend on beside the tree."""
    made, size = scratch / 'frames', [str(length) for length in SIZE]
    for name, first, end, frames in (('video', '0', '3', '6'), ('unseen', '9', '10', '3')):
        _run(ROOT, 'tools/render.py', str(made / name), '--seeds', first, end, '--frames', frames, '--size', *size)
    scenes = sorted((made / 'video' / 'frames').iterdir())
    one, two, three = ([cv2.imread(str(path)) for path in sorted(scene.iterdir())] for scene in scenes)
    brighter = np.minimum(two[2] * 1.4, 255).astype(np.uint8)
    # a cut after the third frame, a duplicate after the fifth, at last a jump of the light
    for name, pictures in dict(plain=three[:4], spliced=[*one[:3], two[0], two[1], two[1], brighter]).items():
        (made / 'spliced' / name).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(made / 'spliced' / name / f'{number:02d}.png'), picture)
    versions = f'{sys.version} {torch.__version__} {np.__version__} {cv2.__version__}'
    depends = _digest(made) + versions + Path(__file__).read_text(encoding='utf-8')
    digest = hashlib.sha256(depends.encode()).hexdigest()[:12]
    return _keep(made, work_dir / f'frames-{digest}'), digest


def _keep(made: Path, kept: Path) -> Path:
    """Move a folder to where it is kept, unless another comparison was faster."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    try:
        made.rename(kept)
    except OSError:
        if not kept.exists():
            raise
    return kept


def _digest(folder: Path) -> str:
    """Of the names and contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob('*') if path.is_file()):
        digest.update(f'{path.relative_to(folder)}\0'.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _verified(tree: Path, base: Path) -> Part:
    """Whether a tree finds the label stores of other results complete and whole, and leaves them as they are."""
    stores, before = sorted(path.parent for path in base.rglob('fingerprint.json')), _digest(base)
    checks = {str(store.relative_to(base)): _run(tree, 'tools/label_store.py', 'verify', str(store), may_fail=True)
              for store in stores}
    faults = [f'{name}: {done.stdout.strip()}' for name, done in checks.items() if done.returncode]
    if _digest(base) != before:
        faults.append('files were changed by the check')
    return Part('verify of the stores of BASE', f'{len(stores)} stores', '; '.join(faults))


def _commit(revision: str) -> str:
    done = subprocess.run(['git', 'rev-parse', '--verify', '--quiet', f'{revision}^{{commit}}'], cwd=ROOT,
                          stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f'{revision}: git does not know such a commit')
    return done.stdout.strip()


def _check_out(revision: str, scratch: Path) -> Path:
    """The folder with the files of a commit, made below ``scratch`` if it is not there yet."""
    commit = _commit(revision)
    tree = scratch / f'tree-{commit[:12]}'
    if not tree.exists():
        tree.mkdir()
        archive = subprocess.run(['git', 'archive', commit], cwd=ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(['tar', '-x', '-C', str(tree)], input=archive.stdout, check=True)
    return tree


def _run(tree: Path, *arguments: str, may_fail: bool = False) -> 'subprocess.CompletedProcess[str]':
    """Run Python in a tree, with one thread and without a GPU."""
    env = dict(os.environ, PYTHONPATH=str(tree), PYTHONWARNINGS='ignore', OMP_NUM_THREADS='1', MKL_NUM_THREADS='1',
               CUDA_VISIBLE_DEVICES='')
    done = subprocess.run([sys.executable, *arguments], cwd=tree, env=env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode and not may_fail:
        raise SystemExit(f'{tree}: {arguments[0]} ended with status {done.returncode}; its last lines:\n'
                         f'{done.stdout[-3000:]}')
    return done


if __name__ == '__main__':
    sys.exit(main())
