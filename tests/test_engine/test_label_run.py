"""Stage 1 over a data set."""
import copy
import shutil
import threading

import pytest
import torch
from mmengine.config import Config
from small_runs import KEYS, files_of, in_two_processes, small_model

from mmrefine.compat.stock import stock_config_root
from mmrefine.datasets import FramePairs
from mmrefine.engine import label_fingerprint, make_labels
from mmrefine.engine.runtime.progress import Progress
from mmrefine.engine.stage1.flow_judge import judge_labels, look_at_pair
from mmrefine.engine.stage1.run import label_summary, wanted_keys
from mmrefine.errors import ConfigError, InputError, NoLabelsError, StaleLabelsError
from mmrefine.evaluation.labels.sums import LabelSums
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.merge import merge_stores
from mmrefine.fileio.store.verification import verify_store
from mmrefine.labeling import FlowLabeler, StillPairGuard
from mmrefine.models import FlowRefiner, FrozenTeacher, load_estimator
from mmrefine.structures import LabelUnit, as_frames
from mmrefine.synthetic import write_clips

COMPOSITE = [dict(type='CycleFilter', alpha=0.5, beta=2.), dict(type='CompositeFilter', alpha=0., beta=.2)]


def teacher_of(material, **changes):
    torch.set_num_threads(1)
    model = {k: v for k, v in small_model().items() if k != 'type'}
    refiner = FlowRefiner(**dict(model, **changes))
    load_estimator(refiner, material / 'start.pth')
    return FrozenTeacher(refiner)


def labeler_of(**changes):
    filters = [dict(type='CycleFilter', alpha=0.5, beta=2.)]
    return FlowLabeler(**dict(dict(view=dict(type='CascadeView', scales=(1., )), filters=filters), **changes))


@pytest.fixture(scope='module')
def teacher(material):
    return teacher_of(material)


@pytest.fixture
def pairs(material):
    return FramePairs(material / 'frames')


def store_for(root, teacher, labeler, dataset):
    return LabelStore(root, label_fingerprint(teacher, labeler, dataset, '1'))


def label(root, teacher, labeler, dataset, **options):
    store, lines = store_for(root, teacher, labeler, dataset), []
    return make_labels(teacher, labeler, dataset, store, log=lines.append, **options), store, lines


def backward_key(key):
    scene, _, pair = key.rpartition('/')
    return f'{scene}/{"__".join(reversed(pair.split("__")))}'


@pytest.mark.parametrize('names, back', [(('f1', 'f2'), 'a/b/f2__f1'), (('x__1', 'x__2'), 'a/b/x__2__x__1')])
def test_the_key_of_the_way_back_swaps_the_frames_and_keeps_the_scene(names, back):
    unit = LabelUnit('a/b/' + '__'.join(names), 'a/b', (0, 1), names)
    assert unit.backward_key == back and labeler_of(directions='both').keys(unit) == [unit.key, back]


def test_an_interrupted_run_makes_only_what_is_missing_and_ends_the_same(teacher, pairs, tmp_path, monkeypatch):
    whole, store, lines = label(tmp_path / 'whole', teacher, labeler_of(), pairs, log_every=0.)
    assert (whole.labels, whole.made) == (4, 4) and whole.kept == pytest.approx(label_summary(store)['kept'])
    assert [line.split(' pairs')[0] for line in lines] == [f'labels: {n}/4' for n in (1, 2, 3, 4)]
    labeler, asked = labeler_of(), []
    original = labeler.label

    def interrupted(*args):
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(labeler, 'label', interrupted)
    with pytest.raises(KeyboardInterrupt):
        label(tmp_path / 'killed', teacher, labeler, pairs)
    assert not (tmp_path / 'killed/manifest.json').exists()
    rest, _, _ = label(tmp_path / 'killed', teacher, labeler_of(), pairs)
    assert (rest.labels, rest.made) == (4, 2)
    assert files_of(tmp_path / 'killed') == files_of(tmp_path / 'whole')
    again, _, lines = label(tmp_path / 'killed', teacher, labeler_of(), pairs)
    assert (again.labels, again.made, lines) == (4, 0, [])


