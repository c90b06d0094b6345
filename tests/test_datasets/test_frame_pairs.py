import pickle
import re
from functools import partial

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope

from mmrefine.datasets import FramePairs, scenes
from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio import write_flow, write_image
from mmrefine.labeling import FlowLabeler
from mmrefine.registry import DATASETS


def extra_frames(data, number, **settings):
    """The frames that a labeler wants beside those of a pair, by name."""
    labeler = FlowLabeler(**{**dict(view=dict(type='CascadeView')), **settings})
    unit = data.units[number]
    numbers = labeler.extra_frames(unit, partial(data.usable, unit.scene))
    return {data.frame_name(unit.scene, number): data.frame(unit.scene, number) for number in numbers}


def third_frame(data, number):
    return next(iter(extra_frames(data, number, filters=[dict(type='CompositeFilter')]).values()), None)


def middle_frames(data, number):
    return extra_frames(data, number, view=dict(type='ComposedView'))


def corner(pixels):
    return tuple(int(value) for value in pixels[0, 0, :2])


def test_pairs_follow_scenes_and_frames_in_order(clips, frame):
    data = FramePairs(clips)
    assert data.scene_names == ['ant', 'bee', 'cow'] and len(data) == 1 + 2 + 3
    assert [pair['key'] for pair in data.pairs] == [
        'ant/f1__f2', 'bee/f1__f2', 'bee/f2__f3', 'cow/f1__f2', 'cow/f2__f3', 'cow/f3__f4'
    ]
    item = data[2]
    assert corner(item['frame1']) == (0, 1) and corner(item['frame2']) == (0, 2)
    np.testing.assert_array_equal(item['frame2'], frame(0, 2))
    assert (item['scene'], item['index'], item['reverse'], item['size']) == ('bee', 1, False, (6, 8))


def test_both_directions_put_the_reversed_pair_after_each_pair(clips):
    data = FramePairs(clips, scenes='bee', directions='both')
    assert [pair['key'] for pair in data.pairs] == ['bee/f1__f2', 'bee/f2__f1', 'bee/f2__f3', 'bee/f3__f2']
    assert [pair['reverse'] for pair in data.pairs] == [False, True, False, True]
    assert [pair['index'] for pair in data.pairs] == [0, 0, 1, 1]
    assert [(corner(item['frame1']), corner(item['frame2'])) for item in data] == [
        ((0, 0), (0, 1)), ((0, 1), (0, 0)), ((0, 1), (0, 2)), ((0, 2), (0, 1))
    ]


def test_a_step_skips_frames(clips):
    data = FramePairs(clips, scenes=['cow'], step=2, directions='both')
    assert [pair['key'] for pair in data.pairs] == ['cow/f1__f3', 'cow/f3__f1', 'cow/f2__f4', 'cow/f4__f2']
    assert corner(data[1]['frame1']) == (2, 2) and corner(data[1]['frame2']) == (2, 0)


def test_several_steps_give_pairs_of_each_from_each_frame_and_no_key_or_order_of_one_step_is_another(clips):
    data = FramePairs(clips, step=[2, 1])
    assert [pair['key'] for pair in data.pairs] == [
        'ant/f1__f2', 'bee/f1__f2', 'bee/f1__f3', 'bee/f2__f3', 'cow/f1__f2', 'cow/f1__f3', 'cow/f2__f3', 'cow/f2__f4',
        'cow/f3__f4'
    ]
    for step in (1, 2):
        alone = [pair for pair in data.pairs if pair['step'] == step and (step == 1 or pair['scene'] != 'ant')]
        assert alone == FramePairs(clips, step=step, hold_out='ant' if step == 2 else None).pairs
    item = data[7]
    assert corner(item['frame1']) == (2, 1) and corner(item['frame2']) == (2, 3)
    with pytest.raises(InputError, match='scene ant has 2 frames, and a pair with step=2 needs 3'):
        FramePairs(clips, step=(2, 3))


def test_a_unit_names_the_frames_of_its_pair_in_the_order_of_the_motion(clips, frame):
    data = FramePairs(clips, 'cow', step=2, directions='both')
    assert [(unit.key, unit.frames, unit.names) for unit in data.units[:2]] == [
        ('cow/f1__f3', (0, 2), ('f1', 'f3')), ('cow/f3__f1', (2, 0), ('f3', 'f1'))]
    assert [unit.key for unit in data.units] == [pair['key'] for pair in data.pairs]
    assert data.units[0].backward_key == data.units[1].key and data.units[1].backward_key == data.units[0].key
    for unit, item in zip(data.units, data):
        np.testing.assert_array_equal(data.frame(unit.scene, unit.frames[1]), item['frame2'])
    assert data.size('cow') == (6, 8) and data.frame_name('cow', 3) == 'f4'


