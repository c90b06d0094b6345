"""What is installed here, what works, and the one line that repairs what does not."""
from __future__ import annotations

import importlib
import importlib.metadata
import platform
import re
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Callable, Dict, List, Optional, Tuple, Union

from mmrefine.compat.stand_ins import STAND_INS, is_stand_in
from mmrefine.compat.stock import stock_config_root, stock_model_configs
from mmrefine.compat.threads import plan_threads

STOCK_MODEL_COUNT = 28
STOCK_CONFIG = 'mmflow::raft/raft_8xb2_100k_flyingthings3d-sintel-368x768.py'

GET_MMCV = 'pip uninstall -y mmcv mmcv-full && pip install --force-reinstall --no-deps mmcv-lite==2.0.1'
GET_MMENGINE = 'pip install mmengine==0.10.7'
GET_MMFLOW = 'pip install --force-reinstall --no-deps mmflow==1.0.0rc0'
GET_OPENCV = 'pip install --force-reinstall --no-deps opencv-python-headless'
GET_PYTHON = 'python3.11 -m venv .venv'
GET_SETUPTOOLS = 'pip install "setuptools<81"'
GET_TORCH = 'pip install torch==2.13.0'
DROP_TORCHVISION = 'pip uninstall -y torchvision'
# packages that are not installed along, by what needs them
EXTRAS = {'.flo5 files': ('h5py', ), 'export --to onnx': ('onnx', 'onnxscript', 'onnxruntime'),
          'joints of JHMDB': ('scipy', )}


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes:
        name: what was looked at.
        ok: whether mmrefine can work with it.
        found: versions and facts, or what went wrong.
        remedy: the command that repairs it; empty when ``ok``.
    """
    name: str
    ok: bool
    found: str
    remedy: str = ''


def diagnose() -> List[Check]:
    """Look at every part of the platform; a part that fails never hides the ones after it."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return [_run(*look) for look in _LOOKS]


def format_report(checks: List[Check]) -> str:
    """One line per check, each problem followed by its remedy, and a last line that counts the problems."""
    lines = []
    for check in checks:
        lines.append(f'[{"ok" if check.ok else "!!"}] {check.name}: {check.found}')
        if not check.ok:
            lines.append(f'     run: {check.remedy}')
    problems = sum(not check.ok for check in checks)
    lines.append('everything needed is here' if not problems else
                 f'{problems} of {len(checks)} checks found a problem')
    return '\n'.join(lines)


def library_versions() -> Dict[str, str]:
    """The versions of the two libraries that the stock networks come from, for the record of a run."""
    return {name: str(_import(name).__version__) for name in ('mmcv', 'mmflow')}


def _run(name: str, look: Callable[[], Union[str, Tuple[str, str]]], remedy: str) -> Check:
    """A look returns what it found, or (problem, remedy); it may also raise, and gets the usual remedy then."""
    try:
        found = look()
    except Exception as error:  # a broken install may raise anything at import
        return Check(name, False, _first_line(error), remedy)
    if isinstance(found, tuple):
        return Check(name, False, *found)
    return Check(name, True, found)


def _first_line(error: BaseException) -> str:
    text = (str(error).strip().splitlines() or [''])[0]
    return f'{type(error).__name__}: {text}'


def _import(name: str) -> ModuleType:
    """The only way in which this file imports what it examines, so that a test can break one part."""
    return importlib.import_module(name)


