"""Are the keys of a config known, and are their values of the right type?"""
from __future__ import annotations

import difflib
import inspect
import re
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple

from mmengine import registry as mmengine_registry
from mmengine.config import Config
from mmengine.runner import Runner, set_random_seed
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.utils.data import DataLoader

import mmrefine.datasets  # noqa: F401  (registers)
import mmrefine.engine  # noqa: F401  (registers)
import mmrefine.evaluation  # noqa: F401  (registers)
import mmrefine.labeling  # noqa: F401  (registers)
import mmrefine.models  # noqa: F401  (registers)
from mmrefine import registry
from mmrefine.errors import ConfigError
from mmrefine.values import MOST, as_number, brief, functions_of, is_number, misfits

# '{video}', '{labeler.directions}', '{max_iters+100}'
REFERENCE = re.compile(r'{(\w+(?:\.\w+)*)([+-]\d+)?}')

# what MMEngine itself reads out of a dict with a type
_RESERVED = {'type', '_scope_', '_delete_', 'priority'}
_OURS = [getattr(registry, name) for name in registry.__all__]
_MMENGINE = [value for name,
             value in vars(mmengine_registry).items() if name.isupper() and hasattr(value, 'module_dict')]
# top-level keys that MMEngine's runner reads
RUNNER_KEYS = [key for key in inspect.signature(Runner.__init__).parameters if key not in ('self', 'cfg')]

# a top-level value that `fill_in` replaces by a number
AUTO = ('num_workers', 'auto')

# dicts without a type, by the last part of their dotted name, and what takes their keys
UNTYPED = {
    'train_dataloader': (DataLoader, ('num_batch_per_epoch', )),
    'val_dataloader': (DataLoader, ('num_batch_per_epoch', )),
    'test_dataloader': (DataLoader, ('num_batch_per_epoch', )),
    'randomness': (set_random_seed, ()),
    'clip_grad': (clip_grad_norm_, ('type', )),
}

# numbers that MMEngine and PyTorch take as they are: the end of a dotted key -> the interval, and what else is allowed
_STEPS, _OFF = f'[1, {MOST}]', (-1, )
_INTERVALS: Dict[str, Tuple[str, Tuple[int, ...]]] = {
    'train_cfg.max_iters': (_STEPS, ()),
    'train_cfg.rounds': (_STEPS, ()),
    'checkpoint.interval': (_STEPS, _OFF),
    'checkpoint.max_keep_ckpts': (_STEPS, _OFF),
    'logger.interval': (_STEPS, ()),
    'log_processor.window_size': (_STEPS, ()),
    'dataloader.batch_size': (_STEPS, ()),
    'dataloader.num_workers': ('[0, 1024]', ()),
    'randomness.seed': (f'[0, {2**32 - 1}]', ()),
    'optimizer.lr': ('[0, inf)', ()),
    'optim_wrapper.accumulative_counts': (_STEPS, ()),
    'clip_grad.max_norm': ('(0, inf)', ()),
    **{f'param_scheduler.{key}': (_STEPS, ()) for key in ('total_steps', 'T_max', 'step_size')},
    **{f'param_scheduler.{key}': ('[0, inf)', ()) for key in ('eta_max', 'eta_min', 'begin', 'power', 'gamma')},
    **{f'param_scheduler.{key}': ('[0, 1]', ()) for key in ('pct_start', 'start_factor', 'end_factor', 'factor')},
    **{f'param_scheduler.{key}': ('(0, inf)', ()) for key in ('div_factor', 'final_div_factor')},
}


def check_config(cfg: Config) -> None:
    """Compare every dict that has a ``type`` with the class of that name, and the top-level keys with those of the
    runner.

    The config of the network (``estimator``) belongs to mmflow and is only checked when it is built. Values must have
    the types that the annotations say, for the classes in our registries and for PyTorch's optimisers.

    Raises:
        ConfigError: unknown classes and keys, and values of another type, all of them at once.
    """
    problems = config_problems(cfg)
    if problems:
        raise ConfigError(f'{cfg.filename or "config"}: ' + '; '.join(problems))


