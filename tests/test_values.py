"""Values of a config against what the parameters say that they take,
and the parts of stage 1 that are built from them.
"""
from __future__ import annotations

import re
from pathlib import Path
from types import MappingProxyType
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np
import pytest
from mmengine.config import Config, ConfigDict

import mmrefine.labeling  # noqa: F401  (registers)
from mmrefine.errors import ConfigError, InputError
from mmrefine.registry import BALANCERS, DENSIFIERS, FILTERS, LABELERS, TEACHER_VIEWS
from mmrefine.structures import FlowEstimator
from mmrefine.values import as_choice, as_count, as_number, as_range, as_share, as_size, brief, check_values, misfits

VIEW = dict(type='CascadeView')


class Fails:
    """A part of somebody else's."""

    def __init__(self, error):
        raise error


def taker(number: float = 1.,
          whole: int = 1,
          flag: bool = False,
          text: str = '',
          path: Optional[Union[str, Path]] = None,
          numbers: Sequence[float] = (),
          pair: Tuple[int, int] = (1, 1),
          open_end: Tuple[float, ...] = (),
          part: Optional[Dict[str, Any]] = None,
          parts: Sequence[Dict[str, Any]] = (),
          either: Union[int, Sequence[int]] = 1,
          table: Optional[Mapping[str, Sequence[str]]] = None,
          bare: List = [],
          anything: Any = None,
          action: Optional[Callable[[], int]] = None,
          model: Union[Fails, Dict] = {},
          models: Optional[List[Union[Fails, Dict]]] = None,
          estimator: Optional[FlowEstimator] = None,
          late: float = None,
          untyped=None) -> None:
    """Whatever a config may hold."""


@pytest.mark.parametrize('key, value', [
    ('number', 1), ('number', np.float32(2)), ('number', float('nan')), ('whole', np.int64(3)), ('flag', True),
    ('text', Path('a')),
    ('path', None), ('path', 'a'), ('numbers', [1, 2.5]), ('numbers', ()), ('pair', [2, 3]), ('open_end', (1, 2, 3)),
    ('part', dict(a=1)),
    ('part', ConfigDict(a=1)), ('parts', [dict(a=1)]), ('either', 2), ('either', [1, 2]), ('table', dict(a=5)),
    ('bare', [1, 'a']),
    ('anything', 'x'), ('action', len), ('model', dict(type='A')), ('late', None), ('untyped', 5), ('unknown', 5),
    ('estimator', 5),
])
def test_what_an_annotation_allows_fits(key, value):
    assert misfits(taker, {key: value}) == {}


@pytest.mark.parametrize('key, value, wanted', [
    ('number', 'abc', 'a number, such as 1.0'),
    ('number', None, 'a number, such as 1.0'),
    ('number', True, 'a number, such as 1.0'),
    ('whole', 1.5, 'a whole number, such as 1'),
    ('whole', 2., 'a whole number, such as 1'),
    ('whole', False, 'a whole number, such as 1'),
    ('flag', 'no', 'True or False'),
    ('flag', 1, 'True or False'),
    ('text', 5, 'a string'),
    ('path', 5, 'a string or None'),
    ('numbers', 2, 'a list of numbers'),
    ('numbers', '12', 'a list of numbers'),
    ('numbers', [1, 'b'], 'a list of numbers'),
    ('pair', (1, 2, 3), 'a list of 2 whole numbers, such as (1, 1)'),
    ('open_end', ['a'], 'a list of numbers'),
    ('part', 'Novelty', 'a dict or None'),
    ('parts', 5, 'a list of dicts'),
    ('parts', [5], 'a list of dicts'),
    ('either', 'x', 'a whole number or a list of whole numbers, such as 1'),
    ('table', 5, 'a dict or None'),
    ('bare', 5, 'a list'),
    ('model', 'x', 'a dict'),
    ('models', 5, 'a list of dicts or None'),
    ('models', [5], 'a list of dicts or None'),
    ('action', 5, 'Callable or None'),
])
def test_another_type_is_told_in_words(key, value, wanted):
    assert misfits(taker, {key: value}) == {key: wanted}
    with pytest.raises(ConfigError) as refused:
        check_values('Taker', taker, {key: value, 'unknown': 5})
    assert str(refused.value) == f'Taker.{key} must be {wanted}, got {value!r}'


