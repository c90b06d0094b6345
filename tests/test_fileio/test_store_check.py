"""Every fault that is put into a store by hand is found, at the file that has it, and nothing else is."""
from __future__ import annotations

import importlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Callable, List

import pytest
from helpers_fileio import label, tree

from mmrefine.errors import ConfigError, LabelStoreError
from mmrefine.fileio import LabelStore
from mmrefine.fileio.codecs import kinds
from mmrefine.fileio.store.verification import verify_store

SOFT, HARD = 'cat/0__1', 'dog/run/1__2'


def unfinished(root: Path) -> LabelStore:
    store = LabelStore(root, {'teacher': 'aaaa', 'frames/cat': 'cccc'})
    store.create()
    store.write(SOFT, label(0, soft=True), {'kept': 0.25}, {'weight': 3.5})
    store.write(HARD, label(1), {'kept': 0.5}, {'weight': 7.25})
    return store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A complete store of two labels, one of them with a file of weights."""
    unfinished(tmp_path / 'labels').finish([SOFT, HARD], {'frames': 4})
    return tmp_path / 'labels'


def faults(root: Path) -> List[str]:
    """The lines about a store, without its folder; looking changes nothing."""
    before = tree(root) if root.is_dir() else {}
    lines = [str(fault) for fault in verify_store(root).faults]
    assert before == (tree(root) if root.is_dir() else {})
    assert all(line.startswith(str(root)) and '\n' not in line for line in lines)
    return [line[len(str(root)):].lstrip('/') for line in lines]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_whole_store_has_no_faults_and_its_labels_and_bytes_are_counted(store: Path) -> None:
    check = verify_store(store)
    assert (check.labels, check.faults) == (2, ())
    assert check.size == sum(map(len, tree(store).values()))


@pytest.mark.parametrize('name', [
    f'{SOFT}.png', f'{SOFT}.weight.png', f'{HARD}.png', 'manifest.json', 'fingerprint.json', 'quality.json'])
def test_a_flipped_bit_is_found_wherever_it_is_and_only_its_file_is_named(store: Path, name: str) -> None:
    path = store / name
    places = sorted({*range(0, path.stat().st_size, 37), path.stat().st_size - 1})
    assert len(places) >= 3
    for at in places:
        flip(path, at)
        lines = faults(store)
        # a digit of a fingerprint may be the wrong one in either file, so there both may be named
        assert lines and any(line.startswith(f'{name}: ') for line in lines), (at, lines)
        others = [line for line in lines if not line.startswith((f'{name}: ', 'fingerprint.json: is not that of the '
                                                                              'manifest'))]
        assert not others or name == 'manifest.json', (at, lines)
        flip(path, at)
    assert not faults(store)


def test_a_manifest_that_cannot_be_trusted_accuses_no_sound_label(store: Path) -> None:
    manifest = json.loads((store / 'manifest.json').read_text())
    wrong = {**manifest, 'files': {**manifest['files'], f'{HARD}.png': '0' * 16}}
    (store / 'manifest.json').write_text(json.dumps(wrong, indent=1) + '\n')
    line, = faults(store)
    assert line.startswith('manifest.json: is broken: its contents have the digest ')
    assert line.endswith(f', it was written with {manifest["digest"]}')


def replace_by_another(path: Path) -> None:
    path.write_bytes((path.parents[2] / f'{SOFT}.png').read_bytes())  # a sound label, of another pair


@pytest.mark.parametrize('name, damage, line', [
    (f'{HARD}.png', lambda path: path.write_bytes(path.read_bytes()[:-20]),
     r'dog/run/1__2.png: truncated: the PNG stops after \d+ bytes .*\(digest \w{16}, wanted \w{16}\)'),
    (f'{SOFT}.weight.png', lambda path: os.truncate(path, 0),
     r'cat/0__1.weight.png: is not a PNG, it has 0 bytes \(digest .*'),
    (f'{HARD}.png', replace_by_another, r'dog/run/1__2.png: changed: not the bytes that were written \(digest .*'),
    (f'{HARD}.png', lambda path: path.write_bytes(path.read_bytes() + b'x'), 'dog/run/1__2.png: changed: not the bytes '
                                                                             '.*'),
    (f'{HARD}.png', os.unlink, 'dog/run/1__2.png: is missing; the label dog/run/1__2 needs it'),
    (f'{SOFT}.weight.png', os.unlink, 'cat/0__1.weight.png: is missing; the label cat/0__1 needs it'),
    ('fingerprint.json', os.unlink, 'fingerprint.json: is missing; without it no labelling run accepts the folder'),
    ('fingerprint.json', lambda path: path.write_text('{"teacher": 1}'),
     'fingerprint.json: (changed: .*|is broken: it does not map names to digests)'),
    ('manifest.json', os.unlink, 'manifest.json: is missing: labelling has not finished .*, or the file was '
                                 'lost'),
    ('manifest.json', lambda path: os.truncate(path, 100), 'manifest.json: is broken: it is not valid JSON .*'),
    ('manifest.json', lambda path: path.write_bytes(b'{\xff}'), 'manifest.json: is broken: it is not valid JSON '
                                                                '.*decode byte 0xff.*'),
    ('manifest.json', lambda path: path.write_bytes(b'[' * 200000), 'manifest.json: is broken: it is not valid JSON '
                                                                    '.*in objects too deep.*'),
    ('manifest.json', lambda path: path.write_text('[]'), 'manifest.json: is broken: it is not an object'),
    ('manifest.json', lambda path: path.write_text('{"format": "x", "fingerprint": {}}'),
     'manifest.json: is broken: its "pairs" is missing'),
    ('manifest.json', lambda path: path.write_text('{"format": "x", "fingerprint": {}, "pairs": [1]}'),
     'manifest.json: is broken: its "pairs" is not an object'),
    ('quality.json', os.unlink, 'quality.json: is missing: the labels are complete, but have to be '
     'read again to be judged'),
    ('quality.json', lambda path: os.truncate(path, 30),
     r'quality.json: changed: not the bytes that were written \(digest \w{16}, wanted \w{16}\)'),
    ('cat/notes.txt', lambda path: path.write_text('x'), 'cat/notes.txt: does not belong to the store; move it away'),
    ('cat/5__6.png', lambda path: path.write_text('x'), 'cat/5__6.png: does not belong to the store; move it away'),
    ('.DS_Store', lambda path: path.write_text('x'), '.DS_Store: does not belong to the store; move it away'),
    ('new\nline\udcff.txt', lambda path: path.write_text('x'),
     r'new\\nline\\udcff.txt: does not belong to the store; move it away'),
    ('loop', lambda path: path.symlink_to(path.parent), 'loop: does not belong to the store; move it away'),
    ('dog/.mmrefine-0123456789abcdef.tmp', lambda path: path.write_text('x'),
     'dog/.mmrefine-0123456789abcdef.tmp: does not belong to the store: left over from a killed run; the same '
     'labelling '
     'run removes it'),
    (f'{HARD}.json', lambda path: path.write_text('{}'),
     'dog/run/1__2.json: does not belong to the store: the manifest has taken it over; the same labelling run removes '
     'it'),
])
def test_a_fault_is_named_by_its_file_and_kind(store: Path, name: str, damage: Callable[[Path], object],
                                               line: str) -> None:
    damage(store / name)
    found = faults(store)
    assert found and all(re.fullmatch(line, one) for one in found), found
    if name != 'fingerprint.json':
        assert len(found) == 1


def test_all_faults_are_told_at_once(store: Path) -> None:
    (store / f'{SOFT}.png').unlink()
    os.truncate(store / f'{HARD}.png', 50)
    (store / 'x').write_text('x')
    assert [line.split(':')[0] for line in faults(store)] == [f'{SOFT}.png', f'{HARD}.png', 'x']


def test_a_folder_in_the_place_of_a_file_and_a_file_in_the_place_of_a_scene_are_told(store: Path) -> None:
    (store / f'{SOFT}.png').unlink()
    (store / f'{SOFT}.png').mkdir()
    (store / f'{HARD}.png').unlink()
    (store / 'dog/run').rmdir()
    (store / 'dog/run').write_text('x')
    assert faults(store) == [f'{SOFT}.png: cannot be read (Is a '
                             'directory)', f'{HARD}.png: cannot be read (Not a directory)',
                             'dog/run: does not belong to the store; move it away']


def test_a_fingerprint_of_another_run_is_told_by_name(store: Path) -> None:
    other = {'frames/cat': 'cccc', 'teacher': 'bbbb'}
    (store / 'fingerprint.json').write_text(json.dumps(other, indent=1) + '\n')
    assert faults(store) == ['fingerprint.json: is not that of the manifest: teacher is bbbb, there it is aaaa']


def test_a_manifest_that_names_a_file_outside_is_not_followed(store: Path) -> None:
    (store.parent / 'secret__x.png').write_text('x')
    manifest = json.loads((store / 'manifest.json').read_text())
    manifest['pairs']['../secret__x'] = {}
    (store / 'manifest.json').write_text(json.dumps(manifest))
    assert "manifest.json: is broken: '../secret__x' is not a valid label key" in faults(store)


def test_an_unfinished_store_is_told_apart_and_its_whole_labels_are_checked(tmp_path: Path) -> None:
    unfinished(tmp_path)
    only = ['manifest.json: is missing: labelling has not finished (the same run continues where it stopped), or '
            'the file was lost']
    assert faults(tmp_path) == only and verify_store(tmp_path).labels == 2
    (tmp_path / 'cat/.mmrefine-0123456789abcdef.tmp').write_text('somebody may be writing it')
    (tmp_path / 'cat/1__2.png').write_bytes((tmp_path / f'{HARD}.png').read_bytes())  # its statistics are still to come
    assert faults(tmp_path) == only
    for name, at, problem in ((f'{SOFT}.png', 70, 'damaged: the '
                                                  'checksum'), (f'{SOFT}.json', 20, 'is broken: its contents have'),
                              (f'{HARD}.png', 3, 'is not a PNG')):
        flip(tmp_path / name, at)
        lines = faults(tmp_path)
        assert lines[0] == only[0] and len(lines) == 2 and lines[1].startswith(f'{name}: {problem}'), lines
        flip(tmp_path / name, at)
    (tmp_path / f'{HARD}.png').unlink()
    assert faults(tmp_path)[1:] == [f'{HARD}.png: is missing; the label {HARD} needs it']


def test_a_label_that_was_copied_from_another_store_does_not_belong(tmp_path: Path) -> None:
    unfinished(tmp_path / 'here')
    other = LabelStore(tmp_path / 'other', {'teacher': 'bbbb'})
    other.create()
    other.write('cat/7__8', label(3), {})
    for suffix in ('.png', '.json'):
        (tmp_path / 'here' / f'cat/7__8{suffix}').write_bytes((tmp_path / 'other' / f'cat/7__8{suffix}').read_bytes())
    line, = faults(tmp_path / 'here')[1:]
    assert line.startswith('cat/7__8.json: does not belong to the store: it was made from ')


@pytest.mark.parametrize('number', [1, 2])
def test_a_store_of_an_older_format_is_told_by_its_name_and_its_pictures_by_their_checksums(store: Path,
                                                                                            number: int) -> None:
    manifest = json.loads((store / 'manifest.json').read_text())
    old = {name: value for name, value in manifest.items() if name not in ('files', 'digest')}
    (store / 'manifest.json').write_text(json.dumps({**old, 'format': f'mmrefine-labels/{number}'}, indent=1) + '\n')
    (store / 'quality.json').unlink()
    line, = faults(store)
    assert line == (f'manifest.json: is of the format mmrefine-labels/{number}, and this version reads only '
                    'mmrefine-labels/3')
    flip(store / f'{HARD}.png', 70)
    assert faults(store)[1].startswith(f'{HARD}.png: damaged: the checksum')


def test_no_folder_is_one_fault(tmp_path: Path) -> None:
    assert faults(tmp_path / 'gone') == [': there is no such folder']
    (tmp_path / 'file').write_text('x')
    assert faults_of_a_file(tmp_path / 'file') == [f'{tmp_path}/file: there is no such folder']


def faults_of_a_file(path: Path) -> List[str]:
    return [str(fault) for fault in verify_store(path).faults]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[[List[str]], int]:
    """``main`` of tools/label_store.py."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / 'tools'))
    monkeypatch.delitem(sys.modules, 'label_store', raising=False)
    import label_store
    return label_store.main  # type: ignore[no-any-return]