def config_problems(cfg: Config) -> List[str]:
    """One sentence for each unknown class or key, and for each value of another type."""
    plain = cfg.to_dict()
    # a stock config, of which only the network is used; the rest are classes of mmflow
    if plain.get('default_scope') not in (None, 'mmrefine'):
        return []
    if 'default_scope' not in plain and 'estimator' not in (plain.get('model') or {}):
        plain.pop('model', None)  # a stock config of a network alone; mmflow checks it, as it does an estimator
    problems = [*_top_level_problems(plain), *_value_problems(plain, '', Runner, plain)]
    for where, part in _dicts(plain, ''):
        problems += _problems(plain, where, part) if isinstance(part.get('type'), str) else _untyped_problems(plain,
                                                                                                              where,
                                                                                                              part)
    schedules = plain.get('param_scheduler') or []
    problems += _schedule_problems(plain.get('train_cfg') or {},
                                   schedules if isinstance(schedules, list) else [schedules])
    # many places may refer to one value
    return list({problem.partition(' must be ')[0]: problem for problem in problems}.values())


def value_at(plain: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted key; None if there is none."""
    found: Any = plain
    for part in name.split('.'):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _top_level_problems(plain: Mapping[str, Any]) -> Iterator[str]:
    """Top-level keys that look like a misspelt one of the runner; any other name may be a variable of the file."""
    for key in plain:
        near = [] if key in RUNNER_KEYS else difflib.get_close_matches(key, RUNNER_KEYS, n=1, cutoff=0.85)
        if near:
            yield f'there is no top-level key {key!r}; did you mean {near[0]!r}?'


def _schedule_problems(train_cfg: Mapping[str, Any], schedules: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    steps, rounds = train_cfg.get('max_iters'), train_cfg.get('rounds')
    if isinstance(steps, (int, float)) and isinstance(rounds, (int, float)) and steps < rounds:
        yield (f'train_cfg.rounds must be at most max_iters={steps}, as each round takes a step or more, got {rounds}; '
               'set fewer rounds, or more steps')
    for schedule in schedules:
        total = schedule.get('total_steps') if isinstance(schedule, dict) else None
        if isinstance(steps, int) and isinstance(total, int) and total < steps:
            yield (f'param_scheduler: total_steps={total} end before train_cfg.max_iters={steps}; '
                   'set the top-level max_iters, which both follow, or make total_steps longer')


def _dicts(node: Any, where: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    if isinstance(node, dict):
        yield where, node
        for key, value in node.items():
            if key != 'estimator':
                yield from _dicts(value, f'{where}.{key}' if where else str(key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from _dicts(value, f'{where}.{i}')


def _problems(plain: Mapping[str, Any], where: str, part: Mapping[str, Any]) -> Iterator[str]:
    name = part['type']
    if name.startswith('mmflow.'):
        return  # mmflow checks it when it is built
    found = _lookup(name)
    if found is None:
        known = sorted({key for reg in _OURS + _MMENGINE for key in reg.module_dict})
        near = difflib.get_close_matches(name, known, n=3)
        hint = f'did you mean {", ".join(near)}?' if near else 'check its spelling and scope'
        yield f'{where}: there is no {name!r}; {hint}'
        return
    known_keys = _parameters(found)
    if known_keys is not None:
        yield from _unknown_keys(where, name, part, known_keys)
    if _is_annotated(found):
        yield from _value_problems(plain, where, found, part)
    else:
        yield from _number_problems(where, _values(plain, where, part))


def _is_annotated(found: Any) -> bool:
    """Whether a class has annotations to compare values with: one of ours, or an optimiser of PyTorch."""
    return any(found in registry.module_dict.values()
               for registry in _OURS) or inspect.isclass(found) and issubclass(found, Optimizer)


def _untyped_problems(plain: Mapping[str, Any], where: str, part: Mapping[str, Any]) -> Iterator[str]:
    name = where.rpartition('.')[2]
    if name in UNTYPED:
        taker, more = UNTYPED[name]
        yield from _unknown_keys(where, name, part, [*inspect.signature(taker).parameters, *more])
        yield from _value_problems(plain, where, taker, part)


def _value_problems(plain: Mapping[str, Any], where: str, taker: Any, part: Mapping[str, Any]) -> Iterator[str]:
    """Values of another type than ``taker`` expects, each by the key under which it was written."""
    found = _values(plain, where, part)
    known = {key: value for key, (name, value) in found.items() if not _refers(value) and (name, value) != AUTO}
    yield from _number_problems(where, found)
    for key, wanted in misfits(taker, known).items():
        name, value = found[key]
        yield f'{name} must be {wanted}, got {brief(value)}'


def _values(plain: Mapping[str, Any], where: str, part: Mapping[str, Any]) -> Dict[str, Tuple[str, Any]]:
    """The values of a part by parameter, each with the key under which it was written."""
    return {key: _resolved(plain, f'{where}.{key}' if where else key, value) for key, value in part.items()
            if key not in _RESERVED}


def _number_problems(where: str, found: Mapping[str, Tuple[str, Any]]) -> Iterator[str]:
    """Numbers of a part outside their interval; ``found``: parameter -> the key of its value, and the value."""
    part = re.sub(r'\.\d+$', '', where).rpartition('.')[2]
    section = 'dataloader' if part.endswith('_dataloader') else part
    for key, (name, value) in found.items():
        allowed, others = _INTERVALS.get(f'{section}.{key}', ('', ()))
        if allowed and is_number(value) and value not in others:
            try:
                as_number(name, value, allowed, ''.join(f' ({other}: off)' for other in others))
            except ConfigError as error:
                yield str(error)


def _resolved(plain: Mapping[str, Any], where: str, value: Any) -> Tuple[str, Any]:
    """The key of the value that a reference leads to, and the value; a reference to nothing or in a circle is kept."""
    seen: Set[str] = set()
    reference = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    while reference and reference[1] not in seen and value_at(plain, reference[1]) is not None:
        seen.add(reference[1])
        where, value = reference[1], value_at(plain, reference[1])
        reference = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return where, value


def _refers(value: Any) -> bool:
    """Whether a value is a reference that is not filled in, or a list with one: the type is not known yet."""
    if isinstance(value, (list, tuple)):
        return any(map(_refers, value))
    return isinstance(value, str) and REFERENCE.fullmatch(value) is not None


def _unknown_keys(where: str, name: str, part: Mapping[str, Any], known: Sequence[str]) -> Iterator[str]:
    for key in part:
        if key not in _RESERVED and key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f'did you mean {near[0]!r}?' if near else f'it has {", ".join(known)}'
            yield f'{where}: {name} has no key {key!r}; {hint}'


def _parameters(found: Any) -> Optional[List[str]]:
    """The keys that a class or function takes; None if they are only known when it runs.

    ``**kwargs`` stand for the parameters of the base class, if those are known.
    """
    known: List[str] = []
    for function in functions_of(found):
        parameters = inspect.signature(function).parameters.values()
        known += [p.name for p in parameters
                  if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
                  and p.name not in ('self', 'runner', 'args', *known)]
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return known
    return None


def _lookup(name: str) -> Any:
    bare = name.rsplit('.', 1)[-1]
    scopes: Dict[str, List[Any]] = dict(mmrefine=_OURS, mmengine=_MMENGINE)
    registries = scopes.get(name.partition('.')[0], _OURS + _MMENGINE)
    return next((reg.module_dict[bare] for reg in registries if bare in reg.module_dict), None)