def test_keys_that_go_to_a_base_are_judged_by_the_base():

    class Base:

        def __init__(self, floor: float = 0.5, step: int = 1) -> None:
            pass

    class Part(Base):

        def __init__(self, step: str, **kwargs: Any) -> None:
            pass

    assert misfits(Part, dict(step=1, floor='x', kwargs=5)) == dict(step='a string', floor='a number, such as 0.5')


def test_an_annotation_that_only_a_type_checker_can_read_says_nothing_and_the_others_count():

    def odd(value: 'Nowhere', text: str) -> None:  # noqa: F821
        pass

    assert misfits(odd, dict(value=5, text=5)) == dict(text='a string')


def test_a_long_value_is_cut():
    assert brief([1, 2]) == '[1, 2]' and brief('a\nb') == r"'a\nb'"
    assert len(brief(list(range(100)))) <= 60 and brief(list(range(100))).endswith('…')


@pytest.mark.parametrize('check, said', [
    (lambda: as_count('a.b', 0), 'a.b must be a whole number, at least 1, got 0'),
    (lambda: as_count('a.b', 1.5), 'a.b must be a whole number, at least 1, got 1.5'),
    (lambda: as_count('a.b', True), 'a.b must be a whole number, at least 1, got True'),
    (lambda: as_count('a.b', 'x', 0), "a.b must be a whole number, at least 0, got 'x'"),
    (lambda: as_number('a.b', -1), 'a.b must be finite and not negative, got -1'),
    (lambda: as_number('a.b', float('inf')), 'a.b must be finite and not negative, got inf'),
    (lambda: as_number('a.b', float('nan')), 'a.b must be finite and not negative, got nan'),
    (lambda: as_number('a.b', True), 'a.b must be finite and not negative, got True'),
    (lambda: as_number('a.b', 0, '(0, inf)', ' px'), 'a.b must be finite and above 0, got 0 px'),
    (lambda: as_number('a.b', .5, '[1, inf)'), 'a.b must be finite and at least 1, got 0.5'),
    (lambda: as_number('a.b', 0, '(0, 1]'), r'a.b must lie in \(0, 1\], got 0'),
    (lambda: as_number('a.b', 1, '[0, 1)'), r'a.b must lie in \[0, 1\), got 1'),
    (lambda: as_choice('a.b', 'x', ('y', 'z')), "a.b must be 'y' or 'z', got 'x'"),
    (lambda: as_share('a.b', 'x'), r"a.b must lie in \[0, 1\], got 'x'"),
    (lambda: as_share('a.b', float('nan')), r'a.b must lie in \[0, 1\], got nan'),
    (lambda: as_range('a.b', 5), r'a.b must be \(lowest, highest\), got 5'),
    *((lambda value=value: as_size('a.b', value, 3),
       r'a.b must be \(height, width\) in px, each from 3 to 65535, and at most 268435456 pixels in all, got '
       + re.escape(repr(value))) for value in (5, 'ab', (3, ), (3, 3, 3), (2, 3), (3., 3), (3, 65536), (16385, 16384))),
])
def test_an_invalid_value_is_named(check, said):
    with pytest.raises(ConfigError, match=f'^{said}$'):
        check()


def test_the_smallest_and_the_largest_size_are_allowed():
    assert [as_size('a', size, 3) for size in ([3, 65535], (16384, 16384))] == [(3, 65535), (16384, 16384)]


def test_an_end_in_square_brackets_is_allowed_and_any_number_becomes_a_float():
    assert [as_number('a', 0), as_number('a', 1, '(0, 1]'), as_number('a', 1, '[1, 2)')] == [0., 1., 1.]
    assert type(as_number('a', 1)) is float and as_choice('a', 'y', ('y', 'z')) == 'y'


