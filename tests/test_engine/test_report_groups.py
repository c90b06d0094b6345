"""Groups of a report that are no frame pairs: what the network carries along videos."""
from __future__ import annotations

import json
import shutil

import numpy as np
from small_runs import FRAMES, SIZE, run, small_config

from mmrefine.fileio import write_image
from mmrefine.report import figures_of


def test_masks_that_are_carried_along_are_judged_before_and_after(material, tmp_path):
    davis, work_dir = tmp_path / 'DAVIS', tmp_path / 'run'
    mask = np.zeros(SIZE, np.uint8)
    mask[20:40, 30:60] = 255
    for scene in ('target_0001', 'target_0002'):
        shutil.copytree(material / 'frames' / scene, davis / 'JPEGImages/480p' / scene)
        for number in range(1, FRAMES + 1):
            write_image(davis / f'Annotations/480p/{scene}/frame_{number:04d}.png', mask)
    cfg = small_config(material, work_dir, max_iters=1, report=True)
    clips = dict(type='DavisClips', data_root=str(davis))
    cfg.custom_hooks[-1].groups = dict(default=clips, masks=dict(dataset=clips, metrics=[dict(type='MaskMetric')]))
    run(cfg)
    groups = json.loads((work_dir / 'report.json').read_text())['groups']
    assert groups['default'] == groups['masks'] and groups['masks']['videos'] == 2
    masks = groups['masks']
    assert 0 < masks['before']['J&F'] < 1 and set(masks['scenes']) == {'target_0001', 'target_0002'}
    headline = next(figure for figure in figures_of(masks) if figure.headline)
    assert (headline.name, headline.better, masks['changes']['metric']) == ('J&F', 'higher', 'J&F')
    assert masks['changes']['pairs'] == 2 and not (work_dir / 'pictures').exists()
