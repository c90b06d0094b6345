"""Read a config, override values, fill in references, and report mistakes before anything heavy is built."""
from __future__ import annotations

import difflib
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from mmengine.config import Config

from mmrefine.compat.config_names import read_config
from mmrefine.compat.threads import plan_threads
from mmrefine.config.check import AUTO, REFERENCE, RUNNER_KEYS, UNTYPED, check_config, config_problems, value_at
from mmrefine.errors import ConfigError, MMRefineError
from mmrefine.values import brief


def load_config(path: Union[str, Path], overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """The config of a file with overrides merged in and all keys checked; references are not filled in, see
    :func:`fill_in`.

    Args:
        path: a config file, ``mmrefine::<name>`` for a config that comes with mmrefine, or ``mmflow::<name>`` for a
            stock config.
        overrides: values by dotted key, as ``--cfg-options`` gives them.

    Raises:
        ConfigError: no such file, a file that cannot be read as a config, unknown classes and keys (all of them at
            once).
    """
    return override(read_config(path), overrides)


def name_of(cfg: Config) -> str:
    """What a message calls a config: its file, if it has one."""
    return str(cfg.filename or 'config')


# top-level keys whose values are paths and names of the user's files, and hold no references
_LITERAL = ('video', 'labelled', 'work_dir', 'load_from', 'scene')
_MMENGINE_HOOKS = ('runtime_info', 'timer', 'sampler_seed', 'logger', 'param_scheduler', 'checkpoint')


def complete(cfg: Config) -> Config:
    """A checked copy with its references filled in; ``scene='each'`` is read as ``'all'``.

    Raises:
        ConfigError: references that lead nowhere, unknown keys, or values of another type.
    """
    cfg = Config(cfg.to_dict(), filename=cfg.filename)
    if cfg.get('scene') == 'each':
        cfg.scene = 'all'
    # None switches a default hook off, and MMEngine understands that of its own only
    for name in [name for name, hook in (cfg.get('default_hooks') or {}).items() if hook is None]:
        if name not in _MMENGINE_HOOKS:
            cfg.default_hooks.pop(name)
    cfg = fill_in(cfg)
    check_config(cfg)
    return cfg


@contextmanager
def building(cfg: Config) -> Iterator[None]:
    """While the parts of a config are built: what their constructors and MMEngine refuse is a mistake in the config.

    Raises:
        ConfigError: names the file, and says what was refused.
    """
    try:
        yield
    except MMRefineError:
        raise
    # MMEngine asserts much of it
    except (ArithmeticError, AssertionError, LookupError, TypeError, ValueError) as error:
        raise ConfigError(f'{name_of(cfg)}: a part of it cannot be built ({type(error).__name__}: '
                          f'{" ".join(str(error).split())}); correct that value') from error


def hooks_of(cfg: Config, kind: str) -> List[Any]:
    """The configs of the custom hooks of a type, such as ``'PseudoLabelHook'``."""
    return [hook for hook in cfg.get('custom_hooks') or [] if hook.get('type') == kind]


def override(cfg: Config, overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """A copy with values replaced by dotted key, then checked.

    Raises:
        ConfigError: unknown keys and classes, in the overrides and in the config, all at once.
    """
    cfg = Config(cfg.to_dict(), filename=cfg.filename)
    overrides = dict(overrides or {})
    problems: List[str] = []
    for key, value in overrides.items():
        unknown = list(_unknown_override(cfg, key))
        problems += unknown
        if not unknown:
            try:
                cfg.merge_from_dict({key: value}, allow_list_keys=True)
            except (AttributeError, IndexError, KeyError, TypeError):
                where, found = _at(cfg, key)
                problems.append(f'--cfg-options {key}: {where} is {brief(found)}, and only values of a dict can be '
                                f'replaced one by one; give {where} as a whole, a dict in a config file of your own, '
                                f"which begins with _base_ = '{cfg.filename or '<this config>'}'")
    problems += config_problems(cfg)
    if problems:
        raise ConfigError(f'{name_of(cfg)}: ' + '; '.join(dict.fromkeys(problems)))
    return cfg


def _at(cfg: Config, key: str) -> Tuple[str, Any]:
    """The longest part of a dotted key that leads through dicts, or through lists of dicts, and the value there."""
    node, parts = cfg.to_dict(), key.split('.')
    for depth, part in enumerate(parts):
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list) and part.isdigit() and int(part) < len(node) and isinstance(node[int(part)], dict):
            node = node[int(part)]
        else:
            return '.'.join(parts[:depth]), node
    return key, node


def _unknown_override(cfg: Config, key: str) -> Iterator[str]:
    """What is wrong with the dotted key of an override, if anything."""
    node: Any = cfg
    parts = key.split('.')
    for depth, part in enumerate(parts):
        where = '.'.join(parts[:depth]) or 'the config'
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                yield (f'--cfg-options {key}: {where} is a list of {len(node)}, so the next part must be '
                       f'0 to {len(node) - 1}, got {part!r}')
                return
            node = node[int(part)]
        elif isinstance(node, (Config, dict)):
            if part not in node:
                if depth == len(parts) - 1 and _takes_more(where, node, part):
                    return
                near = difflib.get_close_matches(part, [str(k) for k in node], n=3)
                hint = f'did you mean {", ".join(near)}?' if near else f'it has {", ".join(sorted(map(str, node)))}'
                yield f'--cfg-options {key}: {where} has no key {part!r}; {hint}'
                return
            node = node[part]
        elif node is None:
            return
        else:
            reference = REFERENCE.fullmatch(node) if isinstance(node, str) else None
            remedy = f'; override {".".join([reference[1], *parts[depth:]])} instead' if reference else ''
            yield f'--cfg-options {key}: {where} is {node!r}, which has no keys{remedy}'
            return


def _takes_more(where: str, node: Any, part: str) -> bool:
    """Whether a dict may get a new key; if so, the check of the config compares it with what the dict is for."""
    if where == 'the config':
        return part in RUNNER_KEYS
    return 'type' in node or not node or where.rpartition('.')[2] in UNTYPED


def fill_in(cfg: Config) -> Config:
    """A copy in which each ``'{name}'`` stands for the top-level key ``name``, whatever its type.

    Overrides are merged after the file is evaluated, when a Python variable in it would keep its old value; a reference
    gets the new one. ``'{labeler.directions}'`` is a nested key, ``'{max_iters+100}'`` adds a whole number, and inside
    a longer string the value is inserted as text. The config of the network (``estimator``) is left alone, and so are
    the user's own paths and names, which may hold braces: the top-level keys of ``_LITERAL``, and ``skip``.
    The top-level ``num_workers='auto'`` becomes the number of :func:`~mmrefine.compat.threads.plan_threads`.

    Raises:
        ConfigError: references to keys that are None or do not exist, all of them at once, or that lead in a circle.
    """
    plain, problems = cfg.to_dict(), []
    key, auto = AUTO
    if plain.get(key) == auto:
        plain[key] = plan_threads().loaders

    def value_of(name: str, plus: Optional[str], where: str, seen: Tuple[str, ...]) -> Any:
        if name in seen:
            problems.append(f'{where}: {" -> ".join([*seen, name])} is a circle')
            return None
        found = value_at(plain, name)
        if found is None:
            top = name.partition('.')[0]
            remedy = 'and there is no such key in the config'
            if top in plain:
                remedy = f'which is not set; add --cfg-options {name}=…'
            problems.append(f'{where} needs {name}, {remedy}')
            return None
        value = found if name in _LITERAL else filled(found, where, (*seen, name))
        return value + int(plus) if plus and isinstance(value, (int, float)) else value

    def filled(value: Any, where: str, seen: Tuple[str, ...] = ()) -> Any:
        if isinstance(value, dict):
            return {k: v if k in ('estimator', 'skip') else filled(v, f'{where}.{k}' if where else str(k), seen) for k,
                    v in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(filled(v, f'{where}.{i}', seen) for i, v in enumerate(value))
        if not isinstance(value, str):
            return value
        whole = REFERENCE.fullmatch(value)
        if whole:
            return value_of(whole[1], whole[2], where, seen)
        return REFERENCE.sub(lambda m: str(value_of(m[1], m[2], where, seen)), value)

    result = {key: value if key in ('estimator', *_LITERAL) else filled(value, key) for key, value in plain.items()}
    if problems:
        raise ConfigError(f'{name_of(cfg)}: ' + '; '.join(_first_of_each_remedy(problems)))
    return Config(result, filename=cfg.filename)


def _first_of_each_remedy(problems: Sequence[str]) -> List[str]:
    """Each missing key is reported once, however many places need it."""
    return list({problem.partition(' needs ')[2] or problem: problem for problem in reversed(problems)}.values())[::-1]
