"""Stores that were made apart become the store that one process makes, or are refused by what is wrong."""
from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterable, List, Tuple

import cv2
import pytest
from helpers_fileio import die_at, in_child, label, tree

from mmrefine.errors import LabelStoreError, StaleLabelsError
from mmrefine.fileio import LabelStore
from mmrefine.fileio.store.layout import wanted_of
from mmrefine.fileio.store.merge import MergedStore, merge_stores
from mmrefine.fileio.store.statistics import summarize
from mmrefine.fileio.store.verification import verify_store

FINGERPRINT = {'teacher': 'aaaa', 'frames': 'cccc'}
KEYS = [f'{scene}/{at}__{at + 1}' for scene in ('cat', 'dog/run') for at in range(3)]


def stats_of(key: str) -> Dict[str, float]:
    return {'kept': 0.1 * KEYS.index(key), 'motion': 1 / (1 + KEYS.index(key))}


def made(root: Path, keys: Iterable[str], complete: bool = True, **changes: str) -> Path:
    """A store with these labels, complete with a summary as a labelling run leaves it, or killed before that."""
    store = LabelStore(root, {**FINGERPRINT, **changes})
    store.create()
    for key in keys:
        quality = None if key == KEYS[4] else {'weight': 1.5 * KEYS.index(key)}  # one was made by an older version
        store.write(key, label(KEYS.index(key), soft=KEYS.index(key) % 2 == 1), stats_of(key), quality)
    if complete:
        store.finish(keys, {'summary': summarize((key, stats_of(key)) for key in keys)})
    return root


def whole(tmp_path: Path) -> Dict[str, bytes]:
    return tree(made(tmp_path / 'one process', KEYS))


SHARES = {
    'two machines': [KEYS[:3], KEYS[3:]],
    'three shards': [KEYS[0::3], KEYS[1::3], KEYS[2::3]],
    'some twice': [KEYS[:4], KEYS[2:], KEYS[5:]],
    'one that has all': [KEYS[1:2], KEYS],
    'a single one': [KEYS],
}


@pytest.mark.parametrize('shares', SHARES)
@pytest.mark.parametrize('backwards', [False, True])
def test_the_merged_store_is_to_the_byte_the_one_of_one_process(tmp_path: Path, shares: str, backwards: bool) -> None:
    inputs = [made(tmp_path / str(at), keys) for at, keys in enumerate(SHARES[shares])][::-1 if backwards else 1]
    before = [tree(root) for root in inputs]
    assert merge_stores(tmp_path / 'out', inputs) == MergedStore(labels=6, added=6, complete=True)
    assert tree(tmp_path / 'out') == whole(tmp_path)
    assert [tree(root) for root in inputs] == before
    assert merge_stores(tmp_path / 'out', inputs) == MergedStore(labels=6, added=0, complete=True)
    assert tree(tmp_path / 'out') == whole(tmp_path) and not verify_store(tmp_path / 'out').faults


def test_unfinished_stores_give_an_unfinished_one_that_the_labelling_run_completes(tmp_path: Path) -> None:
    inputs = [made(tmp_path / '0', KEYS[:3], complete=False), made(tmp_path / '1', KEYS[4:], complete=False)]
    assert merge_stores(tmp_path / 'out', inputs) == MergedStore(labels=5, added=5, complete=False)
    assert tree(tmp_path / 'out') == tree(made(tmp_path / 'killed', KEYS[:3] + KEYS[4:], complete=False))
    made(tmp_path / 'out', KEYS)
    assert tree(tmp_path / 'out') == whole(tmp_path)


def expecting(root: Path, keys: Iterable[str] = KEYS) -> Path:
    LabelStore(root, FINGERPRINT).expect(wanted_of(keys))
    return root


@pytest.mark.parametrize('noted', [(0, ), (1, ), (0, 1)])
def test_unfinished_stores_that_have_all_that_is_wanted_give_a_complete_one(tmp_path: Path,
                                                                            noted: Tuple[int, ...]) -> None:
    inputs = [made(tmp_path / '0', KEYS[:4], complete=False), made(tmp_path / '1', KEYS[3:], complete=False)]
    for at in noted:
        expecting(inputs[at], KEYS[::-1])
    assert merge_stores(tmp_path / 'out', inputs[:1]) == MergedStore(labels=4, added=4, complete=False)
    assert (tmp_path / 'out/wanted.json').exists() is (0 in noted)
    assert merge_stores(tmp_path / 'out', inputs[1:]) == MergedStore(labels=6, added=2, complete=True)
    assert merge_stores(tmp_path / 'again', inputs) == MergedStore(labels=6, added=6, complete=True)
    assert tree(tmp_path / 'out') == tree(tmp_path / 'again') == whole(tmp_path)
    assert not verify_store(tmp_path / 'out').faults


