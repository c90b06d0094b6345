"""The seams of stage 1 hold: labels of another kind go all the way without a change in the package."""
import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from small_runs import KEYS, build, exit_code, files_of, in_child, in_two_processes, run, small_config

from mmrefine.datasets import FramePairs
from mmrefine.engine import PseudoLabelHook, label_fingerprint, make_labels
from mmrefine.engine.hooks.pseudo_label_hook import LABELS_INFO
from mmrefine.engine.stage1.needed import check_labelled
from mmrefine.errors import ConfigError, LabelStoreError, StaleLabelsError
from mmrefine.fileio import LabelStore, merge_stores, verify_store
from mmrefine.fileio.codecs import register_codec
from mmrefine.registry import LABELERS, TRANSFORMS
from mmrefine.structures import Labeled

# ---- all that a new kind of label takes: one number for each first frame of a pair


class BrightnessCodec:
    """A number as text."""
    kind, suffixes = 'brightness', ('.txt', )

    def encode(self, label):
        return {'.txt': json.dumps(dict(grey=label)).encode()}

    def decode(self, files, name):
        try:
            return json.loads(files['.txt'])['grey']
        except (ValueError, KeyError) as error:
            raise LabelStoreError(f'{name}.txt: cannot be read ({error})') from error

    def as_stored(self, label):
        return label

    def damage(self, data):
        return None if data.startswith(b'{') and data.endswith(b'}') else 'is not an object of JSON'


class BrightnessLabeler:
    """The mean of the first frame, times ``scale``; it asks no teacher."""
    codec = BrightnessCodec()

    def __init__(self, scale: float = 1.) -> None:
        self.scale = scale

    def keys(self, unit):
        return [unit.key]

    def extra_frames(self, unit, usable):
        return []

    def label(self, teacher, batch):
        return [Labeled(unit.key, self.scale * float(frames[unit.frames[0]].mean()), dict(kept=1.))
                for unit, frames in zip(batch.units, batch.frames)]

    def describe(self):
        return dict(type='BrightnessLabeler', scale=self.scale)


@pytest.fixture(scope='module', autouse=True)
def known():
    """Registers the kind for the tests here, and nowhere else."""
    register_codec(BrightnessCodec())
    LABELERS.register_module(module=BrightnessLabeler)
    yield
    LABELERS.module_dict.pop('BrightnessLabeler')


# ----


class NoTeacher:
    """Nobody asks it anything."""

    def digest(self):
        return 'nobody'

    def describe(self):
        return {}

    def peak_bytes(self, size, pairs=1):
        return 0


@TRANSFORMS.register_module()
class LoadBrightness:
    """Reads the label that training would learn from; a still label of flow stands for it in the sample."""
    seen = []

    def __call__(self, results):
        LoadBrightness.seen.append((results['key'], LabelStore.open(results['labels']).read(results['key'])))
        height, width = results['size']
        return dict(results, flow=np.zeros((height, width, 2), np.float32),
                    weight=np.ones((height, width, 1), np.float32))


@pytest.fixture
def pairs(material):
    return FramePairs(material / 'frames')


def label(root, pairs, labeler=None, **options):
    labeler = labeler or BrightnessLabeler()
    store = LabelStore(root, label_fingerprint(NoTeacher(), labeler, pairs, '1'))
    return make_labels(NoTeacher(), labeler, pairs, store, log=lambda line: None, **options)


def test_a_store_of_another_kind_says_so_holds_the_labels_and_has_no_quality(pairs, tmp_path):
    assert label(tmp_path, pairs).made == 4
    assert sorted(files_of(tmp_path)) == sorted(['fingerprint.json', 'manifest.json', *(f'{key}.txt' for key in KEYS)])
    store = LabelStore.open(tmp_path)
    assert store.manifest['kind'] == store.codec.kind == 'brightness' == store.fingerprint['kind']
    for unit in pairs.units:
        assert store.read(unit.key) == pytest.approx(pairs.frame(unit.scene, unit.frames[0]).mean())
        assert store.stats(unit.key) == dict(kept=1.) and store.quality(unit.key) is None
    assert not verify_store(tmp_path).faults
    with pytest.raises(StaleLabelsError, match=r'made with other kind \(found brightness, this run needs none\)'):
        LabelStore(tmp_path, {name: value for name, value in store.fingerprint.items() if name != 'kind'}).create()


def test_a_killed_run_goes_on_and_two_processes_and_merged_parts_give_the_same_store(pairs, tmp_path):
    label(tmp_path / 'whole', pairs)
    wanted = files_of(tmp_path / 'whole')

    class Deadly(BrightnessLabeler):
        """Dies at the third label."""
        asked = 0

        def label(self, teacher, batch):
            Deadly.asked += 1
            if Deadly.asked == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().label(teacher, batch)

    assert exit_code(in_child(lambda: label(tmp_path / 'killed', pairs, Deadly()))) == -signal.SIGKILL
    assert not (tmp_path / 'killed/manifest.json').exists() and label(tmp_path / 'killed', pairs).made == 2
    assert in_two_processes(lambda rank: label(tmp_path / 'two', pairs)) == [0, 0]
    for part in (1, 2):
        label(tmp_path / str(part), pairs, part=(part, 2))
    assert merge_stores(tmp_path / 'merged', [tmp_path / '2', tmp_path / '1']).complete
    for name in ('killed', 'two', 'merged'):
        assert files_of(tmp_path / name) == wanted


