"""An index of a store that is not as it was written is named in a sentence, whoever meets it; or it changes nothing
that counts.
"""
from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest
from helpers_fileio import label, tree

from mmrefine.errors import LabelStoreError, MMRefineError
from mmrefine.fileio import LabelStore
from mmrefine.fileio.store.layout import wanted_of
from mmrefine.fileio.store.merge import merge_stores
from mmrefine.fileio.store.verification import verify_store

FINGERPRINT = {'teacher': 'aaaa', 'frames/cat': 'cccc'}
KEYS = ['cat/0__1', 'dog/run/1__2']
OTHERS: Tuple[Any, ...] = (None, True, 0, 1.5, 'x', '\ud800', [], [1], {}, {'x': {}})
FILES = [('complete', 'fingerprint.json'), ('complete', 'manifest.json'), ('complete', 'quality.json'),
         ('unfinished', 'fingerprint.json'),
         ('unfinished', 'wanted.json'), ('unfinished', f'{KEYS[0]}.json'),
         ('unfinished', f'{KEYS[1]}.json')]


def go_on(root: Path) -> LabelStore:
    """What a labelling run does; not to its end."""
    store = LabelStore(root, FINGERPRINT)
    store.create()
    store.expect(wanted_of(KEYS))
    for at, key in enumerate(KEYS):
        if not store.has(key):
            store.write(key, label(at, soft=at == 0), {'kept': 0.25 + at, 'none': None}, {'weight': 3.5 + at})
    return store


def labelled(root: Path) -> Dict[str, bytes]:
    """The store when a labelling run has come to its end."""
    go_on(root).finish(KEYS, {'summary': {'kept': 0.75}})
    return tree(root)


def merged(root: Path) -> Dict[str, bytes]:
    """The store that it is merged into."""
    out = root.with_name('out')
    shutil.rmtree(out, ignore_errors=True)
    merge_stores(out, [root])
    return tree(out)


def merged_into(root: Path) -> Dict[str, bytes]:
    """The store when another that has all labels was merged into it."""
    merge_stores(root, [root.with_name('complete')])
    return tree(root)


def read(root: Path) -> Any:
    """All that a training and a report ask a complete store for; what judges the labels may be None, then they are
    read.
    """
    store = LabelStore.open(root)
    labels = [store.read(key) for key in store.keys()]
    return [store.keys(), store.manifest['extra'], [(its.flow.tolist(), its.weight.tolist()) for its in labels],
            [(store.stats(key), store.has(key)) for key in store.keys()],
            [known for known in map(store.quality, store.keys()) if known is not None]
            or [{'weight': 3.5}, {'weight': 4.5}]]


def flipped(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 5):
        yield data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1:]