def test_who_labelled_is_known_of_the_merged_store_too(tmp_path: Path) -> None:
    inputs = [made(tmp_path / '0', KEYS[:4], complete=False), made(tmp_path / '1', KEYS[4:], complete=False)]
    for root in inputs:
        LabelStore(root, FINGERPRINT).expect(wanted_of(KEYS, 'raft'))
    assert merge_stores(tmp_path / 'out', inputs).complete
    extra = LabelStore.open(tmp_path / 'out').manifest['extra']
    assert extra == {'summary': LabelStore.open(made(tmp_path / 'one', KEYS)).manifest['extra']['summary'],
                     'labelled_by': 'raft'}
    # the same weights, in a file of another name
    LabelStore(tmp_path / 'other', FINGERPRINT).create()
    other = LabelStore(made(tmp_path / 'other', KEYS[:4], complete=False), FINGERPRINT)
    other.finish(KEYS[:4], {'labelled_by': 'a copy of raft', 'summary': {}})
    merge_stores(tmp_path / 'both', [tmp_path / 'out', other.root])
    assert LabelStore.open(tmp_path / 'both').manifest['extra'] == extra


def test_a_label_more_or_less_than_wanted_is_not_complete(tmp_path: Path) -> None:
    inputs = [made(tmp_path / '0', KEYS[:3], complete=False),
              expecting(made(tmp_path / '1', KEYS[3:5], complete=False))]
    assert not merge_stores(tmp_path / 'out', inputs).complete
    expecting(inputs[1], KEYS[:4])
    assert not merge_stores(tmp_path / 'other', inputs).complete
    assert json.loads((tmp_path / 'other/wanted.json').read_text())['labels'] == 4
    assert [fault.path.name for fault in verify_store(tmp_path / 'other').faults] == ['manifest.json']


def test_what_is_wanted_is_forgotten_when_it_is_there(tmp_path: Path) -> None:
    root = expecting(made(tmp_path / '0', KEYS, complete=False))
    made(root, KEYS)
    assert tree(root) == whole(tmp_path) and LabelStore.open(root).expected() is None
    assert tree(expecting(root)) == whole(tmp_path)
    (root / 'wanted.json').write_text('{}')  # a run was killed between the manifest and this
    assert 'does not belong' in str(verify_store(root).faults[0])
    LabelStore(root, FINGERPRINT).create()
    assert tree(root) == whole(tmp_path)


def test_an_unfinished_store_adds_nothing_to_a_complete_one_that_has_all_its_labels(tmp_path: Path) -> None:
    inputs = [made(tmp_path / '0', KEYS[:3], complete=False), made(tmp_path / '1', KEYS)]
    assert merge_stores(tmp_path / 'out', inputs).complete
    assert tree(tmp_path / 'out') == whole(tmp_path)


def test_one_store_after_the_other_is_the_same_as_all_at_once(tmp_path: Path) -> None:
    for at, keys in enumerate(SHARES['three shards']):
        assert merge_stores(tmp_path / 'out', [made(tmp_path / str(at), keys)]) == MergedStore(2 * (at + 1), 2, True)
    assert tree(tmp_path / 'out') == whole(tmp_path)


def test_a_merge_killed_at_any_of_its_steps_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    inputs = [made(tmp_path / '0', KEYS[:2]), made(tmp_path / '1', KEYS[2:3])]
    before, wanted, ends = [tree(root) for root in inputs], tree(made(tmp_path / 'whole', KEYS[:3])), []
    for step in range(40):
        out = tmp_path / f'killed {step}'
        ends.append(in_child(die_at(step, lambda: merge_stores(out, inputs))))
        merge_stores(out, inputs)
        assert tree(out) == wanted, f'step {step}'
        if ends[-1] == 0:
            break
    # fingerprint, 3 x (flow, statistics), one file of weights, manifest, 3 removals: at least 12 steps
    assert len(ends) > 12 and set(ends[:-1]) == {-signal.SIGKILL} and ends[-1] == 0
    assert [tree(root) for root in inputs] == before


def refused(tmp_path: Path, inputs: List[Path], kind: type = LabelStoreError) -> str:
    """The message of a merge that writes nothing."""
    before = tree(tmp_path)
    with pytest.raises(kind) as caught:
        merge_stores(tmp_path / 'out', inputs)
    assert tree(tmp_path) == before
    return str(caught.value)


