"""``mmrefine::refine/raft_small_video.py``, ``mmflow::…``: the names of the configs that a package carries."""
from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Tuple, Union

from mmrefine.compat.stock import stock_config_root
from mmrefine.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.config import Config


def own_config_root() -> Path:
    """The folder that ``mmrefine::`` stands for: of a checkout its ``configs``, of a wheel what it carries.

    Raises:
        ConfigError: an installation without configs.
    """
    package = Path(__file__).resolve().parents[1]
    # the second one: a checkout on a system without symbolic links
    for root in (package / '.mim' / 'configs', package.parent / 'configs'):
        if root.is_dir():
            return root.resolve()
    raise ConfigError(f'{package / ".mim" / "configs"}: not there, so this mmrefine carries no configs; install it '
                      'again')


def config_file(name: str) -> Path:
    """The file of a config that is named as ``mmrefine::<path>`` or ``mmflow::<path>``.

    Raises:
        ConfigError: another package, or no such config; says which have nearly this name.
    """
    package, _, path = name.partition('::')
    roots = dict(mmrefine=own_config_root, mmflow=stock_config_root)
    if package not in roots:
        raise ConfigError(f'{name}: only mmrefine:: and mmflow:: name configs that a package carries, got {package}::')
    root = roots[package]()
    if (root / path).is_file():
        return root / path
    known = sorted(file.relative_to(root).as_posix() for file in root.rglob('*.py'))
    near = difflib.get_close_matches(path, known, n=3)
    # the right file in the wrong folder is as near
    near += [one for one in known if one.rpartition('/')[2] == path.rpartition('/')[2] and one not in near]
    found = ' or '.join(f'{package}::{one}' for one in near)
    hint = f'did you mean {found}?' if near else f'those of {package} are in {root}'
    raise ConfigError(f'{name}: there is no such config file; {hint}')


def read_config(path: Union[str, Path]) -> Config:
    """The config of a file as it stands there, nothing checked.

    Args:
        path: a config file, or a name that :func:`config_file` takes.

    Raises:
        ConfigError: no such file, or one that cannot be read as a config.
    """
    from mmengine.config import Config  # heavy, and mended by this very module while it is imported

    file = config_file(str(path)) if '::' in str(path) else Path(path)
    if not file.is_file():
        raise ConfigError(f'{path}: there is no such config file; see the configs/ folder for those that exist')
    try:
        return Config.fromfile(str(file))
    except Exception as error:  # a config file is code and may raise anything
        reason = ' '.join(str(error).split())
        if isinstance(error, ConfigError):  # a name in _base_ that leads nowhere
            raise ConfigError(f'{path}: _base_ is invalid: {reason}') from error
        raise ConfigError(f'{path}: cannot be read as a config ({type(error).__name__}: {reason}); correct the '
                          'file') from error


def carried_file(path: Union[str, Path]) -> Path:
    """A path; one below ``configs/`` that is not here leads to the file that comes with mmrefine, if there is one."""
    path = Path(path)
    if not path.exists() and path.parts[:1] == ('configs', ):
        carried = own_config_root().joinpath(*path.parts[1:])
        return carried if carried.is_file() else path
    return path


def accept_own_names(config_class: Any) -> None:
    """Let ``_base_ = 'mmrefine::…'`` of any config lead to our files; ``config_class`` is MMEngine's ``Config``.

    MMEngine has a fixed list of packages whose names it takes, and does not find the files of an editable installation.
    """
    original = config_class._get_cfg_path
    if original.__module__ == __name__:
        return

    def get_cfg_path(cfg_path: str, filename: str) -> Tuple[str, Optional[str]]:
        if cfg_path.startswith('mmrefine::'):
            return str(config_file(cfg_path)), None  # no scope: each of our configs says its own
        found: Tuple[str, Optional[str]] = original(cfg_path, filename)
        return found

    config_class._get_cfg_path = staticmethod(get_cfg_path)
