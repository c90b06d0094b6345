"""What happens when a library that we stand on gets imported: operators stood in for, classes and names allowed.

Nothing is imported here: a finder at the head of ``sys.meta_path`` waits for three names, so ``import mmrefine`` stays
instant and works (for ``tools/doctor.py``) in an environment that is broken.
"""
from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Optional, Sequence

# All that mmflow takes from mmcv.ops; a test compares this with mmflow's sources.
STAND_INS = ('Correlation', 'DeformConv2d')


class _StandInLoader(Loader):
    """Fills an ``mmcv.ops`` that holds our operators and nothing else."""

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        return None

    def exec_module(self, module: ModuleType) -> None:
        operators = importlib.import_module('mmrefine.compat.mmcv_ops')
        module.__doc__ = 'Stand-ins by mmrefine: this mmcv carries no compiled operators.'
        setattr(module, '__all__', list(STAND_INS))
        for name in STAND_INS:
            setattr(module, name, getattr(operators, name))
        # mmcv's collect_env asks for these two as soon as mmcv.ops can be imported.
        for name in ('get_compiler_version', 'get_compiling_cuda_version'):
            setattr(module, name, _no_compiler)


def _no_compiler() -> str:
    return 'n/a'


class _ConfigLoader(SourceFileLoader):
    """Loads mmengine's config module, and lets it know the configs of mmrefine (F17)."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _accept_own_names(module)


class _PlatformFinder(MetaPathFinder):
    """Steps in at the import of ``mmcv.ops`` (F7) and of mmengine's checkpoint (F8) and config (F17) modules."""

    def find_spec(self,
                  fullname: str,
                  path: Optional[Sequence[str]],
                  target: Optional[ModuleType] = None) -> Optional[ModuleSpec]:
        if fullname == 'mmcv.ops' and PathFinder.find_spec('mmcv._ext', path) is None:
            return ModuleSpec(fullname, _StandInLoader(), origin='mmrefine.compat.mmcv_ops')
        if fullname == 'mmengine.runner.checkpoint':
            _allow_checkpoint_classes()
        if fullname == 'mmengine.config.config':
            spec = PathFinder.find_spec(fullname, path)
            if spec is not None and spec.origin is not None:
                spec.loader = _ConfigLoader(fullname, spec.origin)
            return spec
        return None  # the ordinary finders go on


def _allow_checkpoint_classes() -> None:
    importlib.import_module('mmrefine.compat.checkpoints').allow_checkpoint_classes()


def _accept_own_names(module: ModuleType) -> None:
    importlib.import_module('mmrefine.compat.config_names').accept_own_names(getattr(module, 'Config'))


def install_stand_ins() -> None:
    """Make ``mmcv.ops`` importable beside mmcv-lite, mmengine able to resume, and ``mmrefine::`` a name of configs.

    A full mmcv, or an ``mmcv.ops`` that is imported already, is left alone; calling it twice changes nothing.
    """
    if not any(isinstance(finder, _PlatformFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _PlatformFinder())
    if 'mmengine.runner.checkpoint' in sys.modules:
        _allow_checkpoint_classes()
    if hasattr(sys.modules.get('mmengine.config.config'), 'Config'):
        _accept_own_names(sys.modules['mmengine.config.config'])


def is_stand_in(module: ModuleType) -> bool:
    """Whether this ``mmcv.ops`` is ours."""
    return isinstance(getattr(module.__spec__, 'loader', None), _StandInLoader)


def quiet_known_warnings() -> None:
    """Silence, by their text, warnings that the pinned platform gives on every run, or on every distributed run, and no
    user can act on."""
    for text in ('pkg_resources is deprecated as an API', 'torch.meshgrid: in an upcoming release',
                 'Grad strides do not match bucket view strides',  # weights of 1 x 1 px, channels last
                 'Detected call of `scheduler.step()` before'):  # of mmengine, where gradients are accumulated
        warnings.filterwarnings('ignore', message=re.escape(text), category=UserWarning)


def quiet_opencv() -> None:
    """Keep OpenCV from printing lines of its own about damaged pictures and videos, which an error of ours names.

    A level that the user has set in OPENCV_LOG_LEVEL stays. OpenCV reads it when it is imported; if it is imported
    already, it is left alone.
    """
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
