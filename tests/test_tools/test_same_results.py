"""The comparison of two commits: each way in which results can differ is found and named, on files written by hand."""
import json
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SIZE = (6, 8)
KEYS = ('scene/a__b', 'scene/b__a')


@pytest.fixture(scope='module')
def parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / 'benchmarks'))  # as when the benchmark is run
        import result_parts
        yield result_parts
        sys.modules.pop('result_parts')


def write_label(store, key, u=1.5, v=-2.25, compression=9):
    """A label whose first row is not valid; u and v are px."""
    packed = np.zeros((*SIZE, 3), np.uint16)
    packed[1:] = (1, 64 * v + 2**15, 64 * u + 2**15)  # B, G, R
    (store / key).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(store / f'{key}.png'), packed, [cv2.IMWRITE_PNG_COMPRESSION, compression])


def edit_json(path, change):
    found = json.loads(path.read_text())
    change(found)
    path.write_text(json.dumps(found))


def edit_png(path, change):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    change(image)
    cv2.imwrite(str(path), image)


@pytest.fixture
def two(tmp_path):
    """Two equal folders of results: a store of two labels, one of which has weights, and a student."""
    base = tmp_path / 'base'
    store, student = base / 'labels' / 'paper', base / 'student'
    for key in KEYS:
        write_label(store, key)
    cv2.imwrite(str(store / f'{KEYS[1]}.weight.png'), np.full(SIZE, 51, np.uint8))
    (store / 'fingerprint.json').write_text(json.dumps(dict(teacher='ab12', version='0.1.0')))
    pairs = {key: dict(kept=0.5, inside=1.) for key in KEYS}
    (store / 'manifest.json').write_text(json.dumps(dict(pairs=pairs, files={})))
    (store / 'quality.json').write_text(json.dumps(dict(made_from='ab12', labels={KEYS[0]: dict(regions=[1., 2.])})))
    student.mkdir()
    for name in ('teacher.pth', 'refined.pth'):
        state = {'conv.weight': torch.arange(4.), 'conv.bias': torch.zeros(2)}
        torch.save(dict(state_dict=state, meta={}), student / name)
    report = dict(groups=dict(refined=dict(before=dict(EPE=0.8934216034448925))), timings=dict(train_seconds=3.),
                  guard=dict(verdict='student', steps=[0.5, 1.]))
    (student / 'report.json').write_text(json.dumps(report))
    return base, Path(shutil.copytree(base, tmp_path / 'head'))


def differing(parts, two):
    """Name -> part of all that are not the same."""
    return {part.name: part for part in parts.compare_results(*two) if part.differs or part.added}


def test_equal_results_end_with_status_0(parts, two, capsys):
    compared = parts.compare_results(*two)
    assert [part.name for part in compared] == [
        'labels/paper labels', 'labels/paper statistics', 'teacher.pth', 'refined.pth', 'report.json']
    assert parts.print_parts(compared) == 0
    assert 'equal (2 labels)' in capsys.readouterr().out


def test_a_label_is_decoded_by_the_layout_of_kitti(parts, two):
    flow, weight = parts.read_label(two[0] / 'labels' / 'paper', KEYS[1])
    assert flow.dtype == weight.dtype == np.float32
    assert (flow[0] == 0).all() and (flow[1:] == (1.5, -2.25)).all()
    assert (weight[0] == 0).all() and (weight[1:] == np.float32(51 / 255)).all()


def test_a_flipped_bit_of_one_pixel_is_found_with_its_size_and_its_label(parts, two, capsys):
    def flip(packed):
        packed[3, 4, 2] ^= 2  # 1/32 px

    edit_png(two[1] / 'labels' / 'paper' / f'{KEYS[0]}.png', flip)
    found = differing(parts, two)
    assert list(found) == ['labels/paper labels']
    assert found['labels/paper labels'].differs == f'flow of 1 pixels in 1 labels, most in {KEYS[0]}: 0.03125 px'
    assert parts.print_parts(list(found.values())) == 1
    assert KEYS[0] in capsys.readouterr().out


def test_a_moved_weight_is_found_with_its_size_and_its_label(parts, two):
    def move(weight):
        weight[2, 2:4] = 102, 50

    edit_png(two[1] / 'labels' / 'paper' / f'{KEYS[1]}.weight.png', move)
    text = differing(parts, two)['labels/paper labels'].differs
    assert text == f'weight of 2 pixels in 1 labels, most in {KEYS[1]}: 0.2'


