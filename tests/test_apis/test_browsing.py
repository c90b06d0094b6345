"""Contact sheets of a store made by hand: 1 px to the right, kept in the left half."""
import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmrefine.datasets  # noqa: F401
import mmrefine.engine  # noqa: F401
from mmrefine.apis.browse import browse_labels
from mmrefine.errors import ConfigError, LabelStoreError, MMRefineError
from mmrefine.fileio import write_image
from mmrefine.fileio.codecs import register_codec
from mmrefine.fileio.images import read_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.structures import FlowLabel, Tracks

SIZE = (40, 80)


def label(u, weight):
    return FlowLabel(torch.tensor([u, 0.]).view(2, 1, 1).expand(2, *SIZE), weight)


@pytest.fixture
def config(tmp_path):
    weight = torch.zeros(1, *SIZE)
    weight[..., :40] = 1.
    store = LabelStore(tmp_path / 'labels', dict(made_by='hand'))
    store.create()
    for scene, both in (('both', True), ('forward', False)):
        for t in range(4):
            write_image(tmp_path / 'frames' / scene / f'f{t}.png', np.full((*SIZE, 3), 100 + 30 * (t % 2), np.uint8))
        for t in range(3):
            store.write(f'{scene}/f{t}__f{t + 1}', label(1., weight), dict(kept=.5))
            if both:
                store.write(f'{scene}/f{t + 1}__f{t}', label(0., torch.ones_like(weight)), dict(kept=1.))
    store.finish(store.keys())
    hook = dict(type='PseudoLabelHook', dataset=dict(type='FramePairs', data_root=str(tmp_path / 'frames')),
                labeler=dict(type='FlowLabeler', view=dict(type='CascadeView')))
    return Config(dict(work_dir=str(tmp_path), custom_hooks=[hook]))


def error_at(path, x):
    """The colour of the error of the first pair, at a relative place of its panel."""
    return tuple(int(c) for c in read_image(path)[84 + 30 + 80, 3 * 332 + int(x * 320)])


def test_the_error_is_the_round_trip_or_the_colour_if_the_way_back_has_no_label(config, tmp_path):
    both, forward = browse_labels(config, pairs=2)
    assert [both, forward] == [tmp_path / 'label_sheets' / name for name in ('both.png', 'forward.png')]
    assert read_image(both).shape[0] == 84 + 190 + 12 + 190  # two of three pairs
    # there 1 px, back 0 px; and 30 grey levels brighter: both fully red, and unknown where nothing was kept
    for path in (both, forward):
        assert error_at(path, .25) == (202, 32, 38) and error_at(path, .75) == (64, 64, 64)


def test_the_same_labels_give_the_same_bytes(config, tmp_path):
    one, two = (browse_labels(config, tmp_path / name)[0].read_bytes() for name in 'ab')
    assert one == two and sorted(path.name for path in (tmp_path / 'a').iterdir()) == ['both.png', 'forward.png']


def test_a_manifest_that_is_not_as_it_was_is_named_whatever_was_changed_in_it(config, tmp_path):
    path = tmp_path / 'labels/manifest.json'
    data = path.read_text()
    changes = [('0.5', '0.6'), ('"kept": 0.5', '"kept": "0.5"'), ('"kept"', '"kebt"'), ('"kept": 0.5', '"kept": null'),
               ('"files"', '"fires"'), ('mmrefine-labels/3', 'mmrefine-labels'), ('"soft": []', '"soft": {}'),
               ('"extra": {}', '"extra": 0'), ('"digest"', '"digerst"')]
    for old, new in changes:
        path.write_text(data.replace(old, new))
        assert path.read_text() != data
        with pytest.raises(LabelStoreError,
                           match=r'manifest\.json: is broken: .*; bring this file back from a copy, or delete'):
            browse_labels(config)
    path.write_bytes(data.encode()[:-40] + b'\xff}')
    with pytest.raises(LabelStoreError, match=r"manifest\.json: cannot be read \('utf-8' codec can't decode"):
        browse_labels(config)


def test_a_scene_without_labels_and_a_folder_that_cannot_be_written_are_named(config, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(MMRefineError, match=r'file/sheets/both\.png: cannot be written'):
        browse_labels(config, tmp_path / 'file/sheets')
    for t in range(2):
        write_image(tmp_path / 'frames/late' / f'f{t}.png', np.zeros((*SIZE, 3), np.uint8))
    with pytest.raises(LabelStoreError, match='has no label of scene late; label again'):
        browse_labels(config)
    with pytest.raises(ConfigError, match='--pairs must be at least 1, got 0'):
        browse_labels(config, pairs=0)


def test_labels_of_tracks_are_drawn_over_their_clips(config, tmp_path):
    store = LabelStore(tmp_path / 'tracks', dict(kind='tracks'))
    store.create()
    queries = torch.tensor([[0., 19., 15.], [0., 19., 31.]])  # two of the four of the grid below
    points = queries[:, None, [2, 1]].repeat(1, 3, 1)
    points[:, :, 0] += 10. * torch.arange(3)
    statistics = dict(kept=.25, queries=8., cycle_error_median=.5, mean_speed=10.)
    clip = dict(type='FrameClips', data_root=str(tmp_path / 'frames'), frames=3)
    for scene in ('both', 'forward'):
        store.write(f'{scene}/f0__f2@1', Tracks(points, torch.ones(2, 3), queries, SIZE), statistics)
    store.finish(store.keys())
    config.custom_hooks[0].update(store='tracks', dataset=clip, labeler=dict(
        type='TrackLabeler', view=dict(type='DirectTracks'), queries=dict(type='GridQueries', step=16, border=12)))
    both, _ = browse_labels(config, pairs=2)
    sheet = read_image(both)
    assert sheet.shape == (30 + 26 + 26 + 22 + 200, 1224, 3)
    first, last = (sheet[104:, left:left + 400].astype(int) for left in (0, 824))
    # a frame is five times as wide on its sheet; in the first one are dots and rings, in the last one dots have moved

    def dot(part, x):
        return bool(np.ptp(part[97, 5 * x + 2]) > 60)

    def ring(part, x):
        around = part[85:110, 5 * x - 10:5 * x + 15]
        return bool((around[..., 0] - around[..., 1]).max() > 90 and not dot(part, x))

    assert [dot(first, x) for x in (15, 31, 47, 63)] == [True, True, False, False]
    assert [ring(first, x) for x in (47, 63)] == [True, True] and not ring(last, 63)
    assert [dot(last, x) for x in (15, 35, 51)] == [False, True, True]


def test_labels_of_another_kind_have_no_sheets(config, tmp_path):
    class Numbers:
        """Labels that are a number."""
        kind, suffixes = 'numbers of frames', ('.num', )

        def encode(self, label):
            return {'.num': str(label).encode()}

    register_codec(Numbers())
    config.custom_hooks[0].store = 'numbers'
    store = LabelStore(tmp_path / 'numbers', dict(kind='numbers of frames'))
    store.create()
    store.write('both/f0__f1', 1, dict(kept=1.))
    store.finish(store.keys())
    with pytest.raises(LabelStoreError, match="numbers: holds labels of the kind 'numbers of frames', and sheets"):
        browse_labels(config)
