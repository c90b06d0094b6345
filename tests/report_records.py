"""A record with every part of a report, its pictures on disk, and what reads a page."""
from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from mmrefine.fileio.images import write_image
from mmrefine.report import group_record
from mmrefine.structures.figures import Figure

VOID = ('meta', 'img', 'input', 'br')
BEFORE = {'EPE': 2.0, 'Fl': 10.0, 'scene/a/EPE': 1.0, 'scene/a/Fl': 5.0, 'scene/b/EPE': 4.0, 'scene/b/Fl': 20.0,
          'pairs': 7,
          'pairs_without_truth': 0}
AFTER = {**BEFORE, 'EPE': 1.5, 'scene/a/EPE': 0.5, 'Fl': 12.0}
FREE = {'cycle_median': .4, 'pairs': 3, 'pairs_without_truth': 3}
LONG_NAME = 'a_scene_with_a_name_that_is_longer_than_any_phone_is_wide_and_has_no_place_to_break'


class Page(HTMLParser):
    """Tags, attributes, visible text, and the tags that were left open; a tag that closes another one is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: List[str] = []
        self.attributes: List[Tuple[str, Dict[str, Optional[str]]]] = []
        self.text, self.open = '', []  # type: str, List[str]
        self.feed(text)
        self.text = re.sub('[ \n]+', ' ', self.text)  # as it is shown

    def handle_starttag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: List[Tuple[str, Optional[str]]]) -> None:
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ('style', 'script'):
            self.text += data

    def all(self, tag: str, attribute: str) -> List[str]:
        """The values of an attribute of all tags of a kind."""
        return [values[attribute] or '' for name, values in self.attributes if name == tag and attribute in values]


def bare(text: str) -> str:
    """A page without the names of columns that its cells carry for phones."""
    return re.sub(' data-label="[^"]*"', '', text)


def guard_record(verdict: str = 'student') -> Dict[str, Any]:
    """What the guard leaves in the record; the best candidate is better by 8 %, half way to the student."""
    found = [dict(iter=20, step=step, change_percent=change, interval_percent=[low, high], pairs=12, pairs_better=.75)
             for step, change, low, high in ((.5, -8., -12., -4.), (1., -5., -16., 7.))]
    return dict(
        verdict=verdict,
        reason='a sentence of the guard',
        chosen=dict(found[0]),
        witnesses=dict(before=dict(cycle=.2, warp=.5, motion=3.), after=dict(cycle=.1, warp=.6, motion=3.1)),
        candidates=found,
        general=dict(pairs=8, before=.5, after=.51, change_percent=2.),
        held_out=dict(pairs=12, scenes=2, share=.1),
        teachers=[dict(name='raft', surely=False, objection=None, change_percent=-7., interval_percent=[-20., 6.],
                       pairs=12, runs=12, pairs_better=.7)])


def picture(root: Path, path: str, size: Tuple[int, int] = (48, 72)) -> str:
    """Write a picture of noise; its path."""
    write_image(root / path, np.random.default_rng(len(path)).integers(0, 256, (*size, 3), dtype=np.uint8))
    return path


def pair_record(root: Path, key: str, before: float, after: float) -> Dict[str, Any]:
    """A pair with all its pictures."""
    names = dict(frame='frame.jpg', flow_before='before.png', flow_after='after.png', truth='truth.png',
                 labels='labels.jpg')
    parts = {part: picture(root, f'pictures/refined/pairs/{key.replace("/", "_")}_{name}') for part,
             name in names.items()}
    return dict(parts, key=key, scene=key.split('/')[0], max_motion=7.25, before=before, after=after)


def clip_record(root: Path, key: str, before: float, after: float) -> Dict[str, Any]:
    """A clip of tracks with all its pictures."""
    parts = {part: picture(root, f'pictures/refined/clips/{key.replace("/", "_")}_{part}.jpg')
             for part in ('frame', 'tracks_before', 'tracks_after', 'truth', 'labels')}
    return dict(parts, key=key, scene=key.split('/')[0], full_error=3., error='mean distance from the true track',
                before=before, after=after)


def track_record(root: Path) -> Dict[str, Any]:
    """The report of a tracker, pictures under ``root``."""
    before = {'ATE': 2., 'scene/a/ATE': 2., 'clips': 9}
    figures = [Figure('ATE', 'px', 'lower', headline=True, table='main')]
    refined = group_record(before, {**before, 'ATE': 1.5}, figures)
    refined['changes'] = dict(
        metric='ATE', decided_by='ground truth', pairs=9, better=9, worse=0, same=0, interval_percent=[-31., -19.],
        confidence=.95, draws=2000, drawn_by='runs of 2 neighbouring pairs',
        best=[clip_record(root, 'a/1', 2., 1.)], worst=[clip_record(root, 'a/2', 2., 1.9)])
    shown = dict(path=picture(root, 'pictures/refined/labels/a_1.jpg'), caption='a/1', kept=30)
    dropped = dict(TrackCycleFilter=60, TrackInsideFilter=7)
    labels = dict(store='labels', labels=7, kept=.5, clips=[dict(shown, queries=90, dropped=dropped),
                                                            dict(shown, caption='a/2')])
    guard = guard_record()
    guard['score'] = dict(sample='clip')
    return dict(groups=dict(refined=refined), labels=labels, guard=guard,
                pictures=[dict(path=picture(root, 'pictures/refined/a 1.jpg'), caption='refined: a/1')])


def full_record(root: Path, verdict: str = 'student') -> Dict[str, Any]:
    """Everything that a report can show, pictures under ``root``."""
    refined = group_record(BEFORE, AFTER)
    refined['scenes'][LONG_NAME] = refined['scenes']['a']
    refined['changes'] = dict(
        metric='EPE', decided_by='ground truth', pairs=7, better=5, worse=2, same=0, interval_percent=[-31., -19.],
        confidence=.95,
        draws=2000, drawn_by='scene', wheel=picture(root, 'pictures/wheel.png', (40, 40)),
        best=[pair_record(root, 'a/1', 2., 1.)], worst=[pair_record(root, f'{LONG_NAME}/2', 1., 1.2)])
    steps = list(range(4, 400, 8))
    return dict(
        groups=dict(refined=refined, unseen=group_record(FREE, {**FREE, 'cycle_median': .5})),
        labels=dict(store='labels', labels=7, kept=.5, scenes=dict(a=dict(kept=.875, mean_motion=3.25)),
                    wheel='pictures/wheel.png',
                    overlays=[dict(path=picture(root, 'pictures/refined/labels/a_1.jpg'), caption='a/1',
                                   max_motion=7.25)]),
        guard=guard_record(verdict),
        settings=dict(max_iters=400),
        seeds=dict(seed=125),
        versions=dict(torch='2'),
        timings=dict(train_seconds=3.),
        command=f'tools/train.py config.py --work-dir {"w" * 150}',
        pictures=[dict(path=picture(root, 'pictures/refined/a 1.png', (300, 972)), caption=f'refined: {LONG_NAME}')],
        curves=dict(loss=dict(steps=steps, values=[5 + 1 / step for step in steps], mean_of=8),
                    lr=dict(steps=steps, values=[1e-4 * (400 - step) for step in steps], mean_of=8)))