def test_of_several_steps_each_pair_has_its_own_third_frame_and_only_steps_of_1_have_truth(clips, tmp_path):
    for number in (1, 2, 3):
        write_flow(tmp_path / 'truth' / 'cow' / f'f{number}.flo', np.zeros((6, 8, 2), np.float32))
    data = FramePairs(clips, 'cow', step=(1, 2), truth_root=tmp_path / 'truth')
    found = [third_frame(data, i) for i in range(len(data))]
    assert [None if pixels is None else corner(pixels)[1] for pixels in found] == [2, None, 3, None, 1]
    assert [pair['truth'] is not None for pair in data.pairs] == [True, False, True, False, True]


@pytest.mark.parametrize('step, between', [(1, [[], [], []]), (2, [['f2'], ['f3']]), (3, [['f2', 'f3']]),
                                           ((1, 3), [[], ['f2', 'f3'], [], []])])
def test_the_frames_between_the_two_of_a_pair_come_in_its_own_order(clips, frame, step, between):
    data = FramePairs(clips, 'cow', step=step, directions='both')
    found = [middle_frames(data, i) for i in range(len(data))]
    assert [list(its) for its in found[::2]] == between
    assert [list(its) for its in found[1::2]] == [its[::-1] for its in between]
    for its in found:
        for name, pixels in its.items():
            np.testing.assert_array_equal(pixels, frame(2, int(name[1:]) - 1))


def test_frames_to_skip_are_never_between(clips):
    data = FramePairs(clips, 'cow', step=(2, 3), skip=dict(cow=['f2']), directions='both')
    assert {pair['key']: list(middle_frames(data, i)) for i, pair in enumerate(data.pairs)} == {
        'cow/f1__f3': [], 'cow/f3__f1': [], 'cow/f1__f4': ['f3'], 'cow/f4__f1': ['f3']}


@pytest.mark.parametrize('step', [2, (1, 2), (1, 2, 3)])
def test_no_frame_of_the_other_side_is_between_the_two_of_a_pair(clips, frame, step):
    for number in range(20):
        write_image(clips / 'hen' / f'f{number + 1:02d}.png', frame(3, number))
    sides = []
    for held in (False, True):
        data = FramePairs(clips, 'hen', step=step, held_out=0.3, held=held)
        ends = {name for pair in data.pairs for name in pair['key'].partition('/')[2].split('__')}
        sides.append(ends | {name for i in range(len(data)) for name in middle_frames(data, i)})
        assert len(data) and any(middle_frames(data, i) for i in range(len(data)))
    assert not sides[0] & sides[1]


