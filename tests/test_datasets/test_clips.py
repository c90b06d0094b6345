"""DAVIS: frames, ids of objects, joints."""
from __future__ import annotations

import json
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mmrefine.datasets import DavisClips
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import read_ids, write_ids, write_image, write_masks

SIZE = (6, 8)
# the first colours of the palette, RGB, as PASCAL publishes them
PASCAL = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 7: (128, 128, 128),
          8: (64, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192)}


def picture(ids):
    return np.array([[PASCAL[int(value)] for value in row] for row in ids], np.uint8)


def palette_png(ids):
    """A palette PNG, chunk by chunk."""

    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4, 'big') + body + zlib.crc32(body).to_bytes(4, 'big')

    height, width = ids.shape
    colors = b''.join(bytes(PASCAL.get(i, (1, 2, 3))) for i in range(256))
    head = width.to_bytes(4, 'big') + height.to_bytes(4, 'big') + bytes([8, 3, 0, 0, 0])
    rows = b''.join(b'\0' + row.astype(np.uint8).tobytes() for row in ids)
    chunks = [(b'IHDR', head), (b'PLTE', colors), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*one) for one in chunks)


@pytest.fixture
def davis(tmp_path, frame):
    for video, name in enumerate(('bear', 'camel')):
        for t in range(3):
            write_image(tmp_path / f'JPEGImages/480p/{name}/{t:05d}.png', frame(video, t))
            path = tmp_path / f'Annotations/480p/{name}/{t:05d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(palette_png(ids_of(video, t)))
    (tmp_path / 'ImageSets/2017').mkdir(parents=True)
    (tmp_path / 'ImageSets/2017/val.txt').write_text('camel\n')
    return tmp_path


def ids_of(video, t):
    return np.random.default_rng((video, t)).choice([0, 1, 2, 255], SIZE).astype(np.uint8)


def test_the_colours_of_a_palette_tell_the_ids(tmp_path):
    ids = np.array([list(PASCAL)[:5], list(PASCAL)[5:]], np.uint8)
    (tmp_path / 'a.png').write_bytes(palette_png(ids))
    np.testing.assert_array_equal(read_ids(tmp_path / 'a.png'), ids)
    write_image(tmp_path / 'b.png', picture(ids))  # the same colours without a palette
    np.testing.assert_array_equal(read_ids(tmp_path / 'b.png'), ids)


def test_grey_levels_are_ids_and_black_and_white_is_one_object(tmp_path):
    ids = np.array([[0, 1, 2], [3, 255, 0]], np.uint8)
    write_image(tmp_path / 'gray.png', ids)
    np.testing.assert_array_equal(read_ids(tmp_path / 'gray.png'), ids)
    late = np.array([[255, 255, 255, 255], [255, 2, 9, 0]], np.uint8)  # void but for what a later mask corrects
    write_image(tmp_path / 'late.png', late)
    np.testing.assert_array_equal(read_ids(tmp_path / 'late.png'), late)
    white = np.array([[0, 255, 255]], np.uint8)
    write_image(tmp_path / 'white.png', white)
    assert read_ids(tmp_path / 'white.png').tolist() == [[0, 1, 1]]
    write_image(tmp_path / 'white3.png', white[..., None].repeat(3, axis=-1))
    assert read_ids(tmp_path / 'white3.png').tolist() == [[0, 1, 1]]


