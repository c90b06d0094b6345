"""Tiny benchmarks of tracks in the layouts in which they are downloaded."""
from __future__ import annotations

import json
import pickle

import numpy as np

from mmrefine.fileio import write_image

SIZE = (60, 90)


def picture(number, size=SIZE):
    pixels = np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels[:8, :8] = number
    return pixels


def row(frame, head, x, y, seen=1):
    return f'{frame},{head},{x - 3:g},{y - 2:g},6,4,1,1,{seen:g}'


def walk(head, speed, frames=range(1, 25), x=10., y=30., hidden=(), unknown=()):
    """The rows of a head that moves ``speed`` px to the right in each third frame."""
    return [row(frame, head, x + speed * ((frame - 1) % 24) / 3, y, frame not in hidden)
            for frame in frames if frame not in unknown]


def crohd_tree(root):
    """HT21-01: 50 frames, two clips. HT21-02: 30 frames with heads that stand still."""
    for scene, count in (('HT21-01', 50), ('HT21-02', 30)):
        for number in range(1, count + 1):
            # PNG in place of JPEG, so that pixels are exact; the names are those of the data set
            write_image(root / f'HT21/train/{scene}/img1/{number:06d}.png', picture(number))
    second = range(25, 49)
    rows = [
        *walk(1, 6.), *walk(2, 6., y=20., hidden=[13]),  # seen all the time; hidden in frame 5 of the clip
        *walk(3, 5.), *walk(4, 6., unknown=[22]),  # 28 * 5 px are too few; not annotated in the last frame
        *walk(5, 6., hidden=[4, 13]), *walk(6, 6., hidden=[14]),  # hidden in frame 2; hidden between two frames
        *walk(7, 6., x=-3.5), *walk(8, 6., second, y=40.)]  # begins outside; in the second clip
    for scene, lines in (('HT21-01', rows), ('HT21-02', [row(frame, 1, 20, 20) for frame in range(1, 31)])):
        path = root / f'HT21Labels/train/{scene}/gt/gt.txt'
        path.parent.mkdir(parents=True)
        path.write_text('\n'.join(lines) + '\n')
    return root


def horse_tree(root):
    """Brownie with 66 frames, Foal with 20; every fifth number, with a gap."""
    images, annotations = [], []
    for horse, count in (('Brownie', 66), ('Foal', 20)):
        for k in range(count):
            name = f'labeled-data/{horse}/{5 * k + 1 + (900 if k > 30 else 0):04d}.png'
            write_image(root / name, picture(k))
            images.append(dict(id=len(images), file_name=name, height=SIZE[0], width=SIZE[1]))
            joints = [
                (20 + k / 4, 30., 2), (20 + k / 4, 40., 0 if k == 1 else 2),  # the second is hidden in frame 1
                (7.9 if k == 8 else 8., 52., 2), (50., 20., 2 if k < 3 else 0)]  # near the edge; seen three times
            annotations.append(dict(id=len(images), image_id=images[-1]['id'], keypoints=[
                float(value) for x, y, v in joints for value in (x if v else 0, y if v else 0, v)]))
    (root / 'annotations').mkdir()
    (root / 'annotations/horse10-train-split1.json').write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=[])))
    return root


FRAMES = 12


def davis(points=None, occluded=None):
    """Two videos as ``tapvid_davis.pkl`` has them; fractions are whole px of 60x90 px plus a half."""
    rng = np.random.default_rng(0)
    if points is None:
        points = (rng.integers(0, 60, (5, FRAMES, 2)) + 0.5) / (90, 60)
        occluded = rng.random((5, FRAMES)) > 0.6
        occluded[0] = True  # seen in no frame
        occluded[1] = False
    video = np.stack([picture(t) for t in range(len(points[0]))])
    return dict(goat=dict(points=points, occluded=occluded, video=video),
                cows=dict(points=points[:2, ::-1], occluded=occluded[:2, ::-1], video=video[::-1]))


def tapvid_file(root):
    """The file."""
    (root / 'tapvid_davis.pkl').write_bytes(pickle.dumps(davis()))
    return root / 'tapvid_davis.pkl'


def badja_tree(root):
    """DAVIS with joints of one of two videos in ``joints``."""
    for video, count in (('bear', 6), ('camel', 3)):
        for t in range(count):
            write_image(root / f'JPEGImages/480p/{video}/{t:05d}.png', picture(t))
            mask = np.zeros(SIZE, np.uint8)
            mask[10:20, 10:20] = 255
            write_image(root / f'Annotations/480p/{video}/{t:05d}.png', mask)
    rows = [[108., 960.], [540., 192.], [0., 0.]]  # row, column in 1080x1920
    entries = [dict(image_path=f'DAVIS/JPEGImages/Full-Resolution/bear/{t:05d}.jpg', joints=rows, visibility=seen)
               for t, seen in ((0, [True, False, False]), (5, [True, True, False]))]
    (root / 'joints').mkdir()
    (root / 'joints/bear.json').write_text(json.dumps(entries))
    return root