@pytest.mark.parametrize('scene, step, thirds', [
    ('cow', 1, [2, 3, 1]),                                   # the next one, at the end the one before the pair
    ('cow', 2, [None, None]), ('ant', 1, [None]),            # four frames hold no three at this step, two no third
    ('bee', 1, [2, 0]), ('hen', 2, [4, None, 0]),            # of five frames, 1 and 3 have neither 5 nor -1
])
def test_the_third_frame_of_a_pair_follows_it_or_comes_before_and_serves_both_directions(
        clips, frame, scene, step, thirds):
    for number in range(5):
        write_image(clips / 'hen' / f'f{number + 1}.png', frame(3, number))
    data = FramePairs(clips, scene, step=step, directions='both')
    found = [third_frame(data, i) for i in range(len(data))]
    assert [None if pixels is None else corner(pixels)[1]
            for pixels in found] == [number for number in thirds for _ in range(2)]
    whole = [i for i, pixels in enumerate(found) if pixels is not None]
    for i in whole:
        np.testing.assert_array_equal(found[i], frame(['bee', 'ant', 'cow', 'hen'].index(scene), thirds[i // 2]))


@pytest.mark.parametrize('scenes, hold_out, left', [
    ('cow', None, ['cow']), (['cow', 'ant'], None, ['ant', 'cow']), ('all', 'bee', ['ant', 'cow']),
    ('all', ['bee', 'ant'], ['cow']), (['ant', 'bee'], ['bee', 'cow'], ['ant'])])
def test_scenes_are_chosen_by_name_and_held_out_by_name(clips, scenes, hold_out, left):
    data = FramePairs(clips, scenes, hold_out=hold_out)
    assert data.scene_names == list(data.sources) == left
    assert {pair['scene'] for pair in data.pairs} == set(left)


def test_a_folder_of_frames_is_one_scene_and_so_is_a_video(clips, tmp_path):
    assert FramePairs(clips / 'cow').scene_names == ['cow'] and len(FramePairs(clips / 'cow')) == 3
    path = tmp_path / 'film.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, (64, 48))
    for number in range(4):
        writer.write(np.full((48, 64, 3), 60 * number, np.uint8))
    writer.release()
    data = FramePairs(path)
    assert [pair['key'] for pair in data.pairs][0] == 'film/frame_000000__frame_000001' and len(data) == 3
    greys = [float(item['frame1'].mean()) for item in data]
    assert greys == pytest.approx([0, 60, 120], abs=4)


def test_truth_is_found_by_scene_and_stem_and_only_forward(clips, tmp_path):
    flow = np.zeros((6, 8, 2), np.float32)
    for name in ('bee/f1.flo', 'bee/f2.png', 'cow/f2.flo'):
        write_flow(tmp_path / 'truth' / name, flow)
    data = FramePairs(clips, truth_root=tmp_path / 'truth', directions='both')
    found = {pair['key']: pair['truth'].relative_to(tmp_path / 'truth').as_posix() for pair in data.pairs
             if pair['truth']}
    assert found == {'bee/f1__f2': 'bee/f1.flo', 'bee/f2__f3': 'bee/f2.png', 'cow/f2__f3': 'cow/f2.flo'}
    assert all(pair['truth'] is None
               for pair in FramePairs(clips, scenes='cow', truth_root=tmp_path / 'truth', step=2).pairs)


def test_the_draw_alone_decides_the_randomness(clips):
    def numbers(item, seed=0):
        return FramePairs(clips, seed=seed, pipeline=[lambda results: results['rng'].random()])[item]

    assert numbers((1, 5)) == numbers((3, 5)) == np.random.default_rng((0, 5)).random()
    assert numbers((1, 5)) != numbers((1, 6))
    assert numbers((1, 5)) != numbers((1, 5), seed=1)
    assert numbers(4) == numbers((2, 4)) == numbers(-2)    # plain index: draw i


def test_the_pipeline_is_built_from_our_transforms_whatever_the_default_scope(clips, frame):
    # mmcv registers a RandomFlip too, which would not take these arguments
    cfg = dict(type='mmrefine.FramePairs', data_root=str(clips), scenes='ant', pipeline=[
        dict(type='RandomFlip', horizontal=1, vertical=0), dict(type='PackPair')])
    with DefaultScope.overwrite_default_scope('mmengine'):
        item = DATASETS.build(cfg)[0]
    np.testing.assert_array_equal(item['inputs'][1].permute(1, 2, 0).numpy(), frame(1, 1)[:, ::-1])


def test_labels_reach_the_pipeline_also_when_set_later(clips):
    data = FramePairs(clips, labels='first')
    assert data[0]['labels'] == 'first'
    data.labels = 'second'
    assert data[0]['labels'] == 'second'


def test_a_fitted_crop_is_one_size_for_all_scenes_whatever_their_frames(clips, frame):
    for number in (1, 2):
        write_image(clips / 'eel' / f'f{number}.png', frame(4, number, (9, 5)))
    data = FramePairs(clips, pipeline=[dict(type='RandomCrop', size=(8, 7), fit=True)])
    assert data.smallest_size() == (6, 5)
    assert {item['frame1'].shape for item in data} == {(6, 5, 3)}
    small = FramePairs(clips, pipeline=[dict(type='RandomCrop', size=(4, 4), fit=True)])
    assert {item['frame1'].shape for item in small} == {(4, 4, 3)}


def test_digests_tell_scenes_and_contents_apart(clips, frame):
    before = FramePairs(clips).digests()
    assert set(before) == {'ant', 'bee', 'cow'} and len(set(before.values())) == 3
    assert FramePairs(clips, scenes='bee').digests() == {'bee': before['bee']}
    write_image(clips / 'bee' / 'f2.png', frame(9, 9))
    after = FramePairs(clips).digests()
    assert after['bee'] != before['bee'] and after['cow'] == before['cow']


def test_construction_decodes_nothing(clips, monkeypatch):
    def fail(path):
        raise AssertionError(f'{path} was opened')

    monkeypatch.setattr(scenes, 'open_frames', fail)
    data = FramePairs(clips)
    assert len(data) == 6
    with pytest.raises(AssertionError, match='ant was opened'):
        data[0]


def test_of_many_scenes_only_the_last_few_keep_frames(clips, monkeypatch):
    monkeypatch.setattr(scenes, '_WARM_SCENES', 2)
    opened = []
    real = scenes.open_frames
    monkeypatch.setattr(scenes, 'open_frames', lambda path: opened.append(path.name) or real(path))
    data = FramePairs(clips)
    for _ in range(2):
        for index, item in enumerate(data):
            number = data.pairs[index]['index']
            assert corner(item['frame1'])[1] == number and corner(item['frame2'])[1] == number + 1
            holding = [name for name, source in data.sources._opened.items() if source._cache]
            assert len(holding) <= 2
    assert opened == ['ant', 'bee', 'cow']    # opened once each, also after their frames were let go


def test_a_pickled_dataset_gives_the_same_items(clips):
    data = FramePairs(clips, directions='both', pipeline=[dict(type='RandomCrop', size=(4, 4)), dict(type='PackPair')])
    before = [item['inputs'].numpy() for item in data]
    after = [item['inputs'].numpy() for item in pickle.loads(pickle.dumps(data))]
    np.testing.assert_array_equal(before, after)


def test_metainfo_names_the_scenes(clips):
    assert FramePairs(clips, hold_out='bee').metainfo == dict(dataset='FramePairs', scenes=['ant', 'cow'])


@pytest.mark.parametrize('kwargs, message', [
    (dict(scenes='bea'), "scenes names 'bea', which is not among its 3 scene.s.; did you mean bee"),
    (dict(scenes=['cow', 'zzz']), "scenes names 'zzz'.*did you mean ant, bee, cow"),
    (dict(scenes=3), "scenes must be 'all', the name of a scene or a list of names, got 3"),
    (dict(scenes=[]), r'got \[\]'),
    (dict(scenes=[1]), r'got \[1\]'),
    (dict(hold_out='coww'), "hold_out names 'coww'.*did you mean cow"),
    (dict(hold_out=['ant', 'bee', 'cow']), 'leaves no scene of 3'),
    (dict(directions='backward'), "directions must be 'forward' or 'both', got 'backward'"),
    (dict(step=0), 'step must be a whole number of frames, at least 1, got 0'),
    (dict(step=(1, 1)), r'at least 1, got \(1, 1\); or several different ones'),
    (dict(step=[]), r'at least 1, got \[\]; or several different ones'),
])
def test_a_config_that_cannot_be_meant_is_refused(clips, kwargs, message):
    with pytest.raises(ConfigError, match=message):
        FramePairs(clips, **kwargs)


def test_a_missing_folder_is_named(clips, tmp_path):
    with pytest.raises(InputError, match=re.escape(str(tmp_path / 'nowhere'))):
        FramePairs(tmp_path / 'nowhere')
    with pytest.raises(InputError, match=f'{re.escape(str(tmp_path / "nowhere"))}.*truth_root'):
        FramePairs(clips, truth_root=tmp_path / 'nowhere')


def test_a_scene_of_one_frame_is_named(clips, frame):
    write_image(clips / 'dog' / 'f1.png', frame(3, 0))
    with pytest.raises(InputError, match=r'dog: holds only f1.png, motion needs at least 2 frames'):
        FramePairs(clips)
    assert len(FramePairs(clips, hold_out='dog')) == 6


def test_a_scene_too_short_for_the_step_is_named(clips):
    with pytest.raises(InputError, match=r'scene ant has 2 frames, and a pair with step=2 needs 3'):
        FramePairs(clips, step=2)


def test_frames_of_different_sizes_are_named(clips, frame):
    write_image(clips / 'bee' / 'f3.png', frame(0, 2, (5, 9)))
    with pytest.raises(InputError, match=r'bee: frames differ in size, f1.png is 8 x 6 and f3.png is 9 x 5'):
        FramePairs(clips, scenes='bee')[0]
