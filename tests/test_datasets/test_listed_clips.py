"""Clips of Kinetics and OxUvA by their lists, and frames that keep their colours beside those that are changed."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.datasets import DrawSampler, KineticsClips, OxuvaClips
from mmrefine.datasets.transforms import ColorJitter, PackClip, RandomCrop, RandomFlip
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_image
from mmrefine.models import FramePreprocessor
from mmrefine.registry import DATASETS

SIZE = (24, 36)


def write_video(folder, count, size=SIZE, name='image_{:05d}.jpg'):
    """Frame n has the grey level 4 n."""
    for number in range(1, count + 1):
        write_image(folder / name.format(number), np.full((*size, 3), 4 * number, np.uint8))


@pytest.fixture
def root(tmp_path):
    """Three videos in the layout of Kinetics: of 21 frames, which are two clips, of 8, too short, and of 9, one."""
    for name, count in (('juggling/a_1', 21), ('juggling/b', 8), ('c', 9)):
        write_video(tmp_path / name, count)
    (tmp_path / 'list.csv').write_text('juggling/a_1,21\njuggling/b, 8\n\nc,9\n')
    return tmp_path


def numbers_of(item):
    return [round(float(frame.mean()) / 4) for frame in item['frames']]


def test_clips_tile_the_videos_of_the_list(root):
    data = KineticsClips(root, root / 'list.csv', resize=None)
    assert len(data) == 3 and data.videos == ['juggling/a_1', 'c']
    assert [numbers_of(data[i]) for i in range(3)] == [[1, 5, 9], [13, 17, 21], [1, 5, 9]]
    assert [data[i]['key'] for i in (1, 2)] == ['juggling/a_1/image_00013__image_00021@4',
                                                'c/image_00001__image_00009@4']
    assert data[-1]['scene'] == 'c' and data[0]['size'] == SIZE
    with pytest.raises(IndexError):
        data[3]
    assert [numbers_of(KineticsClips(root, root / 'list.csv', frames=2, stride=8, resize=None)[i])
            for i in range(2)] == [[1, 9], [1, 9]]
    # the number of clips is that of a walk in steps of four which keeps whole groups of three
    for length in range(9, 60):
        (root / 'one.csv').write_text(f'a,{length}')
        assert len(KineticsClips(root, root / 'one.csv')) == len(range(1, length + 1, 4)) // 3


def test_videos_that_are_too_short_are_counted_in_the_log(root, monkeypatch):
    lines = []
    monkeypatch.setattr('mmrefine.datasets.benchmarks.listed_clips.print_log', lambda line, *_: lines.append(line))
    KineticsClips(root, root / 'list.csv')
    assert lines == [f'{root / "list.csv"}: 1 of 3 videos are shorter than a clip (9 frames) and left out']


def test_frames_are_resized_whatever_their_aspect(root):
    data = DATASETS.build(dict(type='KineticsClips', data_root=str(root), list_file=str(root / 'list.csv'),
                               resize=(32, 32), pipeline=[dict(type='RandomCrop', size=(64, 20), fit=True)]))
    item = data[0]
    assert [frame.shape for frame in item['frames']] == [(32, 20, 3)] * 3 and numbers_of(item) == [1, 5, 9]
    unknown = KineticsClips(root, root / 'list.csv', [RandomCrop((16, 16), fit=True)], resize=None)
    with pytest.raises(ConfigError, match='KineticsClips may have many sizes.*set its resize'):
        unknown[0]


def test_oxuva_has_other_names(tmp_path):
    write_video(tmp_path / 'vid0003', 10, name='{:06d}.jpeg')
    (tmp_path / 'oxuva.csv').write_text('vid0003,10\n')
    data = OxuvaClips(tmp_path, tmp_path / 'oxuva.csv', resize=None)
    assert len(data) == 1 and numbers_of(data[0]) == [1, 5, 9] and data[0]['key'] == 'vid0003/000001__000009@4'
    assert data.metainfo == dict(dataset='OxuvaClips', videos=1)


@pytest.mark.parametrize('text, message', [
    ('a,21\nb;30\n', r'''list.csv, line 2: must be "folder,number of frames", got 'b;30'; correct the line'''),
    ('folder,frames\n', 'line 1: must be'),
    ('a,-3\n', 'line 1: must be'),
    ('\n', 'list.csv: names no video'),
    ('a,8\nb,3\n', 'none of its 2 videos has the 9 frames that a clip of 3 frames with stride=4 needs; lower stride'),
])
def test_a_broken_list_is_refused(text, message, tmp_path):
    (tmp_path / 'list.csv').write_text(text)
    with pytest.raises(InputError, match=message):
        KineticsClips(tmp_path, tmp_path / 'list.csv')


def test_a_list_may_begin_with_a_byte_order_mark_as_spreadsheets_write_it(root):
    (root / 'marked.csv').write_bytes(b'\xef\xbb\xbf' + (root / 'list.csv').read_bytes())
    marked, plain = (KineticsClips(root, root / name) for name in ('marked.csv', 'list.csv'))
    assert marked.videos == plain.videos


def test_broken_videos_are_named_when_they_are_read(root):
    with pytest.raises(InputError, match='none.csv'):
        KineticsClips(root, root / 'none.csv')
    (root / 'bad.csv').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(InputError, match='bad.csv: is not text'):
        KineticsClips(root, root / 'bad.csv')
    write_video(root / 'c', 5, (20, 36))  # frames 1 and 5 are of another size than 9 now
    data = KineticsClips(root, root / 'list.csv')
    with pytest.raises(InputError, match=r'c.image_00009.jpg: is 24x36 px .* image_00001.jpg .* is 20x36'):
        data[2]
    (root / 'juggling/a_1/image_00017.jpg').unlink()
    with pytest.raises(InputError, match='image_00017.jpg'):
        data[1]
    with pytest.raises(ConfigError, match='KineticsClips.frames must be a whole number, at least 2, got 1'):
        KineticsClips(root, root / 'list.csv', frames=1)


def test_a_draw_alone_decides_what_a_clip_looks_like(root):
    pipeline = [RandomCrop((16, 16)), RandomFlip(), ColorJitter(asymmetric=1., keep_plain=True), PackClip()]
    data = KineticsClips(root, root / 'list.csv', pipeline, seed=3)
    draws = iter(DrawSampler(data, seed=3))
    for draw in (next(draws) for _ in range(4)):
        assert torch.equal(data[draw]['inputs'], data[draw]['inputs'])
    assert not torch.equal(data[0, 1]['inputs'], data[0, 2]['inputs'])


def clip(seed=0):
    rng = np.random.default_rng(seed)
    frames = list(rng.integers(0, 256, (3, *SIZE, 3), np.uint8))
    return dict(frames=frames, key='a/1__9@4', scene='a', rng=np.random.default_rng(seed))


PAPERS = dict(brightness=0.1, contrast=0.1, saturation=0.1, hue=0.1, asymmetric=1., prob=0.1, keep_plain=True)


def test_plain_frames_stay_beside_frames_whose_colours_are_changed_now_and_then():
    changed = 0
    for seed in range(400):
        before = clip(seed)
        after = ColorJitter(**PAPERS).transform(before)
        assert all(np.array_equal(one, two) for one, two in zip(after['plain_frames'], before['frames']))
        changed += not np.array_equal(after['frames'][0], before['frames'][0])
    assert changed / 400 == pytest.approx(0.1, abs=0.04)


def test_each_frame_gets_its_own_change():
    before = clip()
    before['frames'] = [before['frames'][0]] * 3
    after = ColorJitter(**{**PAPERS, 'prob': 1.}).transform(before)['frames']
    assert not np.array_equal(after[0], after[1]) and not np.array_equal(after[1], after[2])
    assert np.abs(after[0].astype(int) - before['frames'][0]).max() <= 100


def test_a_share_of_one_draws_as_before():
    assert np.array_equal(ColorJitter(prob=1.).transform(clip())['frames'], ColorJitter().transform(clip())['frames'])


def test_plain_frames_reach_the_model_as_they_were():
    packed = PackClip().transform(ColorJitter(**{**PAPERS, 'prob': 1.}).transform(clip()))
    wanted = torch.from_numpy(np.stack(clip()['frames'])).permute(0, 3, 1, 2)
    assert torch.equal(packed['data_samples'].plain_frames, wanted) and not torch.equal(packed['inputs'], wanted)
    batch = FramePreprocessor()(dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']]))
    assert torch.equal(batch['data_samples'][0].plain_frames, wanted)


@pytest.mark.parametrize('transform', [RandomCrop((8, 8)), RandomFlip(1., 1.)])
def test_nothing_moves_frames_after_plain_ones_were_kept(transform):
    with pytest.raises(ConfigError, match='let the pipeline resize, crop and mirror before it'):
        transform.transform(ColorJitter(**PAPERS).transform(clip()))
