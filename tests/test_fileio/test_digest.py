"""Equal contents give equal digests, and nothing else does."""
from __future__ import annotations

import hashlib
import json

import pytest
import torch

from mmrefine.fileio import digest_of, digest_of_state


def test_the_digest_of_a_config_is_sha256_of_its_canonical_json() -> None:
    assert digest_of({'b': (1, 2.5), 'a': 'ü'}) == hashlib.sha256(b'{"a":"\\u00fc","b":[1,2.5]}').hexdigest()[:16]


@pytest.mark.parametrize('obj', [
    {}, [], 'x', {'b': {'d': [1, {'f': 2, 'e': ()}], 'c': None}, 'a': {}}, [{'b': 1, 'a': [2]}, []],
    {2: 'a', 1: {'b': 0}},
])
def test_what_is_digested_bit_by_bit_is_the_text_of_one_piece(obj: object) -> None:
    text = json.dumps(obj, sort_keys=True, separators=(',', ':'))
    assert digest_of(obj) == hashlib.sha256(text.encode()).hexdigest()[:16]


@pytest.mark.parametrize('one, other, same', [
    ({'a': 1, 'b': 2}, {'b': 2, 'a': 1}, True),
    ([1, 2], [2, 1], False),
    ({'alpha': 0.1}, {'alpha': 0.1 + 1e-16}, False),
    ({'a': None}, {}, False),
])
def test_configs_with_one_meaning_share_a_digest(one: object, other: object, same: bool) -> None:
    assert (digest_of(one) == digest_of(other)) is same


def test_a_config_value_without_stable_text_is_refused() -> None:
    with pytest.raises(TypeError, match='Tensor'):
        digest_of({'mean': torch.zeros(3)})


def test_names_types_shapes_and_bytes_of_weights_all_count() -> None:
    base = {'a': torch.arange(6.), 'n': torch.tensor(3)}
    same = {'n': torch.tensor(3), 'a': torch.arange(12.)[::2] / 2}
    others = [
        {'b': base['a'], 'n': base['n']},
        {'a': base['a'].bfloat16(), 'n': base['n']},
        {'a': base['a'].view(2, 3), 'n': base['n']},
        {'a': base['a'], 'n': torch.tensor(4)},
        {'a': base['a']},
    ]
    assert digest_of_state(base) == digest_of_state(same)
    assert len({digest_of_state(state) for state in [base, *others]}) == 6
