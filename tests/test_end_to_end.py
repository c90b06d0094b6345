"""One small run through both stages, looked at from all sides."""
from __future__ import annotations

import html
import json
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_runs import KEYS, PAIRS, run, same_state, small_config, small_model

from mmrefine.engine.hooks import report_hook
from mmrefine.fileio.images import read_image
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.models import FlowRefiner, build_estimator


@pytest.fixture(scope='module')
def finished(material, tmp_path_factory):
    """The runner of a finished run that validates after steps 2 and 3."""
    torch.manual_seed(0)
    cfg = small_config(material, tmp_path_factory.mktemp('finished'), max_iters=3, report=True)
    cfg.train_cfg.val_interval = 2
    cfg.val_dataloader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
                              dataset=cfg.custom_hooks[1].groups.refined)
    cfg.val_cfg, cfg.val_evaluator = dict(), dict(type='FlowMetric')
    return run(cfg)


@pytest.fixture
def work_dir(finished):
    return Path(finished.work_dir)


def load(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_every_pair_has_its_label_and_the_manifest_sums_them_up(work_dir):
    store = LabelStore.open(work_dir / 'labels')
    assert store.keys() == sorted(KEYS)
    summary = store.manifest['extra']['summary']
    kept = [store.stats(key)['kept'] for key in KEYS]
    assert summary['kept'] == pytest.approx(sum(kept) / PAIRS, abs=1e-6) and min(kept) > 0
    assert summary['scenes']['target_0002']['kept'] == pytest.approx(sum(kept[2:]) / 2, abs=1e-6)


def test_refined_pth_fits_the_stock_network_strictly_and_gives_the_same_flow(finished, work_dir):
    checkpoint = load(work_dir / 'refined.pth')
    assert checkpoint['meta']['refined'] is True and checkpoint['meta']['iter'] == 3
    network = build_estimator(small_model()['estimator'])
    network.load_state_dict(checkpoint['state_dict'], strict=True)
    frames = torch.rand(2, 1, 3, 64, 96)
    stock = FlowRefiner(network, test_iters=2)
    stock.normalize = finished.model.normalize  # of the config, which the built network has lost
    with torch.no_grad():
        assert torch.equal(stock.eval().estimate(*frames)[-1], finished.model.eval().estimate(*frames)[-1])


def test_the_student_learned_and_the_teacher_did_not(material, work_dir):
    start, teacher, refined = (load(path)['state_dict'] for path in (
        material / 'start.pth', work_dir / 'teacher.pth', work_dir / 'refined.pth'))
    assert same_state(teacher, start)
    assert not same_state(refined, start)


def test_the_report_compares_both_groups(work_dir):
    report = json.loads((work_dir / 'report.json').read_text())
    refined, unseen = report['groups']['refined'], report['groups']['unseen']
    assert (refined['pairs'], refined['pairs_without_truth']) == (PAIRS, 0)
    assert (unseen['pairs'], unseen['pairs_without_truth']) == (2, 2)
    assert sorted(refined['scenes']) == ['target_0001', 'target_0002']
    assert refined['before']['EPE'] != refined['after']['EPE']
    assert unseen['before']['cycle_median'] != unseen['after']['cycle_median'] and 'EPE' not in unseen['before']
    assert report['labels']['labels'] == PAIRS and 0 < report['labels']['kept'] <= 1
    assert report['settings']['max_iters'] == 3 and report['seeds'] == {'seed': 125}


def logged(work_dir, name):
    """The lines of MMEngine's log of numbers that have ``name``: a loss, or the figures of a validation."""
    lines = next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()
    return [line for line in map(json.loads, lines) if name in line]


def test_validation_gives_the_figures_of_the_report(work_dir):
    found = logged(work_dir, 'EPE')
    assert [line['step'] for line in found] == [2, 3] and found[0]['EPE'] != found[1]['EPE']
    after = json.loads((work_dir / 'report.json').read_text())['groups']['refined']['after']
    assert {name: found[1][name] for name in after} == after and found[1]['scene/target_0002/EPE'] > 0


def test_the_command_in_the_report_can_be_given_again(monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['/somewhere/mmrefine/__main__.py', 'refine', 'my video.mp4'])
    for name, command in (('mmrefine.__main__', "python -m mmrefine refine 'my video.mp4'"),
                          ('mmrefine.cli', "python -m mmrefine.cli refine 'my video.mp4'"),
                          (None, "/somewhere/mmrefine/__main__.py refine 'my video.mp4'")):
        spec = ModuleSpec(name, None) if name else None
        monkeypatch.setitem(sys.modules, '__main__', SimpleNamespace(__spec__=spec))
        assert report_hook._command() == command


def test_the_pictures_of_the_report_exist_and_are_pictures(work_dir):
    report = json.loads((work_dir / 'report.json').read_text())
    assert [picture['caption'] for picture in report['pictures']] == [
        f'refined: {KEYS[0]}', f'refined: {KEYS[3]}', f'unseen: {KEYS[2]}', f'unseen: {KEYS[3]}'
    ]
    for picture in report['pictures']:
        assert read_image(work_dir / picture['path']).shape[1] == 972
        assert picture['path'] in (work_dir / 'report.html').read_text()


def test_the_log_says_how_far_labelling_is_and_what_the_rates_and_losses_are(work_dir):
    text = next(work_dir.glob('*/*.log')).read_text()
    assert f'labels: {PAIRS}/{PAIRS} pairs, ' in text and ' a second, 0 min 00 s left' in text
    lines = logged(work_dir, 'loss')
    assert [line['step'] for line in lines] == [1, 2, 3]
    for line in lines:  # F11: a diagnostic must not be summed into the loss
        assert line['loss'] == pytest.approx(line['loss_masked_sequence']) and line['label_kept'] > 0
    assert lines[0]['lr'] != lines[1]['lr'] != lines[2]['lr']


def test_the_report_judges_the_labels_by_the_truth_of_the_judged_pairs(work_dir):
    report = json.loads((work_dir / 'report.json').read_text())
    store, quality = LabelStore.open(work_dir / 'labels'), report['labels']['quality']
    assert list(quality['scenes']) == ['target_0001', 'target_0002'] and quality['labels'] == PAIRS
    assert quality['kept'] == pytest.approx(sum(store.read(key).kept for key in KEYS) / PAIRS, abs=1e-5)
    assert quality['truth']['labels'] == PAIRS  # though the pairs to label came without
    assert quality['truth']['coverage'] == pytest.approx(quality['kept'], abs=1e-5)  # the truth is known everywhere
    page, log = (work_dir / 'report.html').read_text(), next(work_dir.glob('*/*.log')).read_text()
    assert f'Stage 1: labels are {quality["verdict"]}: ' in log
    for name, scene in quality['scenes'].items():
        assert f'<span class="verdict {scene["verdict"]}">' in page and html.escape(scene['reason']) in page
        assert (f'labels of scene {name} are {scene["verdict"]}: {scene["reason"]}'
                in log) is (scene['verdict'] != 'green')


def test_no_leftovers_lie_in_the_work_dir(work_dir):
    assert sorted(path.name for path in work_dir.iterdir() if path.is_file() and path.suffix != '.py') == [
        'before_after.mp4', 'iter_3.pth', 'last_checkpoint', 'refined.pth', 'report.html', 'report.json', 'teacher.pth']
    assert not list(work_dir.rglob('.mmrefine-*'))


def test_the_report_shows_the_pairs_that_changed_most_and_the_curves_of_every_step(work_dir):
    report, page = json.loads((work_dir / 'report.json').read_text()), (work_dir / 'report.html').read_text()
    changes = report['groups']['refined']['changes']
    assert changes['decided_by'] == 'ground truth' and changes['better'] + changes['worse'] + changes['same'] == PAIRS
    shown = changes['best'] + changes['worst']
    assert {pair['key'] for pair in shown} == set(KEYS)
    assert all(pair['after'] < pair['before'] for pair in changes['best'][:changes['better']])
    free = report['groups']['unseen']['changes']
    assert free['decided_by'] == 'label-free score' and [len(free[name]) for name in ('best', 'worst')] == [1, 1]
    for pair in shown:
        assert all((work_dir / pair[part]).is_file()
                   for part in ('frame', 'flow_before', 'flow_after', 'truth', 'labels'))
    assert [overlay['caption'] for overlay in report['labels']['overlays']][:2] == [KEYS[0], KEYS[3]]
    assert report['curves']['loss']['steps'] == [1, 2, 3] == report['curves']['lr']['steps']
    lines = logged(work_dir, 'loss')
    values = report['curves']['loss']['values']  # the log has means over all steps so far
    assert [sum(values[:i]) / i for i in (1, 2, 3)] == pytest.approx([line['loss'] for line in lines])
    assert report['headline']['figures'][0]['before'] == report['groups']['refined']['before']['EPE']
    for source in re.findall('src="([^"]*)"', page):
        assert (work_dir / source).is_file(), source