@pytest.mark.parametrize('third', [False, True])
def test_frames_that_are_read_ahead_give_the_labels_of_frames_that_are_not(teacher, pairs, tmp_path, third):
    threads = set()

    class Watched(FramePairs):
        """Tells who reads it."""

        def frame(self, scene, number):
            threads.add(threading.current_thread().name.partition('_')[0])
            return super().frame(scene, number)

    labeler, watched = labeler_of(**dict(filters=COMPOSITE) if third else {}), Watched(pairs.data_root)
    for ahead in (0, 1, 3):
        label(tmp_path / str(ahead), teacher, labeler, watched, read_ahead=ahead)
        assert threads == {'read-ahead' if ahead else 'MainThread'}
        assert files_of(tmp_path / str(ahead)) == files_of(tmp_path / '0')
        threads.clear()


def test_a_broken_frame_stops_the_run_where_it_is_needed_and_all_before_it_is_labelled(teacher, pairs, tmp_path):

    class Broken(FramePairs):
        """One frame cannot be read any more."""

        def frame(self, scene, number):
            if (scene, number) == ('target_0002', 0):
                raise InputError('b/frame_0.png: cannot be decoded')
            return super().frame(scene, number)

    with pytest.raises(InputError, match=r'^b/frame_0.png: cannot be decoded$'):
        label(tmp_path / 'killed', teacher, labeler_of(), Broken(pairs.data_root), read_ahead=2)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith('read-ahead')] == []
    rest, _, _ = label(tmp_path / 'killed', teacher, labeler_of(), pairs)
    assert (rest.labels, rest.made) == (4, 2)
    label(tmp_path / 'whole', teacher, labeler_of(), pairs)
    assert files_of(tmp_path / 'killed') == files_of(tmp_path / 'whole')


def test_a_run_leaves_to_another_run_on_its_store_what_that_has_made(teacher, pairs, material, tmp_path, monkeypatch):
    label(tmp_path / 'alone', teacher, labeler_of(), pairs)
    labeler, theirs = labeler_of(), FramePairs(material / 'frames')
    original, asked = labeler.label, []

    def meanwhile(*args):
        asked.append(1)
        assert label(tmp_path / 'shared', teacher, labeler_of(), theirs)[0].made == 4  # the other run comes to its end
        return original(*args)

    monkeypatch.setattr(labeler, 'label', meanwhile)
    run, _, _ = label(tmp_path / 'shared', teacher, labeler, pairs)
    assert len(asked) == 1 and run.labels == 4
    assert files_of(tmp_path / 'shared') == files_of(tmp_path / 'alone')


def test_parts_that_were_made_apart_merge_to_the_store_of_one_run(teacher, pairs, tmp_path):
    label(tmp_path / 'whole', teacher, labeler_of(), pairs)
    for k in (1, 2, 3):
        run, store, _ = label(tmp_path / str(k), teacher, labeler_of(), pairs, part=(k, 3))
        assert run.labels == run.made == (2 if k == 1 else 1) and not store.is_complete()
        assert run.kept == pytest.approx(sum(store.stats(key)['kept'] for key in store.keys()) / run.labels)
    merge_stores(tmp_path / 'merged', [tmp_path / str(k) for k in (3, 1, 2)])
    run, _, _ = label(tmp_path / 'merged', teacher, labeler_of(), pairs)
    assert (run.labels, run.made) == (4, 0)
    assert files_of(tmp_path / 'merged') == files_of(tmp_path / 'whole')
    label(tmp_path / 'here', teacher, labeler_of(), pairs, part=(2, 2))  # or all parts in one folder
    label(tmp_path / 'here', teacher, labeler_of(), pairs, part=(1, 2))
    assert files_of(tmp_path / 'here') == files_of(tmp_path / 'whole')


