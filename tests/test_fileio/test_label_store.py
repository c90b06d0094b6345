"""Labels come back as they were, and a store is complete, of another making, or not one at all."""
from __future__ import annotations

import errno
import json
import os
import pickle
import tracemalloc
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers_fileio import label, tree

from mmrefine.errors import LabelStoreError, StaleLabelsError
from mmrefine.fileio import LabelStore, encode_kitti, write_json
from mmrefine.fileio.codecs.flow import FlowCodec
from mmrefine.fileio.store.index import seal_of
from mmrefine.fileio.store.merge import merge_stores
from mmrefine.fileio.store.statistics import summarize
from mmrefine.fileio.store.verification import verify_store
from mmrefine.structures import FlowLabel

MADE_FROM = {'teacher': 'aaaa', 'labeler': 'bbbb', 'frames/cat': 'cccc'}


def store_in(root: Path, **changes: str) -> LabelStore:
    store = LabelStore(root, {**MADE_FROM, **changes})
    store.create()
    return store


def test_a_weight_of_0_or_1_comes_back_exactly_and_motion_to_half_a_step(tmp_path: Path) -> None:
    store, given = store_in(tmp_path), label()
    store.write('cat/0__1', given, {})
    found = store.read('cat/0__1')
    kept = given.weight > 0
    assert torch.equal(found.weight, given.weight) and 0 < given.kept < 1
    error = (found.flow - given.flow).abs()
    assert error[kept.expand(2, -1, -1)].max() <= 1 / 128
    assert not found.flow[~kept.expand(2, -1, -1)].any()
    assert sorted(tree(tmp_path)) == ['cat/0__1.json', 'cat/0__1.png', 'fingerprint.json']


def test_any_weight_comes_back_to_half_of_a_255th_and_never_dies(tmp_path: Path) -> None:
    weight = torch.tensor([0., 1e-6, 0.4 / 255, 1 / 255, 1.6 / 255, 0.5, 254.6 / 255, 1.]).view(1, 2, 4)
    store = store_in(tmp_path)
    store.write('cat/0__1', FlowLabel(torch.ones(2, 2, 4), weight), {})
    found = store.read('cat/0__1').weight
    assert (found * 255).flatten().round(decimals=4).tolist() == [0, 1, 1, 1, 2, 128, 255, 255]
    assert torch.equal(store.read('cat/0__1').flow, (weight > 0) * torch.ones(2, 2, 4))


def test_of_many_weights_each_is_within_7_percent_and_a_factor_of_2(tmp_path: Path) -> None:
    weight = torch.linspace(0, 1, 60 * 85).view(1, 60, 85)
    store = store_in(tmp_path)
    store.write('cat/0__1', FlowLabel(torch.ones(2, 60, 85), weight), {})
    found = store.read('cat/0__1').weight
    known = weight >= 1 / 255
    assert (found - weight).abs().max() <= .07 and torch.equal(found > 0, known) and 0 < (~known).sum() < 25
    assert (found[known] / weight[known]).max() <= 2 and (weight[known] / found[known]).max() <= 2
    assert found.max() == found[0, -1, -1] == 1 and len(found.unique()) == 11
    assert abs(float(found.mean() - weight.mean())) < 2e-3  # as often too little as too much
    raw = cv2.imread(str(tmp_path / 'cat/0__1.weight.png'), cv2.IMREAD_UNCHANGED)
    assert raw.dtype == np.uint8 and torch.equal(torch.from_numpy(raw).float() / 255, found[0])


@pytest.mark.parametrize('values, exact', [(16, True), (17, False)])
def test_a_few_different_weights_are_all_kept(tmp_path: Path, values: int, exact: bool) -> None:
    weight = (torch.arange(values * 4) % values).view(1, 4, values) * 15 / 255
    store = store_in(tmp_path)
    store.write('cat/0__1', FlowLabel(torch.ones(2, 4, values), weight), {})
    assert torch.equal(store.read('cat/0__1').weight, weight) is exact


WEIGHTS = {'mask': lambda w: (w > .5).float(), 'floor': lambda w: torch.where(w > .5, 1., .3),
           'few': lambda w: (w * 9).round() / 9,
           'many': lambda w: w, 'none': torch.zeros_like, 'all': torch.ones_like,
           'tiny': lambda w: w * 1e-4}