def _version_of(distribution: str) -> Optional[str]:
    """Version of an installed distribution, None when it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _release(version: str) -> Tuple[int, ...]:
    """Major and minor number, for comparisons."""
    return tuple(int(part) for part in re.findall(r'\d+', version)[:2])


def _look_at_python() -> Union[str, Tuple[str, str]]:
    found = f'{platform.python_version()} at {sys.executable}'
    if not (3, 9) <= sys.version_info[:2] <= (3, 12):
        return f'{found}, wanted 3.9 to 3.12', GET_PYTHON
    return found


def _look_at_torch() -> Union[str, Tuple[str, str]]:
    torch = _import('torch')
    build = f'CUDA {torch.version.cuda} build' if torch.version.cuda else 'CPU build'
    found = f'{torch.__version__} ({build})'
    if _release(torch.__version__) < (2, 1):
        return f'{found}, wanted 2.1 or newer', GET_TORCH
    return found


def _look_at_device() -> str:
    torch = _import('torch')
    if torch.cuda.is_available():
        return f'{torch.cuda.get_device_name(0)} ({torch.cuda.device_count()} in all)'
    if torch.version.cuda:
        return 'CPU (this PyTorch could use a CUDA device, and sees none)'
    return f'CPU ({torch.get_num_threads()} threads)'


def _look_at_threads() -> str:
    threads = plan_threads()
    loaders = f'processes that load data: {threads.loaders}' if threads.loaders else 'no process of its own loads data'
    return f'{threads}; {loaders}'


def _look_at_torchvision() -> Union[str, Tuple[str, str]]:
    version = _version_of('torchvision')
    if version is None:
        return 'absent, and not needed'
    try:
        _import('torchvision')
    except Exception as error:
        # mmengine imports an installed torchvision when it lists the environment at the start of a run.
        return f'{version} cannot be imported ({_first_line(error)})', DROP_TORCHVISION
    return f'{version}, not needed'


def _look_at_extras() -> str:
    lines = []
    for use, packages in EXTRAS.items():
        absent = [name for name in packages if _version_of(name) is None]
        there = ', '.join(f'{name} {_version_of(name)}' for name in packages)
        lines.append(f'{use}: ' + (f'would need pip install {" ".join(absent)}' if absent else there))
    return '; '.join(lines)


def _look_at_mmengine() -> Union[str, Tuple[str, str]]:
    version = _import('mmengine').__version__
    if _release(version) < (0, 10):
        return f'{version}, wanted 0.10.7', GET_MMENGINE
    return version


def _look_at_mmcv() -> Union[str, Tuple[str, str]]:
    version = _import('mmcv').__version__
    flavours = [name for name in ('mmcv', 'mmcv-lite', 'mmcv-full') if _version_of(name)]
    found = f'{version} ({" and ".join(flavours) or "not installed by pip"})'
    if len(flavours) > 1:
        return f'{found}: these overwrite each other, wanted one of them', GET_MMCV
    if _release(version) != (2, 0):
        return f'{found}, wanted 2.0.x (mmflow refuses 2.1 and newer)', GET_MMCV
    return found


def _look_at_operators() -> Union[str, Tuple[str, str]]:
    torch, ops = _import('torch'), _import('mmcv.ops')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    ones = torch.ones(1, 2, 4, 4, device=device)
    operator = ops.Correlation(max_displacement=1).to(device)
    centre = float(operator(ones, ones)[0, 1, 1, 1, 1])
    if centre != 2.:
        return f'Correlation of two ones is {centre}, wanted 2.0 on {device}', GET_MMCV
    deform = ops.DeformConv2d(2, 1, 1).to(device)
    deform(ones, torch.zeros(1, 2, 4, 4, device=device))
    names = ', '.join(STAND_INS)
    if is_stand_in(ops):
        return f'{names}: stood in for, in plain PyTorch'
    return f'{names}: compiled'


def _look_at_mmflow() -> Union[str, Tuple[str, str]]:
    version = _import('mmflow').__version__
    if _release(version) != (1, 0):
        return f'{version}, wanted 1.0.0rc0', GET_MMFLOW
    _import('mmflow.models')
    return version


def _look_at_pkg_resources() -> str:
    _import('pkg_resources')
    return f'setuptools {_version_of("setuptools")}'


def _look_at_stock_configs() -> Union[str, Tuple[str, str]]:
    count = len(stock_model_configs())
    if count != STOCK_MODEL_COUNT:
        return (f'{count} model configs under {stock_config_root()}, '
                f'wanted {STOCK_MODEL_COUNT}'), GET_MMFLOW
    config = _import('mmengine.config').Config
    with tempfile.TemporaryDirectory() as folder:
        child = Path(folder, 'child.py')
        child.write_text(f"_base_ = '{STOCK_CONFIG}'\n", encoding='utf-8')
        try:
            network = config.fromfile(str(child)).model.type
        except ModuleNotFoundError as error:
            if error.name == 'pkg_resources':
                return f'"mmflow::" in a config needs pkg_resources ({error})', GET_SETUPTOOLS
            raise
    return f'{count} model configs; "mmflow::" leads to {network}'


def _look_at_safe_loading() -> Union[str, Tuple[str, str]]:
    torch = _import('torch')
    _import('mmrefine.compat.checkpoints').allow_checkpoint_classes()
    history = _import('mmengine.logging').HistoryBuffer([0.5], [1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'log.pth')
        torch.save({'loss': history}, path)
        if _release(torch.__version__) < (2, 6):
            return 'mmengine resumes by itself with this PyTorch'
        value = torch.load(path, weights_only=True)['loss'].current()
    if value != 0.5:
        return f'a log value of 0.5 came back as {value}', GET_MMENGINE
    return 'mmengine checkpoints load with weights_only=True'


_OFF_PATH = 'mmrefine is not on PATH, which does no harm: python -m mmrefine does the same'
_LOOKS: Tuple[Tuple[str, Callable[[], Union[str, Tuple[str, str]]], str], ...] = (
    ('Python', _look_at_python, GET_PYTHON),
    ('torch', _look_at_torch, GET_TORCH),
    ('device', _look_at_device, GET_TORCH),
    ('threads', _look_at_threads, ''),
    ('torchvision', _look_at_torchvision, DROP_TORCHVISION),
    ('opencv', lambda: str(_import('cv2').__version__), GET_OPENCV),
    ('pkg_resources', _look_at_pkg_resources, GET_SETUPTOOLS),
    ('mmengine', _look_at_mmengine, GET_MMENGINE),
    ('mmcv', _look_at_mmcv, GET_MMCV),
    ('operators', _look_at_operators, GET_MMCV),
    ('mmflow', _look_at_mmflow, GET_MMFLOW),
    ('stock configs', _look_at_stock_configs, GET_MMFLOW),
    ('safe loading', _look_at_safe_loading, GET_MMENGINE),
    ('extras', _look_at_extras, ''),
    ('command', lambda: shutil.which('mmrefine') or _OFF_PATH, ''),
)
