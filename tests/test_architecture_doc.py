"""docs/architecture.md is true: its code runs and does what it says, and its tables agree with the code."""
from __future__ import annotations

import ast
import math
import re
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from small_runs import FRAMES, SIZE, run, small_config, small_model, start_weights
from test_layers import LAYER, PACKAGE, ROOT

from mmrefine.apis import checkpoint_scores
from mmrefine.engine import label_fingerprint, make_labels
from mmrefine.engine.guard.observer import Observer
from mmrefine.engine.hooks.regression_guard_hook import GUARD_INFO
from mmrefine.fileio import LabelStore, verify_store
from mmrefine.fileio.codecs import kinds
from mmrefine.models import FlowRefiner
from mmrefine.registry import (DATASETS, FILTERS, LABELERS, METRICS, MODELS, TEACHER_VIEWS, TEACHERS, TRANSFORMS,
                               WITNESSES)
from mmrefine.report import read_report
from mmrefine.structures import FlowOutputs, FlowSample, FlowTargets, LookRequest, PairBatch, as_frames
from mmrefine.structures.contracts import Tally, Witnesses
from mmrefine.synthetic import render_clip, write_clips

PAGE = (ROOT / 'docs/architecture.md').read_text(encoding='utf-8')
REGISTRIES = (DATASETS, FILTERS, LABELERS, METRICS, MODELS, TEACHER_VIEWS, TEACHERS, WITNESSES)
BLOCKS = re.findall(r'^```python\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope='module', autouse=True)
def parts():
    """What the blocks of the page define, each by itself, in order; unregistered at the end."""
    for registry in REGISTRIES:
        registry.import_from_location()
    before = [set(registry.module_dict) for registry in REGISTRIES]
    names = {}
    assert len(BLOCKS) == 8
    for block in BLOCKS:
        own = {}
        exec(compile(block, 'docs/architecture.md', 'exec'), own)
        names.update(own)
    yield SimpleNamespace(**names)
    for registry, known in zip(REGISTRIES, before):
        for name in set(registry.module_dict) - known:
            registry.module_dict.pop(name)
    kinds._CODECS.pop('points')


def section(title):
    return PAGE.split(f'\n## {title}\n')[1].split('\n## ')[0]


def text_block(title):
    return re.search(r'```text\n(.*?)```', section(title), re.DOTALL)[1]


class Known:
    """A teacher that knows the true motion of one rendered pair."""
    accepts_flow_init = False

    def __init__(self, clip):
        self.flow = torch.from_numpy(np.concatenate([clip.flow_fw[:1], clip.flow_bw[:1]])).float()

    def estimate(self, frames1, frames2, flow_init=None):
        return [self.flow[:len(frames1)]]


@pytest.fixture
def clip():
    return render_clip(5, 2, SIZE, 'target')


@pytest.fixture
def pair(clip):
    frames = as_frames(clip.frames)
    return PairBatch(frames[:1], frames[1:])


def test_the_filter_weighs_a_rendered_pair_by_the_speed_of_its_motion(parts, clip, pair):
    plain = dict(parts.labeler, view=dict(type='CascadeView', scales=(1., )))  # what is known has one size
    labels, = LABELERS.build(plain).label_pairs(Known(clip), pair)
    speed = np.hypot(*clip.flow_fw[0].astype(np.float32))
    slow = torch.from_numpy(speed <= 2)
    assert 0.05 < slow.double().mean() < 0.95
    torch.testing.assert_close(labels.forward.weight[0], slow.float(), rtol=0, atol=0)


def test_the_view_gives_labels_and_does_not_know_left_from_right(parts, pair):
    network = FlowRefiner(**{key: value for key, value in small_model().items() if key != 'type'}).eval()
    labeler = LABELERS.build(dict(type='FlowLabeler', view=dict(type='MirroredView')))
    with torch.no_grad():
        seen, mirrored = (labeler.view.look(network, batch, LookRequest(backward=False)).flow_fw
                          for batch in (pair, pair.mirrored()))
    back = mirrored.flip(-1) * torch.tensor([-1., 1.]).view(1, 2, 1, 1)
    torch.testing.assert_close(seen, back, rtol=0, atol=1e-4)
    label, = labeler.label_pairs(network, pair)
    assert label.forward.flow.shape == (2, *SIZE) and labeler.pass_sizes(SIZE, 1)


def test_the_loss_is_the_closed_form_and_teaches_a_network(parts, pair):
    target = torch.randn(1, 2, *SIZE)
    flows = [(target + torch.tensor([3., -4.]).view(1, 2, 1, 1)).requires_grad_()]
    weight = torch.rand(1, 1, *SIZE)
    weight[..., :10] = 0.
    broken = target.masked_fill(weight == 0, float('nan'))
    loss = MODELS.build(parts.losses[0])(FlowOutputs(flows, pair.frames1, pair.frames2), FlowTargets(broken, weight))
    assert loss.item() == pytest.approx(math.log(8.), rel=1e-5)
    model = {key: value for key, value in small_model().items() if key != 'type'}
    refiner = FlowRefiner(**dict(model, losses=parts.losses))
    inputs = torch.stack([pair.frames1, pair.frames2], dim=1)
    found = refiner(inputs, [FlowSample(flow=broken[0], weight=weight[0])], mode='loss')
    found['loss_log'].backward()
    grads = [parameter.grad for parameter in refiner.parameters() if parameter.grad is not None]
    assert grads and all(bool(grad.isfinite().all()) for grad in grads) and any(bool(grad.any()) for grad in grads)


@pytest.fixture
def shifted(tmp_path):
    """``<scene>/images/0.png …``: a texture that turns around the frame by (3, -2) px from frame to frame."""
    rng = np.random.default_rng(0)
    for scene in ('one', 'two'):
        folder = tmp_path / 'videos' / scene / 'images'
        folder.mkdir(parents=True)
        texture = rng.integers(0, 255, (*SIZE, 3), np.uint8)
        for number in range(3):
            cv2.imwrite(str(folder / f'{number}.png'), np.roll(texture, (-2 * number, 3 * number), (0, 1)))
    return tmp_path / 'videos'


def test_the_reader_finds_the_scenes_and_the_pairs(parts, shifted):
    data = DATASETS.build(dict(type='ImageFolders', data_root=str(shifted), directions='both'))
    assert data.scene_names == ['one', 'two'] and len(data) == 8 and set(data.digests()) == {'one', 'two'}
    assert [unit.key for unit in data.units][:2] == ['one/0__1', 'one/1__0'] and data.size('one') == SIZE
    item = data[0]
    np.testing.assert_array_equal(np.roll(item['frame1'], (-2, 3), (0, 1)), item['frame2'])


def test_tracker_and_labeler_fill_a_store_with_the_true_tracks(parts, shifted, tmp_path):
    data = DATASETS.build(dict(type='ImageFolders', data_root=str(shifted)))
    teacher, labeler = TEACHERS.build(parts.hook['teacher']).frozen(None), LABELERS.build(parts.hook['labeler'])
    store = LabelStore(tmp_path / 'store', label_fingerprint(teacher, labeler, data, '1'))
    assert make_labels(teacher, labeler, data, store, log=lambda line: None).made == 4
    store = LabelStore.open(tmp_path / 'store')
    assert store.manifest['kind'] == 'points' and not verify_store(tmp_path / 'store').faults
    for unit in data.units:
        assert store.read(unit.key) == [[11, 6], [19, 14]]
    (tmp_path / 'store/one/0__1.txt').write_text('[[11, 6')
    assert verify_store(tmp_path / 'store').faults


def test_the_hook_of_the_page_labels_before_a_training(parts, shifted, material, tmp_path):
    @TRANSFORMS.register_module(force=True)
    class PointsAsFlow:
        """Motion of the first point, all over the frame."""

        def __call__(self, results):
            (x, y), _ = LabelStore.open(results['labels']).read(results['key'])
            flow = np.broadcast_to(np.float32([x - 8, y - 8]), (*results['size'], 2)).copy()
            return dict(results, flow=flow, weight=np.ones((*results['size'], 1), np.float32))

    cfg = small_config(material, tmp_path / 'run', max_iters=1)
    frames = dict(type='ImageFolders', data_root=str(shifted))
    cfg.custom_hooks = [dict(parts.hook, dataset=frames)]
    cfg.train_dataloader.dataset = dict(frames, pipeline=[dict(type='PointsAsFlow'), dict(type='PackPair')])
    run(cfg)
    TRANSFORMS.module_dict.pop('PointsAsFlow')
    assert LabelStore.open(tmp_path / 'run/labels').manifest['kind'] == 'points'


def test_the_tally_adds_up_and_its_metric_is_the_mean_over_all_pixels(parts):
    def sample(scene, truth, seen, known):
        flows = (torch.tensor([value, 0.]).view(2, 1, 1).repeat(1, 2, 4) for value in (truth, seen))
        flow, pred_flow = flows
        weight = torch.zeros(1, 2, 4)
        weight.flatten()[:known] = 1
        return FlowSample(flow=flow, pred_flow=pred_flow, weight=weight,
                          metainfo=dict(key=f'{scene}/0__1', scene=scene))

    samples = [sample('a', 3., -5., 8), sample('b', 1., 1.5, 2)]
    evaluator = Evaluator([dict(parts.val_evaluator, _scope_='mmrefine')])
    evaluator.process(samples)
    found = evaluator.evaluate(2)
    assert found['speed_error'] == pytest.approx((8 * 2 + 2 * .5) / 10)  # px
    assert found['scene/a/speed_error'] == 2 and found['scene/b/speed_error'] == .5 and found['pairs'] == 2
    one = parts.SpeedTally(8, 16.)
    assert (one + parts.SpeedTally(2, 1.)).scores() == dict(speed_error=1.7) and parts.SpeedTally().scores() == {}
    assert {figure.name for figure in one.figures} == set(one.scores())
    assert all(hasattr(one, name) for name in members(Tally))


def members(protocol):
    """What a seam asks for."""
    return [name for name, value in vars(protocol).items() if callable(value) or isinstance(value, property)
            if not name.startswith('_')]


class Moves:
    """Says that all moves by so many px to the right, whichever way it is asked."""

    def __init__(self, shift):
        self.shift = shift

    def estimate(self, frames1, frames2):
        return [torch.tensor([self.shift, 0.]).view(1, 2, 1, 1).expand(1, 2, *frames1.shape[-2:])]


def test_the_witness_sees_which_network_comes_back(parts, material):
    witnesses = WITNESSES.build(parts.guard['witnesses'])
    assert all(hasattr(witnesses, name) for name in members(Witnesses) if name != 'samples')
    data = DATASETS.build(dict(type='FramePairs', data_root=str(material / 'frames')))
    witnesses.prepare(data, None, 'cpu', 0, print)
    observer = Observer(witnesses)
    assert len(observer) == len(data) == 2 * (FRAMES - 1)
    for shift in (0., 2., 5.):  # there and back is twice the way
        assert all(seen == dict(trip=pytest.approx(2 * shift)) for seen in observer.observe(Moves(shift)))


def test_guard_report_and_scores_of_the_page_in_a_run(parts, tmp_path):
    write_clips(tmp_path, range(30, 34), FRAMES, SIZE)
    start_weights(tmp_path / 'start.pth')
    cfg = small_config(tmp_path, tmp_path / 'run', max_iters=1)
    frames = dict(type='FramePairs', data_root=str(tmp_path / 'frames'), held_out=0.4)
    cfg.custom_hooks[0].dataset = frames
    cfg.train_dataloader.dataset.held_out = 0.4
    judged = dict(dataset=dict(frames, truth_root=str(tmp_path / 'flow'),
                               pipeline=[dict(type='LoadTruth'), dict(type='PackPair')]),
                  metrics=[parts.val_evaluator])
    cfg.custom_hooks += [dict(parts.guard, dataset=dict(frames, held=True)),
                         dict(type='ReportHook', groups=dict(refined=judged))]
    record = run(cfg).message_hub.runtime_info[GUARD_INFO]
    assert record['verdict'] in ('student', 'teacher', 'unproven') and set(record['witnesses']['before']) == {'trip'}
    assert record['score']['weights'] == dict(trip=1.)

    group = read_report(tmp_path / 'run')['groups']['refined']
    assert [figure['name'] for figure in group['figures']] == ['speed_error'] and 'EPE' not in group['after']
    assert group['changes']['metric'] == 'speed_error' and set(group['scenes']) == {'target_0030', 'target_0032'}
    assert 'error of speed' in (tmp_path / 'run/report.html').read_text()
    found = checkpoint_scores.test_checkpoint(cfg, tmp_path / 'run/refined.pth', 'cpu')['refined'].scores()
    assert found['speed_error'] == group['after']['speed_error'] and found['pairs'] == 4


def test_the_layers_of_the_page_are_those_of_the_test():
    written = [line.split(', ') for line in text_block('Layers').splitlines()]
    ordered = groupby(sorted(LAYER, key=lambda part: (LAYER[part], part)), key=lambda part: LAYER[part])
    assert written == [list(parts) for _, parts in ordered]


def test_the_tree_of_the_page_is_that_of_the_package():
    written = set()
    lines = text_block('The tree').splitlines()
    assert lines[0] == 'mmrefine/'
    for line in lines[1:]:
        folder, _, rest = line.strip().partition('/')
        written.add(folder)
        inside = re.search(r'(\w+)/ \(([^)]*)\)', rest)
        if inside:
            written |= {f'{folder}/{inside[1]}/{name}' for name in re.findall(r'(\w+)/', inside[2])}
            rest = rest.replace(f'({inside[2]})', '')
        written |= {f'{folder}/{name}' for name in re.findall(r'(\w+)/', rest)}
    found = {path.parent.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.*')
             if path.suffix in ('.py', '.j2') and '.mim' not in path.parts} - {'.'}
    assert written == found


def test_the_table_of_the_seams_has_all_protocols_and_all_that_implements_them_exists():
    trees = [ast.parse((PACKAGE / f'structures/{name}.py').read_text(encoding='utf-8'))
             for name in ('contracts', 'flow_contracts', 'propagation')]
    protocols = {node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)}
    rows = [row.split('|') for row in section('The seams').splitlines() if row.startswith('| `')]
    assert {name for row in rows for name in re.findall(r'`(\w+)`', row[1])} == protocols
    classes = {node.name for path in PACKAGE.rglob('*.py') for node in ast.parse(path.read_text(encoding='utf-8')).body
               if isinstance(node, ast.ClassDef)}
    implementing = {name for row in rows for name in re.findall(r'`(\w+)`', row[3])}
    assert len(implementing - {'mmrefine'}) > 15 and not {name for name in implementing if name[0].isupper()} - classes


def test_the_folders_in_which_parts_belong_exist():
    named = re.findall(r'`(mmrefine/[\w/]+/)`', section('Where to put a new part'))
    assert len(set(named)) >= 8 and all(Path(ROOT, folder).is_dir() for folder in named)