@pytest.mark.parametrize('registry, config, said', [
    (LABELERS, dict(type='FlowLabeler', view=VIEW, floor='abc'),
     "FlowLabeler.floor must be a number, such as 0.0, got 'abc'"),
    (LABELERS, dict(type='FlowLabeler', view=VIEW, min_kept=None),
     'FlowLabeler.min_kept must be a number, such as 0.0, got None'),
    (LABELERS, dict(type='FlowLabeler', view=VIEW, filters=5), 'FlowLabeler.filters must be a list of dicts, got 5'),
    (LABELERS, dict(type='FlowLabeler', view=5), 'FlowLabeler.view must be a dict, got 5'),
    (LABELERS, dict(type='FlowLabeler', view=VIEW, balance='Novelty'),
     "FlowLabeler.balance must be a dict or None, got 'Novelty'"),
    (LABELERS, dict(type='FlowLabeler', view=dict(type='CascadeView', scales=2)),
     'CascadeView.scales must be a list of numbers, such as (1.0, 2.0), got 2'),
    (LABELERS, dict(type='FlowLabeler', view=VIEW, filters=[dict(type='CycleFilter', alpha='a')]),
     "CycleFilter.alpha must be a number, such as 0.002, got 'a'"),
    (LABELERS, dict(type='FlowLabeler'),
     'the labeler FlowLabeler cannot be built from {} (TypeError: FlowLabeler.__init__() missing'),
    (LABELERS, dict(type='FlowLabeler', view={}),
     'a teacher view must be a dict with a type, one of ArbitratedTracks, ArbitratedView'),
    (TEACHER_VIEWS, dict(type='ArbitratedView', trust='x', flip='no'),
     "ArbitratedView.flip must be True or False, got 'no'; ArbitratedView.trust must be a "
     "number, such as 3.0, got 'x'"),
    (FILTERS, dict(type='CycleFiler'), "there is no filter 'CycleFiler'; did you mean CycleFilter?"),
    (FILTERS, dict(type='x.Nothing'), "there is no filter 'x.Nothing'; there are "),
    (FILTERS, dict(type=5), 'there is no filter 5; there are'),
    (FILTERS, dict(type='CycleFilter', alfa=1), "CycleFilter cannot be built from {'alfa': 1} (TypeError: "),
    (FILTERS, dict(alpha=1), 'a filter must be a dict with a type, one of'),
    (FILTERS, 'CycleFilter', 'a filter must be a dict with a type, one of'),
    (DENSIFIERS, dict(type='EdgeAwareDensify', reach=1.5), 'EdgeAwareDensify.reach must be a whole '
                                                           'number, such as 16, got 1.5'),
    (BALANCERS, dict(type='SpeedQuota', quotas='x'), "SpeedQuota.quotas must be a number or a list of "
                                                     "numbers, such as 0.25, got 'x'"),
    (BALANCERS, dict(type='Novelty', half=0), 'Novelty.half must be finite and above 0, got 0 px'),
])
def test_a_part_of_stage_1_that_cannot_be_built_is_the_fault_of_its_config(registry, config, said):
    with pytest.raises(ConfigError) as refused:
        registry.build(config)
    assert said in str(refused.value) and '\n' not in str(refused.value)


@pytest.mark.parametrize('error', [TypeError('a\nb'), ValueError('a b'), KeyError('a b'), AttributeError('a b'),
                                   RecursionError('a b')])
def test_what_a_constructor_of_somebody_elses_raises_names_part_and_values(error):
    with pytest.raises(ConfigError,
                       match=rf'the filter Fails cannot be built from .*\({type(error).__name__}: .?a b') as refused:
        FILTERS.build(dict(type=Fails, error=error))
    assert refused.value.__cause__ is error


@pytest.mark.parametrize('error', [InputError('a'), OSError('a'), RuntimeError('a')])
def test_other_errors_of_a_constructor_stay_as_they_are(error):
    with pytest.raises(type(error), match='^a$'):
        FILTERS.build(dict(type=Fails, error=error))


def test_every_kind_of_config_is_taken():
    for config in (dict(VIEW), ConfigDict(VIEW), Config(dict(VIEW)), MappingProxyType(VIEW)):
        assert TEACHER_VIEWS.build(config).scales == (1., 2.)