def test_strange_masks_are_named(tmp_path):
    write_image(tmp_path / 'photo.png', np.random.default_rng(0).integers(0, 255, (4, 4, 3), dtype=np.uint8))
    with pytest.raises(InputError, match='photo.png: has colours outside the palette of DAVIS'):
        read_ids(tmp_path / 'photo.png')
    cv2.imwrite(str(tmp_path / 'deep.png'), np.full((4, 4), 700, np.uint16))
    with pytest.raises(InputError, match=r'deep.png: .* \(its pixels are uint16, those of a mask uint8, 0 to 255\)'):
        read_ids(tmp_path / 'deep.png')
    soft = cv2.GaussianBlur(np.pad(np.full((20, 20), 255, np.uint8), 8), (5, 5), 0)
    cv2.imwrite(str(tmp_path / 'soft.jpg'), soft)
    with pytest.raises(InputError, match='soft.jpg: is a JPEG, in which the ids of objects are blurred; export .* PNG'):
        read_ids(tmp_path / 'soft.jpg')
    write_image(tmp_path / 'soft.png', soft)
    with pytest.raises(InputError, match=r'soft.png: has \d+ grey levels from \d+ to 2\d\d, most of them in thin rims'):
        read_ids(tmp_path / 'soft.png')
    (tmp_path / 'cut.png').write_bytes(palette_png(np.zeros((4, 4), np.uint8))[:-15])
    with pytest.raises(InputError, match=r'cut.png: cannot be read as a mask of objects \(truncated'):
        read_ids(tmp_path / 'cut.png')


@pytest.mark.parametrize('alpha', [0, 254])
def test_a_mask_that_is_partly_transparent_is_named(tmp_path, alpha):
    mask = np.zeros((4, 5, 4), np.uint8)
    mask[1:3], mask[..., 3] = (0, 0, 128, 255), 255
    cv2.imwrite(str(tmp_path / 'a.png'), mask)
    assert read_ids(tmp_path / 'a.png').tolist() == [[0] * 5, [1] * 5, [1] * 5, [0] * 5]
    mask[0, 0, 3] = alpha
    cv2.imwrite(str(tmp_path / 'a.png'), mask)
    with pytest.raises(InputError, match='a.png: is partly transparent, .* export it without transparency'):
        read_ids(tmp_path / 'a.png')