@pytest.mark.parametrize('kind', WEIGHTS)
def test_what_a_store_will_give_back_is_known_before_it_is_written(tmp_path: Path, kind: str) -> None:
    given = label(3, soft=True, size=(30, 40))
    given = FlowLabel(12 * given.flow, WEIGHTS[kind](given.weight))  # some of it faster than 511 px
    wanted = FlowCodec().as_stored(given)
    store = store_in(tmp_path)
    store.write('cat/0__1', given, {})
    store.write('cat/1__2', wanted, {})
    for key in ('cat/0__1', 'cat/1__2'):  # rounding twice is rounding once
        assert torch.equal(store.read(key).flow, wanted.flow) and torch.equal(store.read(key).weight, wanted.weight)
    files = tree(tmp_path / 'cat')
    assert files['0__1.png'] == files['1__2.png'] and files.get('0__1.weight.png') == files.get('1__2.weight.png')
    assert (wanted.flow.abs() <= 511).all() and (kind == 'none' or wanted.kept > 0)


def test_labels_whose_weights_were_kept_to_a_255th_are_read_as_they_were(tmp_path: Path) -> None:
    given, store = label(2, soft=True), store_in(tmp_path)
    weight8 = (given.weight[0] * 255).round().clamp(min=1).byte().numpy()
    flow = given.flow.permute(1, 2, 0).numpy()
    store.put('cat/0__1', {'.png': encode_kitti(flow), '.weight.png': cv2.imencode('.png', weight8)[1].tobytes()}, {})
    assert torch.equal(store.read('cat/0__1').weight[0], torch.from_numpy(weight8).float() / 255)
    store.finish(['cat/0__1'])
    assert torch.equal(LabelStore.open(tmp_path).read('cat/0__1').weight[0], torch.from_numpy(weight8).float() / 255)


def test_motion_that_the_layout_cannot_say_loses_its_weight(tmp_path: Path) -> None:
    flow = torch.zeros(2, 1, 4)
    flow[0, 0, 1], flow[1, 0, 2], flow[0, 0, 3] = 511.5, -600., 511.
    store = store_in(tmp_path)
    for key, weight in (('cat/0__1', 1.), ('cat/1__2', 0.5)):
        store.write(key, FlowLabel(flow, torch.full((1, 1, 4), weight)), {})
        assert (store.read(key).weight > 0).flatten().tolist() == [True, False, False, True]
        assert store.read(key).flow[0, 0].tolist() == [0, 0, 0, 511]


@pytest.mark.parametrize('packing',
                         [[cv2.IMWRITE_PNG_COMPRESSION, 0], [cv2.IMWRITE_PNG_COMPRESSION, 3],
                          [cv2.IMWRITE_PNG_STRATEGY, 3]])
def test_how_a_label_was_packed_does_not_change_what_is_read(tmp_path: Path, packing: list) -> None:
    given = label(soft=True)
    now, before = store_in(tmp_path / 'now'), store_in(tmp_path / 'before')
    now.write('cat/0__1', given, {})
    files = {suffix: cv2.imencode('.png', cv2.imread(str(path), cv2.IMREAD_UNCHANGED), packing)[1].tobytes()
             for suffix,
             path in ((suffix, tmp_path / 'now' / f'cat/0__1{suffix}') for suffix in ('.png', '.weight.png'))}
    before.put('cat/0__1', files, {})
    assert (tmp_path / 'now/cat/0__1.png').read_bytes() != files['.png']
    assert torch.equal(before.read('cat/0__1').flow, now.read('cat/0__1').flow)
    assert torch.equal(before.read('cat/0__1').weight, now.read('cat/0__1').weight)