@pytest.mark.parametrize('complete', [True, False])
def test_other_fingerprints_are_refused_by_what_differs(tmp_path: Path, complete: bool) -> None:
    ours, other = made(tmp_path / 'ours', KEYS[:3]), made(tmp_path / 'other', KEYS[3:], complete, teacher='bbbb',
                                                          version='2')
    assert refused(tmp_path, [ours, other], StaleLabelsError) == (
        f'{other}: cannot be merged with {ours}, its labels were made with other teacher (there aaaa, here bbbb), '
        'version (there none, here 2); merge only stores of the same teacher, labeler and frames')
    made(tmp_path / 'out', KEYS[3:], complete, teacher='bbbb')
    assert refused(tmp_path, [ours], StaleLabelsError).startswith(f'{tmp_path}/out: cannot be merged with {ours}, ')


@pytest.mark.parametrize('at, stats, differ', [
    (4, stats_of(KEYS[2]), '.png'),
    (1, stats_of(KEYS[2]), '.png, .weight.png'),
    (2, {'kept': 0.3}, 'statistics'),
])
def test_two_stores_that_disagree_on_a_pair_are_refused_by_its_name(tmp_path: Path, at: int, stats: Dict[str, float],
                                                                    differ: str) -> None:
    ours, other = made(tmp_path / 'ours', KEYS[:3]), made(tmp_path / 'other', KEYS[3:], complete=False)
    LabelStore(other, FINGERPRINT).write(KEYS[2], label(at, soft=at % 2 == 1), stats)
    assert f"other: its label 'cat/2__3' is not the one of {ours} ({differ} differ)" in refused(tmp_path, [ours, other])
    assert f"ours: its label 'cat/2__3' is not the one of {other} ({differ} differ)" in refused(tmp_path, [other, ours])
    made(tmp_path / 'out', KEYS[:3])  # what was merged before counts too
    assert f"its label 'cat/2__3' is not the one of {tmp_path}/out" in refused(tmp_path, [other])


def test_two_stores_whose_files_are_packed_otherwise_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = made(tmp_path / 'ours', KEYS[:4])
    plain = cv2.imencode
    monkeypatch.setattr(cv2, 'imencode', lambda suffix, image, params=(): plain(suffix, image,
                                                                                [cv2.IMWRITE_PNG_COMPRESSION, 0]))
    other = made(tmp_path / 'other', KEYS[2:])
    monkeypatch.undo()
    assert (ours / f'{KEYS[2]}.png').read_bytes() != (other / f'{KEYS[2]}.png').read_bytes()
    merged = merge_stores(tmp_path / 'out', [ours, other])
    assert merged.labels == len(KEYS) and merged.complete and not verify_store(tmp_path / 'out').faults
    assert (tmp_path / f'out/{KEYS[2]}.png').read_bytes() == (ours / f'{KEYS[2]}.png').read_bytes()


def test_a_damaged_label_is_named_and_not_copied(tmp_path: Path) -> None:
    store = made(tmp_path / '0', KEYS)
    path = store / f'{KEYS[1]}.weight.png'
    data = path.read_bytes()
    path.write_bytes(data[:-5])
    message = rf'{re.escape(str(path))}: truncated: .* \(digest \w+, wanted \w+\); bring this file back'
    with pytest.raises(LabelStoreError, match=message):
        merge_stores(tmp_path / 'out', [store])
    assert not LabelStore(tmp_path / 'out', FINGERPRINT).has(KEYS[1]) and not (tmp_path / 'out/manifest.json').exists()
    path.write_bytes(data)
    merge_stores(tmp_path / 'out', [store])
    assert tree(tmp_path / 'out') == whole(tmp_path)
    (store / f'{KEYS[0]}.png').unlink()
    with pytest.raises(LabelStoreError, match=r'cat/0__1\.png: the label cannot be read .*No such file'):
        merge_stores(tmp_path / 'again', [store])


@pytest.mark.parametrize('name', ['ours', 'ours/cat', '.'])
def test_a_store_is_not_merged_into_itself_nor_around_itself(tmp_path: Path, name: str) -> None:
    ours = made(tmp_path / 'ours', KEYS)
    before = tree(tmp_path)
    with pytest.raises(LabelStoreError, match=rf'is, holds or lies in {re.escape(str(ours))}'):
        merge_stores(tmp_path / name, [ours])
    assert tree(tmp_path) == before


