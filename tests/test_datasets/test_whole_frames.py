"""Whole frames beside their crops: where the crop lies, what the colours are, and what losses see of it."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.datasets import FramePairs
from mmrefine.datasets.transforms import (ColorJitter, Eraser, KeepWholeFrames, PackPair, RandomCrop, RandomFlip,
                                          RandomScaleStretch, SelfWarp)
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_image
from mmrefine.geometry import backwarp
from mmrefine.models import PhotometricLoss
from mmrefine.structures import FlowOutputs, FlowTargets

COLORS = [ColorJitter(prob=1., asymmetric=1.), Eraser(prob=1., max_boxes=3, sides=(4, 9))]


def pair(size=(30, 40), seed=0, **more):
    frames = np.random.default_rng(seed).integers(0, 256, size=(2, *size, 3), dtype=np.uint8)
    return dict(frame1=frames[0], frame2=frames[1], key='scene/a__b', scene='scene', size=size,
                rng=np.random.default_rng(seed), smallest_size=lambda: size, **more)


def through(results, *transforms):
    for transform in transforms:
        results = transform(results)
    return results


def batch_of(*items):
    """Inputs in [0, 1] and targets, as a model gets them."""
    return (torch.stack([item['inputs'] for item in items]).float() / 255,
            FlowTargets.of([item['data_samples'] for item in items]))


MIRRORS = [(0., 0.), (1., 0.), (0., 1.), (1., 1.)]


@pytest.mark.parametrize('horizontal, vertical', MIRRORS)
def test_a_warped_crop_is_that_region_of_the_warped_frame(horizontal, vertical):
    item = through(pair(), KeepWholeFrames(), RandomScaleStretch(prob=1.), RandomCrop((16, 20)),
                   RandomFlip(horizontal, vertical), *COLORS, PackPair())
    inputs, targets = batch_of(item)
    whole2, (left, top) = targets.whole.frames2[0][None], targets.whole.corners[0].long().tolist()
    assert left > 0 and top > 0 and min(whole2.shape[-2:]) > 20
    flow = 9 * torch.randn(1, 2, *whole2.shape[-2:], generator=torch.Generator().manual_seed(1))
    region = (..., slice(top, top + 16), slice(left, left + 20))
    torch.testing.assert_close(targets.whole.warped(flow[region]), backwarp(whole2, flow, 'border')[region])


@pytest.mark.parametrize('horizontal, vertical', MIRRORS)
def test_the_crop_is_found_in_its_frame_with_the_colours_of_the_video(horizontal, vertical):
    """Without changes of colour it is what the network sees; with them it stays."""
    geometry = [KeepWholeFrames(), RandomScaleStretch(prob=1.), RandomCrop((16, 20)), RandomFlip(horizontal, vertical)]
    inputs, targets = batch_of(through(pair(), *geometry, PackPair()))
    changed, others = batch_of(through(pair(), *geometry, *COLORS, PackPair()))
    assert not torch.equal(inputs, changed)
    for whole in (targets.whole, others.whole):
        torch.testing.assert_close(whole.crops(16, 20), inputs[:, 0])
        torch.testing.assert_close(whole.backwards().crops(16, 20), inputs[:, 1])


def moving_pair(size, shift, seed=0):
    """Frame 2 is frame 1 moved by ``shift`` px to the right; what comes in is new."""
    frame = np.random.default_rng(seed).integers(0, 256, size=(size[0], size[1] + shift, 3), dtype=np.uint8)
    return {**pair(size, seed), 'frame1': frame[:, shift:], 'frame2': frame[:, :size[1]]}


def loss_at(loss, inputs, targets, x):
    flow = torch.zeros(len(inputs), 2, *inputs.shape[-2:])
    flow[:, 0] = x
    return loss(FlowOutputs([flow], inputs[:, 0], inputs[:, 1]), targets)


@pytest.mark.parametrize('occlusion', [None, 'cycle', 'range_map'])
def test_motion_that_leaves_the_crop_is_judged_by_the_whole_frame(occlusion):
    """All of it leaves the crop of 12 columns; in the frame it ends where the colours fit."""
    packed = through(moving_pair((20, 60), 14), KeepWholeFrames(), lambda r: RandomCrop((12, 12))(
        {**r, 'rng': np.random.default_rng(3)}), ColorJitter(prob=1.), PackPair())
    inputs, targets = batch_of(packed)
    left = int(targets.whole.corners[0, 0])
    assert left + 12 + 14 <= 60
    loss, flow = PhotometricLoss('color', occlusion), torch.zeros(1, 2, 12, 12)
    flow[:, 0] = 14.
    outputs = FlowOutputs([flow], inputs[:, 0], inputs[:, 1], [-flow] if occlusion else None)
    assert loss(outputs, targets).item() == pytest.approx(1e-3**0.9, rel=1e-2)
    assert loss(outputs, FlowTargets()) == 0.  # the crop alone knows nothing of it


def test_pairs_of_different_sizes_share_a_batch():
    """Each looks into its own frame; all their pixels count the same."""
    keep, crop = KeepWholeFrames(), RandomCrop((12, 16))
    items = [through(moving_pair(size, 3, seed), keep, crop, PackPair())
             for seed, size in enumerate([(20, 60), (31, 45)])]
    loss = PhotometricLoss('color', None)
    alone = [float(loss_at(loss, *batch_of(item), 2.)) for item in items]
    inputs, targets = batch_of(*items)
    assert [tuple(frame.shape) for frame in targets.whole.frames1] == [(3, 20, 60), (3, 31, 45)]
    assert loss_at(loss, inputs, targets, 2.).item() == pytest.approx(sum(alone) / 2, rel=1e-5)
    assert loss_at(loss, inputs, targets, 3.).item() == pytest.approx(1e-3**0.9, rel=1e-2)


def test_a_batch_in_which_a_pair_lacks_them_compares_what_the_network_saw():
    items = [through(pair(), *keep, RandomCrop((12, 16)), PackPair()) for keep in ([KeepWholeFrames()], [])]
    assert batch_of(*items)[1].whole is None and batch_of(items[0])[1].whole is not None
    assert 'whole_frames' not in items[1]['data_samples'] and 'corner' not in items[1]['data_samples']


def test_frames_smaller_than_the_crop_and_scenes_of_two_sizes_are_refused_or_fitted(tmp_path):
    for name, size in (('a', (20, 30)), ('b', (24, 26)), ('mixed', (20, 30))):
        for number in range(2):
            shape = (22, 30) if name == 'mixed' and number else size
            write_image(tmp_path / name / f'{number}.png', pair(shape, number)['frame1'])
    pipeline = [dict(type='KeepWholeFrames'), dict(type='RandomCrop', size=(64, 64), fit=True), dict(type='PackPair')]
    data = FramePairs(tmp_path, scenes=['a', 'b'], pipeline=pipeline)
    inputs, targets = batch_of(*data)
    assert inputs.shape[-2:] == (20, 26)
    assert [tuple(frame.shape) for frame in targets.whole.frames2] == [(3, 20, 30), (3, 24, 26)]
    torch.testing.assert_close(targets.whole.crops(20, 26), inputs[:, 0])
    pipeline[1]['fit'] = False
    with pytest.raises(InputError, match=r'the frames are 20x30 \(height x width\) and RandomCrop.size is 64x64'):
        FramePairs(tmp_path, scenes='a', pipeline=pipeline)[0]
    with pytest.raises(InputError, match='size'):
        FramePairs(tmp_path, scenes='mixed', pipeline=[pipeline[0], pipeline[2]])[0]


def test_transforms_that_cannot_follow_are_refused():
    cropped = through(pair(), KeepWholeFrames(), RandomCrop((16, 20)))
    with pytest.raises(ConfigError, match='let RandomScaleStretch come before RandomCrop'):
        RandomScaleStretch(scale=(0.5, 0.6), prob=1.)(cropped)
    with pytest.raises(ConfigError, match='KeepWholeFrames kept frames that SelfWarp would replace'):
        SelfWarp(prob=0.)(cropped)
    item = PackPair()({**cropped, 'corner': (30, 0)})
    inputs, targets = batch_of(item)
    with pytest.raises(ValueError, match=r'a crop of 16x20 px \(height x width\) at \(x, y\) = \(30, 0\) does not lie '
                       'within its whole frame of 30x40 px'):
        loss_at(PhotometricLoss('color', None), inputs, targets, 0.)


def test_without_it_nothing_is_carried_and_the_frames_are_not_written_to():
    results = pair()
    before = results['frame1'].copy()
    through(results, KeepWholeFrames(), RandomCrop((16, 20)), RandomFlip(1., 1.), *COLORS, PackPair())
    np.testing.assert_array_equal(results['frame1'], before)
    assert set(through(pair(), RandomCrop((16, 20)), PackPair())['data_samples'].all_keys()) == {'key', 'scene', 'size'}