def test_damage_is_found_by_digest_while_complete_and_by_the_codec_before(pairs, tmp_path):
    label(tmp_path / 'whole', pairs)
    label(tmp_path / 'part', pairs, part=(1, 2))
    for name in ('whole', 'part'):
        (tmp_path / name / f'{KEYS[0]}.txt').write_text('{"grey": 3}')
        assert any(f'{KEYS[0]}.txt: changed: not the '
                   'bytes' in str(fault) for fault in verify_store(tmp_path / name).faults)
    (tmp_path / 'part' / f'{KEYS[0]}.json').unlink()
    (tmp_path / 'part' / f'{KEYS[0]}.txt').write_text('"grey"')
    assert any(f'{KEYS[0]}.txt: is not an object of '
               'JSON' in str(fault) for fault in verify_store(tmp_path / 'part').faults)


def config(material, work_dir, **more):
    cfg = small_config(material, work_dir, max_iters=2, **more)
    cfg.custom_hooks[0].labeler = dict(type='BrightnessLabeler', scale=2.)
    cfg.train_dataloader.dataset.pipeline[0] = dict(type='LoadBrightness')
    return cfg


def test_the_hook_labels_and_the_training_reads_what_it_made(material, tmp_path, pairs):
    LoadBrightness.seen.clear()
    runner = run(config(material, tmp_path))
    info = runner.message_hub.runtime_info[LABELS_INFO]
    assert info['labels'] == 4 and info['summary']['kept'] == 1. and 'quality' not in info
    greys = {unit.key: 2. * pairs.frame(unit.scene, unit.frames[0]).mean() for unit in pairs.units}
    assert len(LoadBrightness.seen) >= 4 and all(value == pytest.approx(greys[key]) for key,
                                                 value in LoadBrightness.seen)
    again = run(config(material, tmp_path / 'run', report=True))  # a report without a word about quality
    assert 'quality' not in json.loads((tmp_path / 'run/report.json').read_text())['labels'] and again.iter == 2


@pytest.mark.parametrize('lacks, message', [
    ('set_labels',
     r'train_dataloader\.dataset \(SimpleNamespace\) cannot be pointed at labels; give it a method set_labels\(root\)'),
    ('label_keys',
     r'train_dataloader\.dataset \(SimpleNamespace\) does not say which labels it needs, .* a method label_keys'),
])
def test_training_data_that_the_hook_cannot_check_are_refused_with_what_to_add(material, tmp_path, lacks, message,
                                                                               monkeypatch):
    runner = build(config(material, tmp_path))
    hook = next(hook for hook in runner.hooks if isinstance(hook, PseudoLabelHook))
    given = dict(set_labels=lambda root: None, label_keys=lambda: KEYS)
    del given[lacks]
    loader = SimpleNamespace(dataset=SimpleNamespace(**given))
    monkeypatch.setattr(type(runner), 'train_dataloader', property(lambda self: loader))
    monkeypatch.setattr(type(runner), 'epoch', property(lambda self: 0))
    monkeypatch.setattr(hook, '_must_label', lambda runner: True)
    with pytest.raises(ConfigError, match=message):
        hook.before_train_epoch(runner)


def test_a_data_set_of_another_kind_that_says_its_keys_is_checked(material, tmp_path):
    pairs, labeler = FramePairs(material / 'frames'), BrightnessLabeler()
    check_labelled(SimpleNamespace(label_keys=lambda: KEYS[:2]), pairs, labeler)
    with pytest.raises(ConfigError, match='has 1 pairs that PseudoLabelHook.dataset does not label, the first is '
                                          'a/0__1@2'):
        check_labelled(SimpleNamespace(label_keys=lambda: [KEYS[0], 'a/0__1@2']), pairs, labeler)


@pytest.mark.parametrize('suffixes', [(), ('.json', ), ('.grey.json', ), ('txt', )])
def test_a_codec_whose_files_would_be_taken_for_those_of_the_store_is_refused(suffixes):
    with pytest.raises(ValueError, match='the suffixes of the label codec'):
        register_codec(SimpleNamespace(kind='odd', suffixes=suffixes))


def test_clips_of_several_strides_between_the_same_frames_are_different_labels(tmp_path):
    store = LabelStore(tmp_path, dict(kind='brightness'))
    store.create()
    keys = ['cat/0__8', 'cat/0__8@2', 'cat/0__8@4']
    for at, key in enumerate(keys):
        store.write(key, float(at), dict(kept=1.))
    store.finish(keys)
    assert [LabelStore.open(tmp_path).read(key) for key in keys] == [0., 1., 2.] and not verify_store(tmp_path).faults