def truncated(data: bytes) -> Iterator[bytes]:
    yield from (data[:at] for at in range(0, len(data), 1 + len(data) // 40))


def edited(data: bytes) -> Iterator[bytes]:
    """Each value once as each of the others, each entry once gone, once under another name and once twice."""
    whole = json.loads(data)

    def changes(found: Any) -> Iterator[Any]:
        yield from (other for other in OTHERS if (other, type(other)) != (found, type(found)))
        for name, value in list(found.items() if isinstance(found, dict) else []):
            rest = {n: v for n, v in found.items() if n != name}
            yield from [rest, {**rest, name + '?': value}, {**found, name + '?': value}]
            yield from ({**found, name: change} for change in changes(value))
        for at, value in enumerate(found if isinstance(found, list) else []):
            yield from ([*found[:at], change, *found[at + 1:]] for change in changes(value))

    yield from (json.dumps(change, indent=1).encode() + b'\n' for change in changes(whole))


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a complete store and one whose labels are all there."""
    monkeypatch.setattr(os, 'fsync', lambda handle: None)  # thousands of stores
    labelled(tmp_path / 'complete')
    go_on(tmp_path / 'unfinished')
    return tmp_path


def outcome(look: Callable[[Path], Any], root: Path) -> Any:
    """What ``look`` finds, or the sentence that it says instead."""
    try:
        return look(root)
    except MMRefineError as error:
        assert '\n' not in str(error) and str(root.parent) in str(error)
        return None


@pytest.mark.parametrize('how', [flipped, truncated, edited])
@pytest.mark.parametrize('store, name', FILES)
def test_a_damaged_index_is_found_by_whoever_reads_it(stores: Path, store: str, name: str,
                                                      how: Callable[[bytes], Iterator[bytes]]) -> None:
    root, copy = stores / store, stores / 'copy'
    data, before = (root / name).read_bytes(), tree(root)
    looks: List[Callable[[Path], Any]] = [read] if store == 'complete' else []
    changes: List[Callable[[Path], Any]] = [labelled, merged, merged_into]
    wanted = {look: look(stores / 'complete') for look in [read, labelled, merged]}
    wanted[merged_into] = wanted[labelled]
    found = {look: 0 for look in looks + changes}
    damages = [damage for damage in how(data) if damage != data]
    assert len(damages) > 5
    for number, damage in enumerate(damages):
        (root / name).write_bytes(damage)
        faults = [str(fault) for fault in verify_store(root).faults
                  if not fault.problem.startswith('is missing: labelling')]
        blamed = f'/{name}: ' if name != 'fingerprint.json' else name  # of which a label may say that it is not its own
        assert any(blamed in fault for fault in faults), damage
        asked = looks + (changes if number % 7 == 0 else [])  # these write
        for look in asked:
            if look in changes:
                shutil.rmtree(copy, ignore_errors=True)
                shutil.copytree(root, copy)
            result = outcome(look, copy if look in changes else root)
            assert result is None or result == wanted[look], (look.__name__, damage)
            found[look] += result is None
    (root / name).write_bytes(data)
    assert tree(root) == before
    if name in ('manifest.json', f'{KEYS[0]}.json'):
        assert found[merged] > len(damages) // 10  # it does matter
    if name == 'manifest.json':
        assert found[read] > len(damages) - 3
    if name == 'wanted.json' or name.startswith(('cat', 'dog')):
        assert found[labelled] == 0  # mended by the way


def test_the_sentence_says_what_to_do(stores: Path) -> None:
    for store, name, look, old, message in (
            ('complete', 'manifest.json', read, b'1.25',
             r'is broken: its contents have the digest \w+, it was written with \w+; bring'),
            ('unfinished', 'wanted.json', merged, b'2,', 'is broken: its contents are not those that were sealed; '
                                                         'delete this file, the'),
            ('unfinished', f'{KEYS[1]}.json', merged, b'1.25',
             r'is broken: .*; delete this file and run the labelling again, which makes'),
            ('unfinished', 'fingerprint.json', merged, b'aaaa',
             r'not belong to the store: it was made from \w+, fingerprint.json says')):
        path = stores / store / name
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, b'3' + old[1:]))
        with pytest.raises(LabelStoreError, match=message):
            look(stores / store)
        path.write_bytes(data)


GONE = {
    'is gone': lambda path: path.unlink(),
    'is cut': lambda path: os.truncate(path, path.stat().st_size - 3),
    'is empty': lambda path: os.truncate(path, 0),
    'has more': lambda path: path.write_bytes(path.read_bytes() + b'x'),
}


@pytest.mark.parametrize('name', [f'{KEYS[0]}.png', f'{KEYS[0]}.weight.png', f'{KEYS[1]}.png', f'{KEYS[1]}.json'])
@pytest.mark.parametrize('how', GONE)
def test_a_label_that_has_lost_a_file_is_made_again(stores: Path, name: str, how: str) -> None:
    wanted = tree(stores / 'complete')
    GONE[how](stores / 'unfinished' / name)
    store, key = LabelStore(stores / 'unfinished', FINGERPRINT), name.split('.')[0]
    assert [store.has(one) for one in KEYS] == [one != key for one in KEYS]
    with pytest.raises(LabelStoreError, match=f"1 of 2 labels are missing or not whole, the first is '{key}'; run the "
                                              'labelling again'):
        store.finish(KEYS)
    assert labelled(stores / 'unfinished') == wanted


def test_a_label_that_has_lost_a_file_is_taken_from_the_store_that_has_it(stores: Path) -> None:
    wanted = tree(stores / 'complete')
    shutil.copytree(stores / 'unfinished', stores / 'other')
    (stores / f'unfinished/{KEYS[0]}.png').unlink()
    assert not merge_stores(stores / 'out', [stores / 'unfinished']).complete
    merge_stores(stores / 'unfinished', [stores / 'other'])
    assert {name: data for name,
            data in tree(stores / 'unfinished').items() if 'manifest' not in name}.items() <= wanted.items()


def test_a_bit_that_flipped_in_a_complete_store_is_found_when_the_label_is_read(stores: Path) -> None:
    path = stores / f'complete/{KEYS[1]}.png'
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert any(f'{KEYS[1]}.png: damaged' in str(fault) for fault in verify_store(stores / 'complete').faults)
    with pytest.raises(LabelStoreError, match=rf"{KEYS[1]}\.png: the label cannot be read \(damaged: the .*; bring"):
        LabelStore.open(stores / 'complete').read(KEYS[1])


def exchange(root: Path) -> None:
    """The pictures of the two labels change places, which no checksum inside them tells."""
    one, two = (root / f'{key}.png' for key in KEYS)
    one_data, two_data = one.read_bytes(), two.read_bytes()
    one.write_bytes(two_data)
    two.write_bytes(one_data)


def put_another(root: Path) -> None:
    """A whole PNG of equal size, whose first pixel moves the other way."""
    path = root / f'{KEYS[1]}.png'
    data = path.read_bytes()
    for seed in range(100):
        other = LabelStore(root, FINGERPRINT).codec.encode(label(seed + 2))['.png']
        if len(other) == len(data):
            break
    assert len(other) == len(data) and other != data
    path.write_bytes(other)


@pytest.mark.parametrize('change, changed', [(exchange, KEYS), (put_another, KEYS[1:])])
def test_a_whole_picture_in_the_place_of_another_is_refused_by_a_complete_store(
        stores: Path, change: Callable[[Path], None], changed: List[str]) -> None:
    change(stores / 'complete')
    store = LabelStore.open(stores / 'complete')
    for key in changed:
        with pytest.raises(LabelStoreError, match=rf'{key}\.png: the label cannot be read \(changed: not the bytes'):
            store.read(key)


@pytest.mark.parametrize('change, changed', [(exchange, KEYS), (put_another, KEYS[1:])])
def test_a_whole_picture_in_the_place_of_another_is_made_again_by_a_half_made_store(
        stores: Path, change: Callable[[Path], None], changed: List[str]) -> None:
    wanted, root = tree(stores / 'complete'), stores / 'unfinished'
    change(root)
    store = LabelStore(root, FINGERPRINT)
    assert [store.has(key) for key in KEYS] == [key not in changed for key in KEYS]
    with pytest.raises(LabelStoreError, match=f"{len(changed)} of 2 labels are missing or not whole, the first is "
                                              f"'{changed[0]}'"):
        store.finish(KEYS)
    assert labelled(root) == wanted