def test_the_command_says_whole_with_0_and_each_fault_in_a_line_with_1(store: Path, tool: Callable[[List[str]], int],
                                                                       capsys: pytest.CaptureFixture[str]) -> None:
    size = verify_store(store).size
    assert tool(['verify', str(store)]) == 0
    assert capsys.readouterr().out == f'{store}: whole; 2 labels, {size / 1e6:.2f} MB\n'
    (store / f'{SOFT}.png').unlink()
    (store / 'x').write_text('x')
    assert tool(['verify', str(store)]) == 1
    assert capsys.readouterr().out == (f'{store}/{SOFT}.png: is missing; the label {SOFT} needs it\n'
                                       f'{store}/x: does not belong to the store; move it away\n')


def test_the_command_imports_what_reads_labels_of_another_kind(tmp_path: Path, tool: Callable[[List[str]], int],
                                                               monkeypatch: pytest.MonkeyPatch,
                                                               capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'smells_of_frames.py').write_text(
        'from mmrefine.fileio.codecs import register_codec\n'
        'class Smells:\n'
        "    kind, suffixes = 'smells', ('.txt', )\n"
        '    def encode(self, label):\n'
        "        return {'.txt': label.encode()}\n"
        '    def damage(self, data):\n'
        '        return None\n'
        'CODEC = register_codec(Smells())\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(kinds, '_CODECS', dict(kinds._CODECS))
    before = dict(kinds._CODECS)
    importlib.import_module('smells_of_frames')
    store = LabelStore(tmp_path / 'labels', dict(kind='smells'))
    store.create()
    store.write('cat/a__b', 'rose', dict(kept=1.))
    store.finish(store.keys())
    monkeypatch.setattr(kinds, '_CODECS', before)
    monkeypatch.delitem(sys.modules, 'smells_of_frames')
    with pytest.raises(LabelStoreError, match="of the kind 'smells' .* --import of tools/label_store.py"):
        tool(['merge', str(tmp_path / 'out'), str(tmp_path / 'labels')])
    with pytest.raises(ConfigError, match='--import no_such_module: cannot be imported'):
        tool(['verify', str(tmp_path / 'labels'), '--import', 'no_such_module'])
    assert tool(['merge', str(tmp_path / 'out'), str(tmp_path / 'labels'), '--import', 'smells_of_frames']) == 0
    assert tool(['verify', '--import', 'smells_of_frames', str(tmp_path / 'out')]) == 0
    assert 'whole; 1 labels' in capsys.readouterr().out