def test_other_packing_and_what_lies_under_pixels_that_are_not_valid_make_no_difference(parts, two):
    store = two[1] / 'labels' / 'paper'
    before = (store / f'{KEYS[0]}.png').read_bytes()
    write_label(store, KEYS[0], compression=0)

    def fill(packed):
        packed[0, :, 1:] = 40000

    edit_png(store / f'{KEYS[1]}.png', fill)
    assert (store / f'{KEYS[0]}.png').read_bytes() != before
    assert not differing(parts, two)


def test_a_missing_label_differs_and_an_added_one_can_be_allowed(parts, two):
    edit_json(two[1] / 'labels' / 'paper' / 'manifest.json', lambda manifest: manifest['pairs'].pop(KEYS[0]))
    assert differing(parts, two)['labels/paper labels'].differs == f'missing 1 ({KEYS[0]})'
    turned = differing(parts, two[::-1])
    assert turned['labels/paper labels'].added == f'1 ({KEYS[0]})' and not turned['labels/paper labels'].differs
    assert parts.print_parts(list(turned.values())) == 1
    assert parts.print_parts(list(turned.values()), allow_new=True) == 0


@pytest.mark.parametrize('lost', ['labels', 'student/refined.pth', 'student/report.json', 'labels/paper/quality.json'])
def test_results_that_are_not_there_differ(parts, two, lost):
    path = two[1] / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert any(part.differs for part in differing(parts, two).values())


def test_a_missing_statistic_and_one_in_its_last_digit_are_named(parts, two):
    def change(manifest):
        del manifest['pairs'][KEYS[0]]['inside']
        manifest['pairs'][KEYS[1]]['kept'] = 0.500001

    edit_json(two[1] / 'labels' / 'paper' / 'manifest.json', change)
    text = differing(parts, two)['labels/paper statistics'].differs
    assert f'missing 1 (pairs.{KEYS[0]}.inside)' in text and f'pairs.{KEYS[1]}.kept: 0.5 became 0.500001' in text


def test_of_what_labels_were_made_from_only_the_version_may_differ(parts, two):
    path = two[1] / 'labels' / 'paper' / 'fingerprint.json'
    edit_json(path, lambda fingerprint: fingerprint.update(version='0.2.0'))
    assert not differing(parts, two)
    edit_json(path, lambda fingerprint: fingerprint.update(teacher='cd34'))
    assert 'fingerprint.teacher' in differing(parts, two)['labels/paper statistics'].differs


def test_a_changed_figure_of_the_report_is_named_and_times_are_not_compared(parts, two):
    path = two[1] / 'student' / 'report.json'
    edit_json(path, lambda report: report['timings'].update(train_seconds=4.))
    assert not differing(parts, two)
    edit_json(path, lambda report: report['groups']['refined']['before'].update(EPE=0.8934216034448926))
    text = differing(parts, two)['report.json'].differs
    assert text == '1 values, most in groups.refined.before.EPE: 0.8934216034448925 became 0.8934216034448926'


def test_a_longer_list_is_a_difference_and_a_new_key_an_addition(parts, two):
    edit_json(two[1] / 'student' / 'report.json', lambda report: report.update(note=1))
    assert differing(parts, two)['report.json'] == parts.Part('report.json', '6 values', added='1 (note)')
    edit_json(two[1] / 'student' / 'report.json', lambda report: report['guard']['steps'].append(2.))
    assert 'guard.steps.length: 2 became 3' in differing(parts, two)['report.json'].differs


@pytest.mark.parametrize('value, named', [(torch.tensor([0., 1., 2., 3.0000002]), '2.38419e-07'),
                                          (torch.tensor([-0., 1., 2., 3.]), '0'),
                                          (torch.arange(4.).half(), 'inf')])
def test_a_bit_of_the_student_is_found_and_its_tensor_named(parts, two, value, named):
    path = two[1] / 'student' / 'refined.pth'
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['state_dict']['conv.weight'] = value
    torch.save(checkpoint, path)
    found = differing(parts, two)
    assert list(found) == ['refined.pth']
    assert found['refined.pth'].differs == f'1 tensors, most in conv.weight: {named}'
