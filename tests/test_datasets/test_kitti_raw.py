import shutil

import pytest

from mmrefine.datasets import KittiRawPairs, MixedPairs
from mmrefine.datasets.benchmarks import kitti_raw
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_image

KNOWN, FREE, UNKNOWN = ('2011_09_26_drive_0005', '2011_09_26_drive_0001', '2011_09_26_drive_0086')


def drive(root, name, numbers, frame, scene=0, camera='02'):
    """The frames of a raw drive; their first pixel is (scene, number, 7)."""
    folder = root / name[:10] / f'{name}_sync' / f'image_{camera}' / 'data'
    for number in numbers:
        write_image(folder / f'{number:010d}.png', frame(scene, number))
    return folder


def numbers_of(data):
    """Drive -> the first frames of its pairs, whose second is the next frame."""
    found = {}
    for pair in data.pairs:
        scene, _, names = pair['key'].rpartition('/')
        first, second = map(int, names.split('__'))
        assert second == first + 1
        found.setdefault(scene, []).append(first)
    return found


@pytest.fixture(scope='module')
def raw(tmp_path_factory, frame):
    """Benchmark pairs of drive 0005 begin at 10 and 59; none are known of 0001, and of 0086 not all numbers are."""
    root = tmp_path_factory.mktemp('kitti_raw')
    drive(root, KNOWN, range(75), frame)
    drive(root, FREE, range(12), frame, 1)
    drive(root, UNKNOWN, range(4), frame, 2)
    (root / '2011_09_26' / 'calib_cam_to_cam.txt').write_text('')
    return root


def test_the_list_has_the_published_numbers_of_pairs():
    pairs = kitti_raw.benchmark_pairs()
    # KITTI 2015 training, KITTI 2012 training and testing, each a section
    assert len(pairs) == 142 + 89 + 66
    assert (KNOWN, 10) in pairs and ('2011_09_30_drive_0028', 3110) in pairs and ('2011_10_03_drive_0047', 556) in pairs
    assert len({name for name, _ in pairs}) == 45 and kitti_raw.benchmark_drives() == [UNKNOWN]


def test_frames_of_the_benchmarks_and_their_neighbours_are_left_out(raw):
    data = KittiRawPairs(raw)
    # of 0005: 10 and 11, 59 and 60, and ten frames on either side
    assert numbers_of(data) == {f'{KNOWN}_sync/image_02': [*range(22, 48), *range(71, 74)],
                                f'{FREE}_sync/image_02': [*range(11)]}
    assert data.left_out == 22 + 22 + 4
    assert data[0]['frame1'][0, 0].tolist() == [1, 0, 7] and data[0]['size'] == (6, 8)
    assert data[11]['frame2'][0, 0].tolist() == [0, 23, 7] and data[11]['truth'] is None


def test_margin_says_how_many_neighbours(raw):
    found = numbers_of(KittiRawPairs(raw, margin=0, scenes=f'{KNOWN}_sync/image_02'))
    assert found == {f'{KNOWN}_sync/image_02': [*range(9), *range(12, 58), *range(61, 74)]}


def test_longer_steps_and_frames_in_between_respect_what_is_left_out(raw):
    data = KittiRawPairs(raw, step=(1, 2), directions='both', scenes=f'{KNOWN}_sync/image_02')
    spans = {abs(int(two) - int(one)) for pair in data.pairs
             for one, two in [pair['key'].rpartition('/')[2].split('__')]}
    assert spans == {1, 2} and len(data) == 2 * (26 + 3 + 25 + 2)
    last_before = data.frame_names(data.scene_names[0]).index(f'{48:010d}')
    assert not data.usable(data.scene_names[0], last_before + 1, beside=last_before)
    every_second = KittiRawPairs(raw, reading=dict(stride=2), scenes=f'{FREE}_sync/image_02')
    assert [pair['key'].rpartition('/')[2] for pair in every_second.pairs][:2] == [
        f'{0:010d}__{2:010d}', f'{2:010d}__{4:010d}']


def test_two_frames_with_others_missing_between_them_are_no_pair(tmp_path, frame):
    drive(tmp_path, FREE, (0, 5), frame)
    drive(tmp_path, '2011_09_26_drive_0002', (0, 1), frame)
    assert numbers_of(KittiRawPairs(tmp_path)) == {'2011_09_26_drive_0002_sync/image_02': [0]}


def test_frames_that_are_in_the_testing_folder_are_left_out_in_all_cameras(tmp_path, frame):
    source = drive(tmp_path / 'raw', FREE, range(40), frame)
    drive(tmp_path / 'raw', FREE, range(40), frame, 1, '03')
    testing = tmp_path / 'testing' / 'image_2'
    testing.mkdir(parents=True)
    shutil.copy(source / f'{20:010d}.png', testing / '000000_10.png')
    write_image(testing / '000001_10.png', frame(5, 5))  # of no drive
    data = KittiRawPairs(tmp_path / 'raw', cameras=['02', '03'], margin=3, testing=testing)
    wanted = [*range(16), *range(24, 39)]
    assert numbers_of(data) == {f'{FREE}_sync/image_{camera}': wanted for camera in ('02', '03')}
    assert data.left_out == 2 * 7


def test_the_log_says_what_was_looked_for(raw, tmp_path, frame, monkeypatch):
    lines = []
    monkeypatch.setattr(kitti_raw, 'print_log', lambda line, *args: lines.append(line))
    write_image(tmp_path / '000000_10.png', frame(1, 3))
    KittiRawPairs(raw, testing=tmp_path, margin=0)
    assert lines[0].endswith(f'of the 1 pictures of {tmp_path}, 1 are frames of the drives')
    assert '9 of 91 frames are left out' in lines[1] and len(lines) == 2
    KittiRawPairs(raw)
    assert 'the testing frames of KITTI 2015 were not looked for' in lines[2]


def test_raw_drives_are_a_part_that_is_learned_from_by_labels(raw):
    part = dict(type='KittiRawPairs', data_root=str(raw), directions='both',
                pipeline=[dict(type='LoadLabel'), dict(type='PackPair')])
    data = MixedPairs(dict(unlabelled=part))
    assert len(data.label_keys()) == 2 * (29 + 11) and not data.truth_files()


@pytest.mark.parametrize('build, error, message', [
    (lambda root: KittiRawPairs(root, cameras='00'), ConfigError, "cameras must be '02' or '03', .*got '00'"),
    (lambda root: KittiRawPairs(root, margin=-1), ConfigError, 'margin must be a whole number, at least 0, got -1'),
    (lambda root: KittiRawPairs(root / 'x'), InputError, 'x: cannot be listed'),
    (lambda root: KittiRawPairs(root / '2011_09_26'), InputError,
     '2011_09_26: holds no frames such as .*drive_0001_sync.*0 synced drives.*data_root is the folder that holds'),
    (lambda root: KittiRawPairs(root, cameras='03'), InputError, '3 synced drives, image_03'),
    (lambda root: KittiRawPairs(root, margin=80, testing=root / '2011_09_26'), InputError, 'holds no pictures; '),
])
def test_what_is_not_there_is_named(raw, build, error, message):
    with pytest.raises(error, match=message):
        build(raw)


def test_drives_of_which_nothing_is_left_are_refused(tmp_path, frame):
    drive(tmp_path, KNOWN, range(20), frame)
    with pytest.raises(InputError, match='none of its 20 frames is left without those of the benchmarks and 10 neigh'):
        KittiRawPairs(tmp_path)