def test_what_is_no_store_is_said(tmp_path: Path) -> None:
    ours = made(tmp_path / 'ours', KEYS)
    (tmp_path / 'thesis').mkdir()
    (tmp_path / 'thesis/x.txt').write_text('x')
    assert f'{tmp_path}/gone: is not a label store (there is no such folder)' in refused(tmp_path,
                                                                                         [ours, tmp_path / 'gone'])
    assert f'{tmp_path}/thesis: is not a label store (it has no fingerprint.json)' in refused(tmp_path,
                                                                                              [ours,
                                                                                               tmp_path / 'thesis'])
    with pytest.raises(LabelStoreError, match=r'not empty \(x\.txt, …\)'):
        merge_stores(tmp_path / 'thesis', [ours])
    with pytest.raises(LabelStoreError, match='name at least one'):
        merge_stores(tmp_path / 'out', [])
    (ours / 'fingerprint.json').write_text('{"teacher": "bbbb", "frames": "cccc"}')
    assert 'fingerprint.json and manifest.json differ in teacher' in refused(tmp_path, [ours])


def test_a_complete_store_is_not_made_unfinished(tmp_path: Path) -> None:
    made(tmp_path / 'out', KEYS[:3])
    rest = made(tmp_path / 'rest', KEYS[3:], complete=False)
    assert refused(tmp_path, [rest]) == (f'{tmp_path}/out: is complete, and would no longer be with the unfinished '
                                         'labels '
                                         f'of {rest}; merge into a new folder')


def test_what_else_the_manifests_say_is_kept_where_all_agree_and_never_lost(tmp_path: Path) -> None:
    for at, more in enumerate(({'by': 'x'}, {'by': 'x'}, {'by': 'y'})):
        store = LabelStore(made(tmp_path / str(at), KEYS[at:at + 1], complete=False), FINGERPRINT)
        store.finish(KEYS[at:at + 1], more)
    merge_stores(tmp_path / 'two', [tmp_path / '0', tmp_path / '1'])
    assert LabelStore.open(tmp_path / 'two').manifest['extra'] == {'by': 'x'}
    assert 'the "by" of its manifest differs from that' in refused(tmp_path, [tmp_path / '0', tmp_path / '2'])


def test_a_store_of_an_older_format_is_not_merged(tmp_path: Path) -> None:
    manifest = json.loads((made(tmp_path / 'old', KEYS) / 'manifest.json').read_text())
    old = {name: value for name, value in manifest.items() if name not in ('files', 'digest')}
    (tmp_path / 'old/manifest.json').write_text(json.dumps({**old, 'format': 'mmrefine-labels/1'}))
    message = refused(tmp_path, [tmp_path / 'old'])
    assert 'is of the format mmrefine-labels/1, and this version reads only mmrefine-labels/3' in message


def test_the_summary_is_the_mean_over_all_and_over_each_scene() -> None:
    pairs = {'a/0__1': {'kept': 0.25}, 'b/c/0__1': {'kept': 1.}, 'a/1__2': {'kept': 0.5}}
    assert summarize(pairs.items()) == {'kept': 0.583333, 'scenes': {'a': {'kept': 0.375}, 'b/c': {'kept': 1.}}}
    tenths = {f'a/{at}__{at + 1}': {'kept': 10.**at} for at in range(-16, 17)}
    assert summarize(tenths.items()) == summarize(reversed(list(tenths.items())))


def test_the_command_merges_and_tells_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / 'tools'))
    monkeypatch.delitem(sys.modules, 'label_store', raising=False)
    import label_store
    inputs = [str(made(tmp_path / str(at), keys)) for at, keys in enumerate(SHARES['two machines'])]
    out = os.fspath(tmp_path / 'out')
    assert label_store.main(['merge', out, *inputs]) == 0
    assert capsys.readouterr().out == f'{out}: 6 labels, 6 copied now; complete\n'
    assert tree(tmp_path / 'out') == whole(tmp_path)
    unfinished = str(made(tmp_path / 'unfinished', KEYS[:1], complete=False))
    assert label_store.main(['merge', f'{out}2', unfinished]) == 0
    said = capsys.readouterr().out
    assert 'copied now; not complete yet; tools/make_labels.py with this store makes what is missing' in said


def test_a_statistic_that_some_labels_lack_has_no_mean_where_they_are():
    found = summarize([('a/1__2', {'kept': 0.5}), ('a/2__3', {'kept': 1., 'speed': 3.}),
                       ('b/1__2', {'kept': 0., 'speed': 1.})])
    assert found == {'kept': 0.5, 'scenes': {'a': {'kept': 0.75}, 'b': {'kept': 0., 'speed': 1.}}}


def test_stores_are_merged_and_checked_without_torch() -> None:
    tool = Path(__file__).parents[2] / 'tools/label_store.py'
    code = (f'import runpy, sys; runpy.run_path({str(tool)!r}); '
            'sys.exit("torch" in sys.modules or "cv2" not in sys.modules)')
    assert subprocess.run([sys.executable, '-c', code], timeout=60).returncode == 0
