"""Where mmflow's stock configs are, without importing mmflow."""
from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import List

from mmrefine.errors import ConfigError


def stock_config_root() -> Path:
    """The folder that ``mmflow::`` stands for in a config's ``_base_``.

    Raises:
        ConfigError: mmflow is not installed, or its wheel carries no configs.
    """
    spec = find_spec('mmflow')
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError('mmflow is not installed, so "mmflow::" in a config leads nowhere; '
                          'run: pip install mmflow==1.0.0rc0')
    root = Path(list(spec.submodule_search_locations)[0], '.mim', 'configs')
    if not root.is_dir():
        raise ConfigError(f'{root}: not there, so this mmflow carries no stock configs; '
                          'run: pip install --force-reinstall --no-deps mmflow==1.0.0rc0')
    return root


def stock_model_configs() -> List[str]:
    """Sorted names of the stock model configs, such as ``'_base_/models/gma/gma.py'``.

    ``Config.fromfile(stock_config_root() / name)`` or ``_base_ = 'mmflow::' + name`` loads one.
    """
    root = stock_config_root()
    return sorted(path.relative_to(root).as_posix()
                  for path in (root / '_base_' / 'models').rglob('*.py'))