@pytest.mark.parametrize('part', [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_does_not_exist_is_refused(teacher, pairs, tmp_path, part):
    with pytest.raises(ConfigError, match=f'k from 1 to n, got {part[0]}/{part[1]}'):
        label(tmp_path, teacher, labeler_of(), pairs, part=part)
    assert not list(tmp_path.iterdir())


def test_both_directions_give_the_label_of_each_reversed_pair(teacher, pairs, material, tmp_path):
    label(tmp_path / 'both', teacher, labeler_of(directions='both'), pairs)
    label(tmp_path / 'reversed', teacher, labeler_of(), FramePairs(material / 'frames', directions='both'))
    both, turned = (LabelStore.open(tmp_path / name) for name in ('both', 'reversed'))
    assert both.keys() == turned.keys() == sorted(KEYS + [backward_key(key) for key in KEYS])
    for key in both.keys():  # another place in the batch: the last bits may differ, and the file rounds to 1/64 px
        known = (both.read(key).weight > 0) & (turned.read(key).weight > 0)
        assert (both.read(key).flow - turned.read(key).flow)[:, known[0]].abs().max() <= 1 / 64


@pytest.mark.parametrize('changes', [dict(test_iters=3), dict()])
def test_labels_of_a_teacher_that_reads_otherwise_are_stale(teacher, pairs, material, tmp_path, changes):
    store = store_for(tmp_path, teacher, labeler_of(), pairs)
    store.create()
    store.finish([])  # a store that is not complete and has no label is anybody's
    other = teacher_of(material, **changes)
    if not changes:
        other.refiner.normalize.to_bgr = not other.refiner.normalize.to_bgr
    told = r'made with other reading \(how the teacher runs, such as model.test_iters; found'
    with pytest.raises(StaleLabelsError, match=told):
        label(tmp_path, other, labeler_of(), pairs)


def test_where_nothing_survives_the_error_says_how_much_and_what_to_do(teacher, pairs, tmp_path):
    nothing = labeler_of(filters=[dict(type='ColorFilter', tolerance=0.)])
    with pytest.raises(NoLabelsError, match=r'only 0\.000% .* min_kept=0\.100%; loosen .* delete this folder'):
        label(tmp_path, teacher, nothing, pairs)
    with pytest.raises(NoLabelsError):  # the labels are there now, and still there is nothing to learn
        label(tmp_path, teacher, nothing, pairs)


def test_the_summary_says_which_share_of_the_pairs_a_guard_let_pass(teacher, pairs, tmp_path, monkeypatch):
    verdicts = iter([True, False, True, True])
    monkeypatch.setattr(StillPairGuard, 'passes', lambda self, ctx: torch.tensor([next(verdicts)]))
    guarded = labeler_of(filters=[dict(type='StillPairGuard')])
    _, store, _ = label(tmp_path, teacher, guarded, pairs, batch_size=1)
    assert sorted(store.stats(key)['passed_StillPairGuard'] for key in store.keys()) == [0, 1, 1, 1]
    summary = label_summary(store)
    assert summary['passed_StillPairGuard'] == .75
    assert all('passed_StillPairGuard' in scene for scene in summary['scenes'].values())


def test_frames_whose_names_would_give_two_labels_one_key_are_named(material, tmp_path):
    files = sorted((material / 'frames/target_0001').iterdir())
    for name, file in zip(('a', 'a__b', 'b__c'), files):
        (tmp_path / 'v').mkdir(exist_ok=True)
        shutil.copy(file, tmp_path / f'v/{name}.png')
    shutil.copy(files[0], tmp_path / 'v/c.png')
    with pytest.raises(ConfigError, match='the label v/a__b__c would be that of the frames a and b__c, and that of '
                                          'a__b and c; rename these frames'):
        wanted_keys(FramePairs(tmp_path / 'v', step=2), labeler_of())


def test_labelling_both_ways_twice_is_refused(teacher, material, tmp_path):
    with pytest.raises(ConfigError, match="set directions='forward' in the data set"):
        label(tmp_path, teacher, labeler_of(directions='both'), FramePairs(material / 'frames', directions='both'))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('size', [0, 1.5, 'x'])
def test_a_batch_size_that_cannot_be_meant_is_refused(teacher, pairs, tmp_path, size):
    with pytest.raises(ConfigError, match=f'batch_size of the labels must be a whole number, at least 1, got {size!r}'):
        label(tmp_path, teacher, labeler_of(), pairs, batch_size=size)


def weights_of(store):
    return {key: store.read(key).weight for key in store.keys()}


def test_every_pair_is_checked_by_the_frame_after_it_or_the_one_before(teacher, pairs, tmp_path, monkeypatch):
    labeler, thirds = labeler_of(filters=COMPOSITE, directions='both'), []
    original = labeler.label_pairs

    def watched(asked, batch):
        thirds.extend(batch.thirds)
        return original(asked, batch)

    monkeypatch.setattr(labeler, 'label_pairs', watched)
    _, store, _ = label(tmp_path / 'checked', teacher, labeler, pairs, batch_size=2)
    wanted = [pairs.sources[scene][number] for scene in pairs.scene_names for number in (2, 0)]
    assert torch.equal(torch.stack(thirds), as_frames(wanted))
    assert label_summary(store)['third'] == 1.
    _, plain, _ = label(tmp_path / 'plain', teacher, labeler_of(directions='both'), pairs, batch_size=2)
    before, after = weights_of(plain), weights_of(store)
    assert len(after) == 8 and 'third' not in label_summary(plain)
    for key in after:
        assert (after[key] <= before[key]).all()
        known = after[key][0] > 0                            # the file keeps the motion of what has weight
        assert torch.equal(store.read(key).flow[:, known], plain.read(key).flow[:, known])
    assert sum(float(weight.sum()) for weight in after.values()) < .98 * sum(float(weight.sum())
                                                                             for weight in before.values())


def test_scenes_without_a_third_frame_give_the_labels_of_two_frames_and_say_so(teacher, material, tmp_path):
    far = FramePairs(material / 'frames', step=2)            # 3 frames: none is 2 after the pair, none 2 before
    _, store, _ = label(tmp_path / 'checked', teacher, labeler_of(filters=COMPOSITE), far)
    _, plain, _ = label(tmp_path / 'plain', teacher, labeler_of(), far)
    assert label_summary(store)['third'] == 0. and [store.stats(key)['third'] for key in store.keys()] == [0., 0.]
    found, wanted = ({name: data for name, data in files_of(tmp_path / folder).items() if name.endswith('.png')}
                     for folder in ('checked', 'plain'))
    assert found == wanted and len(found) == 2


def test_each_frame_of_a_scene_is_encoded_once(teacher, pairs, tmp_path):
    teacher, seen = FrozenTeacher(teacher.refiner), []
    handle = teacher.refiner.estimator.encoder.register_forward_hook(lambda _, frames, __: seen.append(len(frames[0])))
    try:
        label(tmp_path / 'one', teacher, labeler_of(), pairs, batch_size=1)
    finally:
        handle.remove()
    frames = {(pair['scene'], name) for pair in pairs.pairs for name in pair['key'].rpartition('/')[2].split('__')}
    assert seen == [1] * len(frames) and len(frames) < 2 * len(pairs.pairs)


def test_frames_whose_names_have_two_underscores_are_encoded_once_too(teacher, tmp_path):
    write_clips(tmp_path, seeds=(4, ), num_frames=3, size=(64, 96))
    for path in (tmp_path / 'frames').rglob('*.png'):
        path.rename(path.with_name(path.name.replace('_', '__')))
    teacher, seen = FrozenTeacher(teacher.refiner), []
    teacher.refiner.estimator.encoder.register_forward_hook(lambda _, frames, __: seen.append(len(frames[0])))
    _, store, _ = label(tmp_path / 'store', teacher, labeler_of(directions='both'), FramePairs(tmp_path / 'frames'))
    assert seen == [1] * 3 and 'target_0004/frame__0002__frame__0001' in store.keys()


def test_a_shortcut_of_the_teacher_is_part_of_the_fingerprint(teacher, pairs):
    exact, rounded = (label_fingerprint(t, labeler_of(), pairs, '1')
                      for t in (teacher, FrozenTeacher(teacher.refiner, 'bfloat16')))
    assert {name for name in exact if exact[name] != rounded[name]} == {'reading'}


def test_the_batch_is_part_of_the_fingerprint_only_where_its_pairs_stop_together(teacher, pairs):
    refiner = copy.deepcopy(teacher.refiner)
    refiner.exit_below = 0.1
    for asked, same in ((teacher, True), (FrozenTeacher(refiner), False)):
        one, three = (label_fingerprint(asked, labeler_of(), pairs, '1', batch_size=size) for size in (1, 3))
        assert (one == three) is same


def test_two_processes_check_with_a_third_frame_as_one_does(teacher, pairs, tmp_path):
    label(tmp_path / 'one', teacher, labeler_of(filters=COMPOSITE), pairs, batch_size=1)
    assert in_two_processes(lambda rank: label(tmp_path / 'two', teacher, labeler_of(filters=COMPOSITE), pairs,
                                               batch_size=1)) == [0, 0]
    assert files_of(tmp_path / 'two') == files_of(tmp_path / 'one')


def test_a_third_frame_is_part_of_the_fingerprint(teacher, pairs):
    checked, plain = (label_fingerprint(teacher, labeler, pairs, '1')
                      for labeler in (labeler_of(filters=COMPOSITE), labeler_of()))
    assert {name for name in plain if plain[name] != checked[name]} == {'labeler'}


@pytest.mark.parametrize('batch_size', [1, 2])
def test_a_view_with_its_own_iterations_labels_as_a_network_that_has_as_many(teacher, pairs, material, tmp_path,
                                                                             batch_size):
    view, options = dict(type='CascadeView', scales=(1., 2.)), dict(batch_size=batch_size)
    more = labeler_of(view=dict(view, iters=3), directions='both')
    label(tmp_path / 'asked', teacher, more, pairs, **options)
    other = teacher_of(material, test_iters=3)
    label(tmp_path / 'has', other, labeler_of(view=view, directions='both'), pairs, **options)
    label(tmp_path / 'plain', teacher, labeler_of(view=view, directions='both'), pairs, **options)
    found, wanted, plain = ({name: data for name, data in files_of(tmp_path / folder).items() if name.endswith('.png')}
                            for folder in ('asked', 'has', 'plain'))
    assert found == wanted != plain and len(found) == 8
    prints = [label_fingerprint(teacher, labeler, pairs, '1')
              for labeler in (more, labeler_of(view=view, directions='both'))]
    assert {name for name in prints[0] if prints[0][name] != prints[1][name]} == {'labeler'}


def test_a_network_that_does_not_iterate_refuses_iterations_of_the_view_by_its_key(pairs, tmp_path):
    config = Config.fromfile(stock_config_root() / '_base_/models/pwcnet.py')
    teacher = FrozenTeacher(FlowRefiner(estimator=config.model))
    with pytest.raises(ConfigError, match=r'^labeler\.view\.iters=3: PWCNet does not iterate; leave it out'):
        label(tmp_path, teacher, labeler_of(view=dict(type='CascadeView', iters=3)), pairs)


COMPOSED = dict(type='ComposedView', scales=(1., ), flip=False, radius=4)


@pytest.fixture
def long_pairs(material):
    return FramePairs(material / 'frames', step=(1, 2))


@pytest.mark.parametrize('batch_size', [1, 3])
def test_long_steps_are_composed_and_short_ones_labelled_as_without_composing(teacher, long_pairs, tmp_path,
                                                                              batch_size):
    options = dict(batch_size=batch_size)
    _, store, _ = label(tmp_path / 'composed', teacher, labeler_of(view=COMPOSED, directions='both'), long_pairs,
                        **options)
    direct = labeler_of(view=dict(COMPOSED, type='ArbitratedView'), directions='both')
    _, plain, _ = label(tmp_path / 'direct', teacher, direct, long_pairs, **options)
    long = {pair['key'] for pair in long_pairs.pairs if pair['step'] == 2}
    long |= {backward_key(key) for key in long}
    assert len(long) == 4 and len(store.keys()) == 12
    for key in store.keys():
        files = [(one.root / f'{key}.png').read_bytes() for one in (store, plain)]
        assert (store.stats(key)['from_composed'] > 0) == (files[0] != files[1]) == (key in long)
    assert 0 < label_summary(store)['from_composed'] < 1


def test_composed_labels_are_the_same_whoever_makes_them_and_however_often_the_run_was_cut(teacher, long_pairs,
                                                                                           tmp_path):
    label(tmp_path / 'whole', teacher, labeler_of(view=COMPOSED), long_pairs)
    for part in (1, 2, 3):                                    # each begins without what the one before remembered
        label(tmp_path / 'parts', teacher, labeler_of(view=COMPOSED), long_pairs, part=(part, 3), read_ahead=part - 1)
    assert files_of(tmp_path / 'parts') == files_of(tmp_path / 'whole')


def test_each_short_step_of_a_scene_is_looked_at_once(teacher, tmp_path, monkeypatch):
    labeler, asked = labeler_of(view=COMPOSED), []
    step = labeler.view.steps.view
    original = step.look
    monkeypatch.setattr(step, 'look', lambda teacher, pair: asked.append(pair.names) or original(teacher, pair))
    write_clips(tmp_path / 'long', seeds=(4, ), num_frames=5, size=(64, 96))
    far = FramePairs(tmp_path / 'long' / 'frames', step=2)
    label(tmp_path / 'store', teacher, labeler, far)
    frames = len(far) + 2
    assert len(asked) == len({names[0][0] for names in asked}) == frames - 1 > 2


MAKINGS = {
    'hard': dict(directions='both'),
    'one way': dict(),
    'soft': dict(directions='both', filters=[dict(type='SoftCycleFilter', beta=2.)]),
    'with a floor and a guard': dict(directions='both', floor=.3, filters=[
        dict(type='CycleFilter', alpha=.5, beta=2.), dict(type='CutGuard', least=0.),
        dict(type='DuplicateFrameGuard')]),
    'balanced': dict(directions='both', balance=dict(type='SpeedQuota')),
}


@pytest.mark.parametrize('making', MAKINGS)
def test_the_sums_made_from_memory_are_those_of_the_labels_on_disk_and_so_is_the_record(teacher, material, tmp_path,
                                                                                        making, monkeypatch):
    pairs = FramePairs(material / 'frames', truth_root=material / 'flow')
    _, store, _ = label(tmp_path, teacher, labeler_of(**MAKINGS[making]), pairs, batch_size=2)
    both = making != 'one way'
    for i, pair in enumerate(pairs.pairs):
        keys = [pair['key'], backward_key(pair['key'])][:1 + both]
        frames = [as_frames([pairs[i][name]]) for name in ('frame1', 'frame2')]
        wanted = look_at_pair(*frames, [store.read(key) for key in keys], [store.stats(key) for key in keys])
        assert [LabelSums.from_plain(store.quality(key)) for key in keys] == wanted
        assert all((one.cycle is not None) == both for one in wanted)
    record, plain = judge_labels(store, pairs), FramePairs(material / 'frames')
    without_truth = judge_labels(store, plain)
    with monkeypatch.context() as patch:  # neither labels nor frames are read again
        patch.setattr(LabelStore, 'read', None)
        patch.setattr(FramePairs, '__getitem__', None)
        patch.setattr(FramePairs, 'frame', None)
        assert judge_labels(LabelStore.open(tmp_path), plain) == without_truth
    (tmp_path / 'quality.json').unlink()
    assert judge_labels(LabelStore.open(tmp_path), pairs) == record
    assert judge_labels(LabelStore.open(tmp_path), plain) == without_truth
    assert record['labels'] == 4 * (1 + both) and record['truth']['labels'] == 4 and record['kept'] > 0


@pytest.mark.parametrize('suffix', ['.png', '.weight.png'])
def test_a_resumed_run_makes_the_label_again_whose_picture_is_gone(teacher, pairs, tmp_path, suffix):
    soft = dict(filters=[dict(type='SoftCycleFilter', beta=2.)])
    label(tmp_path / 'whole', teacher, labeler_of(**soft), pairs)
    label(tmp_path / 'killed', teacher, labeler_of(**soft), pairs, part=(1, 2))
    (tmp_path / f'killed/{KEYS[0]}{suffix}').unlink()
    rest, _, _ = label(tmp_path / 'killed', teacher, labeler_of(**soft), pairs)
    assert (rest.labels, rest.made) == (4, 3)
    assert files_of(tmp_path / 'killed') == files_of(tmp_path / 'whole')


def test_labels_whose_way_back_was_made_apart_are_judged_by_reading_both(teacher, material, tmp_path):
    turned = FramePairs(material / 'frames', directions='both')
    _, store, _ = label(tmp_path, teacher, labeler_of(), turned)
    assert not (tmp_path / 'quality.json').exists() and [store.quality(key) for key in store.keys()] == [None] * 8
    record = judge_labels(store, turned)
    assert record['labels'] == 8 and record['cycle_error']['of'] == 'pixels'


def test_sums_of_another_version_or_that_miss_the_way_back_are_not_believed(teacher, pairs, tmp_path):
    _, store, _ = label(tmp_path / 'new', teacher, labeler_of(directions='both'), pairs)
    wanted, spoilt = judge_labels(store, pairs), (dict(version=0), dict(cycle=None), dict(regions=[1.]),
                                                  dict(kinds=None))
    other = store_for(tmp_path / 'old', teacher, labeler_of(directions='both'), pairs)
    other.create()
    for at, key in enumerate(store.keys()):
        record = store.record(key)
        files = {suffix: store.bytes_of(key, suffix) for suffix in record['files']}
        other.put(key, files, record['stats'], {**record['quality'], 'weight': 0., **spoilt[at % len(spoilt)]})
    other.finish(store.keys())
    assert judge_labels(other, pairs) == wanted and not verify_store(tmp_path / 'old').faults


def test_progress_tells_rate_and_time_left_but_not_at_every_step():
    clock = iter([0., 4., 12., 60., 61.])  # begin, then after each batch
    lines = []
    progress = Progress('labels: {} pairs', 120, lines.append, clock=lambda: next(clock))
    for done in (2, 4, 6, 8):
        progress(done)
    assert lines == [
        'labels: 4/120 pairs, 0.33 a second, 5 min 48 s left',  # 4 in 12 s; 116 more take 348 s
        'labels: 6/120 pairs, 0.10 a second, 19 min 00 s left',
    ]


def test_the_first_of_two_processes_tells_how_far_it_is_with_its_share(teacher, pairs, tmp_path):

    def work(rank):
        _, _, lines = label(tmp_path / 'two', teacher, labeler_of(), pairs, log_every=0.)
        wanted = [f'labels: {done}/2 pairs of the first of 2 processes' for done in (1, 2)] if rank == 0 else []
        assert [line.partition(',')[0] for line in lines] == wanted

    assert in_two_processes(work) == [0, 0]