def test_another_toolbox_reads_the_label_as_a_kitti_file(tmp_path: Path) -> None:
    flow = torch.tensor([[[1., 2.], [3., 4.]], [[-3., 0.], [5., 6.]]])
    store = store_in(tmp_path)
    store.write('cat/0__1', FlowLabel(flow, torch.tensor([[[1., 0.], [0., 1.]]])), {})
    raw = cv2.imread(str(tmp_path / 'cat' / '0__1.png'), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert raw.dtype == np.uint16 and raw[..., 2].tolist() == [[1, 0], [0, 1]]
    assert raw[0, 0, :2].tolist() == [2**15 + 64, 2**15 - 192] and raw[1, 1, :2].tolist() == [2**15 + 256, 2**15 + 384]
    # what is not labelled repeats what is above it, if anything is: that packs well, and means nothing
    assert raw[0, 1, :2].tolist() == [2**15, 2**15] and raw[1, 0, :2].tolist() == raw[0, 0, :2].tolist()
    assert store.read('cat/0__1').flow.flatten(1).T.tolist() == [[1, -3], [0, 0], [0, 0], [4, 6]]


@pytest.mark.parametrize('key', ['a b/frame 1__frame '
                                 '2', 'día/кадр__フレーム', 'a/b/c/0__1', '.hidden/.0__.1', 'v1.5/f.001__f.002',
                                 'manifest.json/fingerprint__manifest', '100%/a%2f__b',
                                 'x/' + 'n' * 244])
def test_scenes_and_frames_may_be_called_almost_anything(tmp_path: Path, key: str) -> None:
    store = store_in(tmp_path / 'labels')
    if key.startswith('manifest.json'):
        key = 'manifest/' + key.split('/')[1]
    store.write(key, label(soft=True), {'kept': 0.25})
    assert store.has(key) and store.keys() == [key]
    store.finish([key], {})
    found = LabelStore.open(tmp_path / 'labels')
    assert found.keys() == [key] and found.read(key).kept == store.read(key).kept > 0
    assert os.listdir(tmp_path) == ['labels']


@pytest.mark.parametrize('key, message', [
    ('../0__1', r"'\.\./0__1' is not a valid label key"), ('cat/../../0__1', 'is not a valid label key'),
    ('/etc/0__1', 'is not a valid label key'), ('cat//0__1', 'is not a valid label key'),
    ('cat/./0__1', 'is not a valid label key'), ('0__1', 'a key is scene/frame1__frame2'),
    ('cat/', 'is not a valid label key'), ('', 'is not a valid label key'), ('cat/0__1\0', 'is not a valid label key'),
    ('cat/0__1.weight', "clashes with the names of the store's own files"), ('cat/.mmrefine-0__1', 'clashes'),
    ('x/' + 'n' * 245, 'a name of 245 bytes, a file may have 244'), ('ü' * 123 + '/0__1', 'a name of 246 bytes'),
])
def test_a_key_that_would_leave_the_store_or_break_it_is_refused(tmp_path: Path, key: str, message: str) -> None:
    store = store_in(tmp_path / 'labels')
    before = tree(tmp_path)
    for work in (lambda: store.write(key, label(), {}), lambda: store.read(key), lambda: store.has(key),
                 lambda: store.finish([key], {})):
        with pytest.raises(LabelStoreError, match=message):
            work()
    assert tree(tmp_path) == before


OWN_NAMES = ['manifest.json/0__1', 'fingerprint.json/0__1', 'quality.json/0__1', 'wanted.json/0__1', '.lock/0__1',
             'manifest.json~/0__1', 'manifest.json~~/0__1', 'cat/manifest.json/0__1', 'cat/x.png/0__1', 'cat/0__1']


def test_names_of_the_stores_own_files_may_be_names_of_scenes(tmp_path: Path) -> None:
    store = store_in(tmp_path / 'one')
    for seed, key in enumerate(OWN_NAMES):
        store.write(key, label(seed, soft=True), {'kept': 0.5})
        assert store.keys() == sorted(OWN_NAMES[:seed + 1]) and store.has(key)
    assert not [fault for fault in verify_store(tmp_path / 'one').faults if 'is missing: labelling' not in str(fault)]
    store.finish(OWN_NAMES)
    merge_stores(tmp_path / 'two', [tmp_path / 'one'])
    assert tree(tmp_path / 'one') == tree(tmp_path / 'two') and not verify_store(tmp_path / 'two').faults
    for seed, key in enumerate(OWN_NAMES):
        wanted = store.codec.as_stored(label(seed, soft=True))
        assert torch.equal(LabelStore.open(tmp_path / 'two').read(key).flow, wanted.flow)


def test_the_manifest_holds_fingerprint_statistics_and_extras_and_the_files_are_gone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write('cat/1__2', label(1, soft=True), {'kept': 0.5, 'cycle_error_median': float('inf')})
    store.write('cat/0__1', label(0), {'kept': np.float32(0.25)})
    assert not store.is_complete() and store.keys() == ['cat/0__1', 'cat/1__2']
    with pytest.raises(LabelStoreError, match='not a complete label store'):
        store.manifest
    store.finish(['cat/1__2', 'cat/0__1'], {'frames': 3})
    assert store.is_complete() and store.has('cat/0__1') and not store.has('cat/2__3')
    manifest = json.loads((tmp_path / 'manifest.json').read_text())
    assert manifest == store.manifest == LabelStore.open(tmp_path).manifest == {
        'format': 'mmrefine-labels/3', 'kind': 'flow', 'fingerprint': MADE_FROM, 'soft': ['cat/1__2'],
        'extra': {'frames': 3},
        'files': {name: sha256((tmp_path / name).read_bytes()).hexdigest()[:16]
                  for name in ('cat/0__1.png', 'cat/1__2.png', 'cat/1__2.weight.png')}, 'digest': manifest['digest'],
        'pairs': {'cat/0__1': {'kept': 0.25}, 'cat/1__2': {'kept': 0.5, 'cycle_error_median': None}}}
    assert sorted(tree(tmp_path)) == ['cat/0__1.png', 'cat/1__2.png', 'cat/1__2.weight.png', 'fingerprint.json',
                                      'manifest.json']


def test_a_store_that_is_not_finished_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(LabelStoreError, match=r'gone: not a complete label store \(there is no such folder\)'):
        LabelStore.open(tmp_path / 'gone')
    store = store_in(tmp_path)
    store.write('cat/0__1', label(), {})
    with pytest.raises(LabelStoreError, match=r'it holds 1 labels and no manifest\.json.*run the labelling to its end'):
        LabelStore.open(tmp_path)
    inner = store_in(tmp_path / 'out/labels')
    inner.write('cat/0__1', label(), {})
    inner.finish(['cat/0__1'], {})
    with pytest.raises(LabelStoreError, match=r'out: not a complete label store .*; name .*/out/labels, which'):
        LabelStore.open(tmp_path / 'out')


def test_finishing_with_labels_missing_counts_them_and_names_the_first(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write('cat/0__1', label(), {})
    with pytest.raises(LabelStoreError, match="2 of 3 labels are missing or not whole, the first is 'cat/1__2'"):
        store.finish(['cat/2__3', 'cat/0__1', 'cat/1__2'], {})
    assert not store.is_complete()


def test_labels_of_another_making_are_refused_by_what_differs(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store_in(tmp_path)  # the same once more is welcome
    store.write('cat/0__1', label(), {})
    store.finish(['cat/0__1'], {})
    with pytest.raises(StaleLabelsError) as caught:
        store_in(tmp_path, teacher='dddd', **{'frames/dog': 'eeee'})
    assert str(caught.value) == (
        f'{tmp_path}: the labels there were made with other frames/dog (found none, this run needs eeee), '
        'teacher (found aaaa, this run needs dddd); delete the folder, or name another one, such as with --out')
    with pytest.raises(StaleLabelsError, match=r'other frames/cat \(found cccc, this run needs none\); delete'):
        LabelStore(tmp_path, {'teacher': 'aaaa', 'labeler': 'bbbb'}).create()
    other = LabelStore(tmp_path, {'teacher': 'dddd'})
    assert not other.is_complete() and not other.has('cat/0__2')
    assert LabelStore.open(tmp_path).keys() == ['cat/0__1']


def test_a_store_without_a_label_is_anybodys_until_it_has_one(tmp_path: Path) -> None:
    failed = store_in(tmp_path)  # and stopped before its first label
    failed.expect(dict(labels=3, digest='1234'))
    (tmp_path / '.mmrefine-0.tmp').write_bytes(b'of a killed writer')
    store = store_in(tmp_path, teacher='dddd')
    with pytest.raises(StaleLabelsError, match=r'other teacher \(found dddd, this run needs aaaa\)'):
        failed.write('cat/0__1', label(), {})
    store.write('cat/0__1', label(), {})
    with pytest.raises(StaleLabelsError, match=r'other teacher \(found dddd, this run needs aaaa\)'):
        store_in(tmp_path)
    store.finish(['cat/0__1'], {})
    assert LabelStore.open(tmp_path).keys() == ['cat/0__1']


def test_a_store_that_is_complete_without_a_label_stays_what_it_is(tmp_path: Path) -> None:
    store_in(tmp_path).finish([], {})
    with pytest.raises(StaleLabelsError):
        store_in(tmp_path, teacher='dddd')


def test_a_folder_of_other_things_does_not_become_a_store(tmp_path: Path) -> None:
    (tmp_path / 'thesis.txt').write_text('x')
    with pytest.raises(LabelStoreError, match=r'not empty \(thesis\.txt, …\) and has no fingerprint\.json'):
        store_in(tmp_path)
    assert list(tree(tmp_path)) == ['thesis.txt']


@pytest.mark.parametrize('name, content, message', [
    ('fingerprint.json', b'{"teacher": ', r'fingerprint\.json: cannot be read'),
    ('fingerprint.json', b'[1]', r'fingerprint\.json: is not from a label store'),
    ('manifest.json', b'{"pairs": {}}', r'manifest\.json: is not from a label store \(wanted .*fingerprint, pairs'),
])
def test_a_damaged_index_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    store_in(tmp_path).finish([], {})
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabelStoreError, match=message):
        store_in(tmp_path)
    if name == 'manifest.json':
        with pytest.raises(LabelStoreError, match=message):
            LabelStore.open(tmp_path)


@pytest.mark.parametrize('name, damage, message', [
    ('0__1.png', lambda data: data[:-20], r'0__1\.png: the label cannot be read \(truncated'),
    ('0__1.png', lambda data: data[:60] + b'?' + data[61:], r'0__1\.png: .*checksum'),
    ('0__1.weight.png', lambda data: data[:-20], r'0__1\.weight\.png: .*truncated'),
    ('0__1.weight.png', lambda data: cv2.imencode('.png', np.ones((3, 3), np.uint8))[1].tobytes(),
     r'0__1\.weight\.png: .*changed: not the bytes'),
    ('0__1.weight.png', None, r'0__1\.weight\.png: .*No such file'),
    ('0__1.png', None, r'0__1\.png: .*No such file'),
])
def test_a_damaged_label_is_named_not_guessed(tmp_path: Path, name: str, damage: object, message: str) -> None:
    store = store_in(tmp_path)
    store.write('cat/0__1', label(soft=True), {})
    store.finish(['cat/0__1'], {})
    path = tmp_path / 'cat' / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(LabelStoreError, match=message):
        LabelStore.open(tmp_path).read('cat/0__1')


def test_a_label_that_is_not_there_is_named(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    with pytest.raises(LabelStoreError, match="has no label 'cat/0__1'; run the labelling to its end"):
        store.read('cat/0__1')


def test_a_full_disk_is_said_and_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_in(tmp_path / 'labels')
    store.write('cat/0__1', label(0), {})
    before, fsync, calls = tree(tmp_path), os.fsync, []

    def full_from(first: int) -> None:
        """Let the disk be full from the n-th file on."""

        def full(fd: int) -> None:
            calls.append(fd)
            if len(calls) > first:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(fd)

        calls.clear()
        monkeypatch.setattr(os, 'fsync', full)

    for first in range(3):  # weights, flow, statistics
        full_from(first)
        with pytest.raises(LabelStoreError, match=r'cat/1__2: no room left on the disk .*free some space'):
            store.write('cat/1__2', label(1, soft=True), {})
        assert not store.has('cat/1__2') and not any('mmrefine-' in name for name in tree(tmp_path))
    full_from(0)
    with pytest.raises(LabelStoreError, match=r'manifest\.json: no room left'):
        store.finish(['cat/0__1'], {})
    with pytest.raises(LabelStoreError, match=r'new/fingerprint\.json: no room left'):
        store_in(tmp_path / 'new')
    monkeypatch.setattr(os, 'fsync', fsync)
    assert not store.is_complete() and before.items() <= tree(tmp_path).items()
    store.write('cat/1__2', label(1, soft=True), {})
    store.finish(['cat/0__1', 'cat/1__2'], {})
    assert len(LabelStore.open(tmp_path / 'labels').keys()) == 2


def test_a_label_that_is_whole_stays_as_it_is_before_and_after_the_end(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write('cat/0__1', label(0, soft=True), {'kept': 0.5})
    for _ in range(2):
        before = tree(tmp_path)
        store.write('cat/0__1', label(1), {'kept': 0.75})
        assert tree(tmp_path) == before
        store.finish(['cat/0__1'], {})
    assert torch.equal(LabelStore.open(tmp_path).read('cat/0__1').weight, store.read('cat/0__1').weight)


def test_weights_that_a_killed_writer_left_go_when_the_label_has_none(tmp_path: Path,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    store, replace, renamed = store_in(tmp_path), os.replace, []
    with monkeypatch.context() as patch:

        def lose_power(source: object, target: object) -> None:
            if renamed:
                raise KeyboardInterrupt
            renamed.append(target)
            replace(source, target)

        patch.setattr(os, 'replace', lose_power)
        with pytest.raises(KeyboardInterrupt):
            store.write('cat/0__1', label(1, soft=True), {})
    assert (tmp_path / 'cat' / '0__1.weight.png').exists() and not store.has('cat/0__1') and store.keys() == []
    store.write('cat/0__1', label(0), {})
    assert torch.equal(store.read('cat/0__1').weight, label(0).weight)
    assert not (tmp_path / 'cat' / '0__1.weight.png').exists()


@pytest.mark.parametrize('number', [1, 2, 4])
def test_a_store_of_another_format_is_refused_by_its_name(tmp_path: Path, number: int) -> None:
    store = store_in(tmp_path)
    store.write('cat/0__1', label(0), {'kept': 0.5})
    store.finish(['cat/0__1'], {})
    other = {name: value for name,
             value in store.manifest.items() if number > 2 or name not in ('files', 'digest')[:3 - number]}
    (tmp_path / 'manifest.json').write_text(json.dumps({**other, 'format': f'mmrefine-labels/{number}'}))
    message = (rf'manifest\.json: is of the format mmrefine-labels/{number}, and this version reads only '
               'mmrefine-labels/3; delete the folder, or name another one, such as with --out, and label again')
    for look in (LabelStore.open, store_in):
        with pytest.raises(LabelStoreError, match=message):
            look(tmp_path)


def test_a_complete_store_that_does_not_say_its_kind_is_one_of_flow_and_keeps_its_digest(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write('cat/0__1', label(0, soft=True), {'kept': 0.5})
    store.finish(['cat/0__1'], {})
    before = {name: value for name, value in store.manifest.items() if name != 'kind'}
    # as it was written before there were kinds
    write_json(tmp_path / 'manifest.json', {**before, 'digest': seal_of(before)})
    wanted = tree(tmp_path)
    found = LabelStore.open(tmp_path)
    assert found.codec.kind == 'flow' and torch.equal(found.read('cat/0__1').weight, store.read('cat/0__1').weight)
    again = store_in(tmp_path)
    assert again.is_complete() and again.has('cat/0__1')
    assert tree(tmp_path) == wanted and not verify_store(tmp_path).faults


def test_a_store_of_a_kind_that_nobody_knows_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LabelStoreError,
                       match=r"labels of the kind 'smell' cannot be read here, only .*flow.*; import the package"):
        store_in(tmp_path, kind='smell')


def test_finishing_again_with_other_labels_keeps_those_of_before(tmp_path: Path) -> None:
    for key in ('cat/0__1', 'cat/1__2'):  # two processes that each know their half only
        store = store_in(tmp_path)
        store.write(key, label(), {'kept': 0.5})
        store.finish([key], {})
    assert LabelStore.open(tmp_path).keys() == ['cat/0__1', 'cat/1__2']
    assert not list(tmp_path.glob('cat/*.json'))


def test_what_judges_a_label_is_kept_with_it_and_then_beside_the_manifest(tmp_path: Path) -> None:
    store, quality = store_in(tmp_path), {'weight': 0.1 + 0.2, 'kinds': {'cuts': False}, 'cycle': None}
    store.write('cat/0__1', label(0), {}, quality)
    store.write('cat/1__2', label(1), {})
    assert store.quality('cat/0__1') == quality and store.quality('cat/1__2') is None
    store.finish(['cat/0__1', 'cat/1__2'])
    line, = (line for line in (tmp_path / 'quality.json').read_text().splitlines() if 'cat/' in line)
    assert 'cat/0__1' in line and '0.30000000000000004' in line
    assert 'cycle' not in (tmp_path / 'manifest.json').read_text()
    found = LabelStore.open(tmp_path)
    assert found.quality('cat/0__1') == quality == found.record('cat/0__1')['quality']
    assert found.quality('cat/1__2') is None
    before = tree(tmp_path)
    store_in(tmp_path).finish(['cat/0__1'])
    assert tree(tmp_path) == before


@pytest.mark.parametrize('damage', [
    lambda data: data[:-9], lambda data: data.replace(b'0.5', b'0.6'), lambda data: b'[]\n',
    lambda data: data.replace(b'\n', b' \n', 1)])
def test_damage_to_what_judges_the_labels_costs_no_label_and_is_never_believed(tmp_path: Path, damage: object) -> None:
    store = store_in(tmp_path)
    store.write('cat/0__1', label(0), {}, {'weight': 0.5})
    store.finish(['cat/0__1'])
    path = tmp_path / 'quality.json'
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    found = LabelStore.open(tmp_path)
    assert found.quality('cat/0__1') is None and torch.equal(found.read('cat/0__1').weight, label(0).weight)
    with pytest.raises(LabelStoreError,
                       match=r'quality\.json: cannot be read .*or delete it: the labels are then read to be judged'):
        found.record('cat/0__1')
    path.unlink()
    assert LabelStore.open(tmp_path).record('cat/0__1')['quality'] is None


def test_what_judges_the_labels_of_another_store_is_not_believed(tmp_path: Path) -> None:
    for name, value in (('here', .25), ('there', .75)):
        store = store_in(tmp_path / name, teacher=name)
        store.write('cat/0__1', label(0), {}, {'weight': value})
        store.finish(['cat/0__1'])
    (tmp_path / 'here/quality.json').write_bytes((tmp_path / 'there/quality.json').read_bytes())
    assert LabelStore.open(tmp_path / 'here').quality('cat/0__1') is None


def test_the_end_of_a_store_takes_little_memory_for_each_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'fsync', lambda handle: None)
    files = FlowCodec().encode(label())
    stats = {f'statistic_{at}_pixels': at / 7 for at in range(20)}
    quality = {'regions': [at / 3 for at in range(30)], 'kinds': {'cuts': False}}
    peaks, sizes = [], []
    for count in (50, 350):
        root = tmp_path / str(count)
        store, keys = store_in(root), [f'cat/frame_{at:06d}__frame_{at + 1:06d}' for at in range(count)]
        for key in keys:
            store.put(key, files, stats, quality)
        tracemalloc.start()
        store.finish(keys, {'summary': summarize((key, store.stats(key)) for key in keys)})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        sizes.append(sum((root / name).stat().st_size for name in ('manifest.json', 'quality.json')))
    assert sizes[1] - sizes[0] > 300 * 1400
    assert peaks[1] - peaks[0] < 300 * 2700


def test_a_worker_reads_through_a_pickled_store(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.write('cat/0__1', label(), {})
    store.finish(['cat/0__1'], {})
    assert torch.equal(pickle.loads(pickle.dumps(store)).read('cat/0__1').flow, store.read('cat/0__1').flow)


def test_a_fingerprint_is_made_of_words() -> None:
    with pytest.raises(ValueError, match='scale is not'):
        LabelStore('x', {'teacher': 'a', 'scale': 2})  # type: ignore[dict-item]
