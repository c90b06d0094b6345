"""Configs: read, override, fill in, and refuse before anything heavy is built."""
from __future__ import annotations

import difflib
import inspect
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from mmengine import registry as mmengine_registry
from mmengine.config import Config, ConfigDict

import mmrefine.datasets  # noqa: F401  (registers)
import mmrefine.engine  # noqa: F401  (registers)
import mmrefine.evaluation  # noqa: F401  (registers)
from mmrefine import registry
from mmrefine.errors import ConfigError

# top-level keys that stand for a string anywhere in the config: '{video}', '{scene}', '{pass_name}'
VARIABLES = ('video', 'scene', 'pass_name')

# a key that MMEngine itself reads out of a dict with a type
_RESERVED = {'type', '_scope_', '_delete_', 'priority'}
_OURS = [getattr(registry, name) for name in registry.__all__]
_MMENGINE = [value for name, value in vars(mmengine_registry).items() if name.isupper() and hasattr(value, 'module_dict')]


def load_config(path: Union[str, Path], overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """The config of a file with overrides merged in; variables are not filled in yet, see :func:`fill_in`.

    Args:
        path: a config file.
        overrides: values by dotted key, as ``--cfg-options`` gives them.

    Raises:
        ConfigError: no such file, a file that cannot be read as a config, or an override of a key that does not exist.
    """
    if not Path(path).is_file():
        raise ConfigError(f'{path}: there is no such config file; see the configs/ folder for those that exist')
    try:
        cfg = Config.fromfile(str(path))
    except Exception as error:  # whatever a config file may raise: it is code
        raise ConfigError(f'{path}: cannot be read as a config ({type(error).__name__}: {_one_line(error)}); correct the file') from error
    problems = [problem for key in overrides or {} for problem in _unknown_override(cfg, key)]
    if problems:
        raise ConfigError(f'{path}: ' + '; '.join(problems))
    cfg.merge_from_dict(dict(overrides or {}), allow_list_keys=True)
    return cfg


def _unknown_override(cfg: Config, key: str) -> Iterator[str]:
    """What is wrong with the dotted key of an override, if anything."""
    node: Any = cfg
    parts = key.split('.')
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth]) or 'the config'
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                yield f'--cfg-options {key}: {where} is a list of {len(node)}, so the next part must be 0 to {len(node) - 1}, got {part!r}'
                return
            node = node[int(part)]
        elif isinstance(node, (Config, ConfigDict, dict)):
            if part not in node:
                # the class that takes the dict knows its other keys: check_config asks it
                if depth == len(parts) - 1 and depth > 0 and ('type' in node or not node):
                    return
                near = difflib.get_close_matches(part, [str(k) for k in node], n=3)
                hint = f'; did you mean {", ".join(near)}?' if near else f'; it has {", ".join(sorted(str(k) for k in node))}'
                yield f'--cfg-options {key}: {where} has no key {part!r}{hint}'
                return
            node = node[part]
        elif node is None:
            return
        else:
            yield f'--cfg-options {key}: {where} is {node!r}, which has no keys'
            return


def fill_in(cfg: Config) -> Config:
    """A copy in which ``'{video}'``, ``'{scene}'`` and ``'{pass_name}'`` are replaced by the top-level keys of that name.

    Overrides come after a config file is evaluated, so a plain Python variable in it would keep its old value.

    Raises:
        ConfigError: a variable is used but not set.
    """
    values = {name: cfg.get(name) for name in VARIABLES}

    def filled(value: Any, where: str) -> Any:
        if isinstance(value, dict):
            return type(value)({k: filled(v, f'{where}.{k}' if where else str(k)) for k, v in value.items()})
        if isinstance(value, (list, tuple)):
            return type(value)(filled(v, f'{where}.{i}') for i, v in enumerate(value))
        if not isinstance(value, str):
            return value
        for name in re.findall(r'{(\w+)}', value):
            if name in values:
                if values[name] is None:
                    raise ConfigError(f'{cfg.filename}: {where} needs {name}, which is not set; add --cfg-options {name}=…')
                value = values[name] if value == f'{{{name}}}' else value.replace(f'{{{name}}}', str(values[name]))
                if not isinstance(value, str):
                    break
        return value

    copy = Config(filled(cfg.to_dict(), ''), filename=cfg.filename)
    return copy


def check_config(cfg: Config) -> None:
    """Compare every dict that has a ``type`` with the class of that name.

    The network's own config (``estimator``) is mmflow's business and only checked when it is built.

    Raises:
        ConfigError: unknown classes and keys, all of them at once.
    """
    problems = [problem for where, part in _typed(cfg.to_dict(), '') for problem in _problems(where, part)]
    if problems:
        raise ConfigError(f'{cfg.filename or "config"}: ' + '; '.join(problems))


def _typed(node: Any, where: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    if isinstance(node, dict):
        if isinstance(node.get('type'), str):
            yield where, node
        for key, value in node.items():
            if key != 'estimator':
                yield from _typed(value, f'{where}.{key}' if where else str(key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from _typed(value, f'{where}.{i}')


def _problems(where: str, part: Dict[str, Any]) -> Iterator[str]:
    name = part['type']
    found = _lookup(name)
    if found is None:
        known = sorted({key for reg in _OURS + _MMENGINE for key in reg.module_dict})
        near = difflib.get_close_matches(name, known, n=3)
        yield f'{where}: there is no {name!r}' + (f'; did you mean {", ".join(near)}?' if near else '; check its spelling and scope')
        return
    parameters = inspect.signature(found).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    known = [p for p in parameters if p not in ('self', 'runner', 'args')]
    for key in part:
        if key not in _RESERVED and key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            yield f'{where}: {name} has no key {key!r}; ' + (f'did you mean {near[0]!r}?' if near else f'it has {", ".join(known)}')


def _lookup(name: str) -> Any:
    bare = name.rsplit('.', 1)[-1]
    registries: List[Any] = _OURS if name.startswith('mmrefine.') else _MMENGINE if name.startswith('mmengine.') else _OURS + _MMENGINE
    return next((reg.module_dict[bare] for reg in registries if bare in reg.module_dict), None)


def _one_line(error: BaseException) -> str:
    return ' '.join(str(error).split())