def disc(level, size=96, radius=24) -> np.ndarray:
    return cv2.circle(np.zeros((size, size), np.uint8), (size // 2, size // 2), radius, level, -1)


@pytest.mark.parametrize('level', [60, 128, 200, 255])
@pytest.mark.parametrize('soft', [
    lambda mask: cv2.GaussianBlur(mask, (0, 0), 0.7), lambda mask: cv2.GaussianBlur(mask, (0, 0), 5),
    lambda mask: cv2.resize(mask, (40, 40), interpolation=cv2.INTER_AREA),
    lambda mask: cv2.GaussianBlur(np.maximum(mask, np.roll(mask // 2, 40, axis=1)), (0, 0), 1),  # two objects
    lambda mask: cv2.imdecode(cv2.imencode('.jpg', mask)[1], cv2.IMREAD_GRAYSCALE)])
def test_soft_edges_are_named_whatever_the_level(tmp_path, level, soft):
    write_image(tmp_path / 'soft.png', soft(disc(level)))
    with pytest.raises(InputError, match='soft.png: has .* grey levels .* like a mask with soft edges'):
        read_ids(tmp_path / 'soft.png')


@pytest.mark.parametrize('ground', [0, 255])
def test_many_ids_small_ones_and_such_that_touch_are_no_soft_edges(tmp_path, ground):
    random = np.random.default_rng(3)
    points = np.full((60, 80), ground, np.uint8)
    points[random.integers(60, size=90), random.integers(80, size=90)] = random.permutation(np.arange(1, 255))[:90]
    crowd = np.full((60, 80), ground, np.uint8)
    for one in random.permutation(np.arange(1, 255)).tolist():
        top, left = random.integers(58), random.integers(78)
        crowd[top:top + 2 + one % 4, left:left + 2 + one % 3] = one
    tiles = np.kron(np.arange(1, 254).reshape(11, 23), np.full((2, 2), 1)).astype(np.uint8)
    two = np.full((60, 80), ground, np.uint8)
    two[10:20, 10:20], two[20:30, 12:30] = 40, 50
    for ids in (points, crowd, tiles, two):
        write_image(tmp_path / 'a.png', ids)
        np.testing.assert_array_equal(read_ids(tmp_path / 'a.png'), ids)


def test_an_item_is_a_video_with_its_ids(davis):
    data = DavisClips(davis)
    assert data.videos == ['bear', 'camel'] and len(data) == 2
    item = data[1]
    assert item['inputs'].shape == (3, 3, *SIZE) and item['inputs'][2, :, 0, 0].tolist() == [1, 2, 7]
    np.testing.assert_array_equal(item['data_samples'].masks, np.stack([ids_of(1, t) for t in range(3)]))
    assert item['data_samples'].scene == 'camel' and 'points' not in item['data_samples']


def test_videos_are_chosen_by_name_or_by_an_image_set(davis):
    assert DavisClips(davis, image_set='2017/val').videos == ['camel']
    assert DavisClips(davis, image_set='all').videos == ['bear', 'camel']
    assert DavisClips(davis, image_set='all', videos='bear').videos == ['bear']
    assert DavisClips(davis, videos=['camel', 'bear']).videos == ['camel', 'bear']
    assert DavisClips(davis, videos='bear').videos == ['bear']


def test_the_list_of_2016_may_be_one_of_frames_and_all_objects_one(davis):
    (davis / 'ImageSets/480p').mkdir()
    (davis / 'ImageSets/480p/val.txt').write_text(''.join(
        f'/JPEGImages/480p/bear/{t:05d}.jpg /Annotations/480p/bear/{t:05d}.png\n' for t in range(3)))
    data = DavisClips(davis, image_set='480p/val', one_object=True)
    assert data.videos == ['bear']
    wanted = np.stack([ids_of(0, t) for t in range(3)])
    wanted[wanted == 2] = 1
    np.testing.assert_array_equal(data[0]['data_samples'].masks, wanted)


def test_masks_are_written_as_the_official_evaluation_reads_them(tmp_path, davis):
    sample = DavisClips(davis)[0]['data_samples']
    write_masks(tmp_path / 'results', sample.scene, sample.names, sample.masks.numpy())
    for t in range(3):
        path = tmp_path / f'results/bear/{t:05d}.png'
        picture = Image.open(path)  # as its davis2017/results.py does
        assert picture.mode == 'P' and picture.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
        np.testing.assert_array_equal(np.array(picture), ids_of(0, t))
        np.testing.assert_array_equal(read_ids(path), ids_of(0, t))


def test_all_ids_of_a_written_mask_come_back(tmp_path):
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32)
    write_ids(tmp_path / 'a.png', ids)
    np.testing.assert_array_equal(read_ids(tmp_path / 'a.png'), ids)
    write_ids(tmp_path / 'b.png', np.zeros((3, 2), np.uint8))
    assert not read_ids(tmp_path / 'b.png').any()


def test_what_is_no_mask_is_not_written(tmp_path):
    with pytest.raises(ValueError, match=r'a.png: a mask of ids is \(H, W\) uint8, got \(2, 2\) int64'):
        write_ids(tmp_path / 'a.png', np.zeros((2, 2), np.int64))
    with pytest.raises(ValueError, match='bear: there are 2 masks and 1 names'):
        write_masks(tmp_path, 'bear', ['00000'], np.zeros((2, 4, 4), np.uint8))
    assert not list(tmp_path.iterdir())


def test_joints_come_at_the_size_of_the_frames_and_only_where_somebody_clicked(davis, tmp_path):
    entry = dict(image_path='x/00001.jpg', joints=[[540, 960], [1080, 0]], visibility=[1, 0])
    (tmp_path / 'badja').mkdir()
    (tmp_path / 'badja/bear.json').write_text(json.dumps([entry]))
    bear, camel = (item['data_samples'] for item in DavisClips(davis, badja=tmp_path / 'badja'))
    assert bear.visible.tolist() == [[False, False], [True, False], [False, False]]
    assert bear.points[1].tolist() == [[4, 3], [0, 6]]  # (row, column) of 1080 x 1920 -> (x, y) of 6 x 8
    assert 'points' not in camel


@pytest.mark.parametrize('wrong, error, message', [
    (dict(videos=['cow']), ConfigError, "480p: there is no video 'cow', it holds 2"),
    (dict(videos=['bear'], image_set='2017/val'), ConfigError,
     r"takes videos=\['bear'\] or image_set='2017/val', not both"),
    (dict(image_set='2016/val'), InputError, r'2016.val.txt: cannot be opened'),
    (dict(resolution='1080p'), InputError, 'JPEGImages.1080p: cannot be listed as a folder'),
    (dict(badja='nowhere'), InputError, 'nowhere: there is no such folder of joints'),
])
def test_what_is_not_there_is_named(davis, wrong, error, message):
    with pytest.raises(error, match=message):
        DavisClips(davis, **wrong)


def test_frames_without_annotation_are_named(davis):
    (davis / 'Annotations/480p/bear/00001.png').unlink()
    with pytest.raises(InputError, match=r'JPEGImages.480p.bear: frame 00001 has no annotation of its name in .*Annot'):
        DavisClips(davis)[0]


def test_of_as_many_frames_and_annotations_of_other_names_one_is_named(davis):
    drawn = davis / 'Annotations/480p/bear'
    (drawn / '00001.png').rename(drawn / '00009.png')
    with pytest.raises(InputError, match=r'JPEGImages.480p.bear: frame 00001 has no annotation of its name in'):
        DavisClips(davis)[0]
    (davis / 'JPEGImages/480p/camel/00001.png').unlink()
    with pytest.raises(InputError, match=r'Annotations.480p.camel: annotation 00001 has no frame of its name in'):
        DavisClips(davis)[1]
    (davis / 'Annotations/480p/camel/00001.png').unlink()
    with pytest.raises(InputError, match=r'JPEGImages.480p.camel: needs 3 or more frames, .*found 2 and 2'):
        DavisClips(davis)[1]


@pytest.mark.parametrize('ids', [np.zeros(SIZE, np.uint8), np.full(SIZE, 255, np.uint8)])
def test_a_first_mask_without_an_object_is_named(davis, ids):
    (davis / 'Annotations/480p/bear/00000.png').write_bytes(palette_png(ids))
    with pytest.raises(InputError, match='bear.00000.png: shows no object, so there is nothing to follow'):
        DavisClips(davis)[0]


def test_annotations_of_another_size_are_named(davis):
    for t in range(3):
        (davis / f'Annotations/480p/bear/{t:05d}.png').write_bytes(palette_png(np.ones((4, 8), np.uint8)))
    with pytest.raises(InputError, match=r'bear: the annotations are 4x8 .*the frames 6x8'):
        DavisClips(davis)[0]


@pytest.mark.parametrize('kind', ('JPEGImages', 'Annotations'))
def test_a_picture_of_another_size_than_the_first_is_named(davis, kind):
    (davis / kind / '480p/bear/00001.png').write_bytes(palette_png(np.ones((4, 8), np.uint8)))
    with pytest.raises(InputError, match=rf'{kind}.480p.bear.00001.png: is 4x8 px .*the first frame 6x8; download'):
        DavisClips(davis)[0]


def test_a_list_that_is_not_text_is_named(davis):
    (davis / 'ImageSets/2017/val.txt').write_bytes(b'\xff\xfec\0')
    with pytest.raises(InputError, match=r'val.txt: is not text .*, so no list of videos'):
        DavisClips(davis, image_set='2017/val')


def test_real_davis_masks_are_one_object(shared_data):
    data = DavisClips(shared_data / 'davis', videos=['dog'], badja=shared_data / 'badja')
    sample = data[0]['data_samples']
    assert sample.masks.unique().tolist() == [0, 1] and sample.masks.shape[1:] == (480, 854)
    t = int(sample.visible.any(dim=1).float().argmax())
    x, y = sample.points[t][sample.visible[t]].round().long().unbind(dim=1)
    assert sample.masks[t][y, x].float().mean() > 0.8  # joints lie on the animal
