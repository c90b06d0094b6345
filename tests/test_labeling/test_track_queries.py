"""Where tracks begin: grids, corners as OpenCV finds them, and windows around points of a file."""
from __future__ import annotations

import numpy as np
import pytest
import torch

from mmrefine.errors import ConfigError, InputError
from mmrefine.fileio.codecs.tracks import write_tracks
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.geometry import query_grid, query_windows
from mmrefine.labeling import GridQueries, TextureQueries, WindowQueries
from mmrefine.registry import QUERIES
from mmrefine.structures import Tracks

SIZE = (90, 120)
TABLE = 'scene,frame,x,y\na,0,20.4,30\na,0,31,33.6\na,8,60,2\nb,0,5,5\n'


def noise(size=SIZE, seed=0):
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))


def pixels(points):
    return {(int(x), int(y)) for x, y in points.tolist()}


def test_a_grid_is_the_same_in_every_frame():
    source = QUERIES.build(dict(type='GridQueries', step=7, border=4))
    for seed in (0, 1):
        torch.testing.assert_close(source.points(noise(seed=seed), 'a', seed), query_grid(SIZE, 7, 4), rtol=0, atol=0)
    assert GridQueries(step=1, border=45).points(noise(), 'a', 0).shape == (0, 2) and source.describe() == []


@pytest.mark.parametrize('border', [0, 18])
def test_corners_are_those_of_what_is_drawn(border):
    frame = torch.full((3, *SIZE), 0.2)
    boxes = [(20, 20, 50, 60), (10, 80, 40, 110)]  # top, left, bottom, right
    for top, left, bottom, right in boxes:
        frame[:, top:bottom, left:right] = 0.9
    drawn = [(x - 0.5, y - 0.5) for top, left, bottom, right in boxes for x in (left, right) for y in (top, bottom)]
    drawn = [(x, y) for x, y in drawn if border <= x <= SIZE[1] - border - 1 and border <= y <= SIZE[0] - border - 1]
    found = TextureQueries(100, 8, border).points(frame, 'a', 0).numpy()
    near = np.hypot(*(np.array(drawn)[:, None] - found).T).T < 4
    assert near.any(axis=1).all() and near.any(axis=0).all() and len(drawn) == (8 if border == 0 else 5)
    apart = np.hypot(*(found[:, None] - found).transpose(2, 0, 1))
    assert (apart[~np.eye(len(found), dtype=bool)] >= 8).all()
    assert found.tolist() == sorted(found.tolist(), key=lambda point: point[::-1])


def test_a_textured_part_of_the_frame_does_not_take_all():
    frame = noise() * 0.2  # faint everywhere
    frame[:, :30, :40] = noise((30, 40)) * 0.6
    strong = np.array([x < 40 and y < 30 for x, y in TextureQueries(10**5, 3, 0).points(frame, 'a', 0).tolist()])
    few = TextureQueries(48, 3, 0).points(frame, 'a', 0)
    taken = np.array([x < 40 and y < 30 for x, y in few.tolist()])
    assert len(few) == 48 and strong.sum() > 40 and 3 <= taken.sum() <= 10  # a ninth of the frame: 5
    for rows in (slice(0, 45), slice(45, 90)):
        for left in (0, 60):
            share = sum(rows.start <= y < rows.stop and left <= x < left + 60 for x, y in few.tolist())
            assert 7 <= share <= 17


def test_flat_tiles_leave_their_queries_to_the_others():
    frame = torch.full((3, *SIZE), 0.5)
    frame[:, 20:60, 20:70] = noise((40, 50))
    points = TextureQueries(40, 4, 0).points(frame, 'a', 0)
    assert len(points) == 40 and all(15 <= x < 75 and 15 <= y < 65 for x, y in points.tolist())
    assert TextureQueries().points(torch.full((3, *SIZE), 0.5), 'a', 0).shape == (0, 2)
    assert TextureQueries(border=60).points(noise(), 'a', 0).shape == (0, 2)


def test_corners_keep_their_distance_and_come_by_rows_and_again():
    source = TextureQueries(60, 6, 8)
    points = source.points(noise(), 'a', 0)
    apart = torch.cdist(points, points) + 100 * torch.eye(len(points))
    assert len(points) == 60 and apart.min() >= 6
    assert points.min() >= 8 and points[:, 0].max() < 112 and points[:, 1].max() < 82
    rows = [(y, x) for x, y in points.tolist()]
    assert rows == sorted(rows) and torch.equal(source.points(noise(), 'b', 9), points)


def test_windows_are_those_around_the_points_of_the_frame(tmp_path):
    file = tmp_path / 'points.csv'
    file.write_text(TABLE)
    source = QUERIES.build(dict(type='WindowQueries', points=str(file), side=24, border=3))
    for number, known in ((0, [[20.4, 30.], [31., 33.6]]), (8, [[60., 2.]])):
        wanted, _ = query_windows(torch.tensor(known), 24, SIZE, 3)
        assert torch.equal(source.points(noise(), 'a', number), wanted) and len(wanted) > 200
    for scene, number in (('a', 1), ('c', 0)):
        assert source.points(noise(), scene, number).shape == (0, 2)
    assert source.describe() == [digest_of_bytes(TABLE.encode())]


def test_points_of_tracks_are_scaled_to_the_frames(tmp_path):
    known = torch.tensor([[[10., 20.], [30., 16.]]])
    write_tracks(tmp_path / 'a.npz', Tracks(known, torch.ones(1, 2), torch.tensor([[0., 20., 10.]]), (179, 239)))
    source = WindowQueries(str(tmp_path / 'a.npz'), side=1)
    assert source.points(noise(), 'a', 0).tolist() == [[5, 10]] and source.points(noise(), 'a', 1).tolist() == [[15, 8]]
    assert source.points(noise(), 'b', 0).shape == (0, 2)


@pytest.mark.parametrize('config, says', [
    (dict(type='GridQueries', step=0), 'GridQueries.step must be a whole number, at least 1, got 0'),
    (dict(type='GridQueries', border=-1), 'GridQueries.border must be a whole number, at least 0, got -1'),
    (dict(type='TextureQueries', count=0), 'TextureQueries.count must be a whole number, at least 1, got 0'),
    (dict(type='TextureQueries', distance=0.5), 'TextureQueries.distance must be a whole number.*got 0.5'),
    (dict(type='TextureQueries', border='no'), "TextureQueries.border must be a whole number.*got 'no'"),
    (dict(type='WindowQueries', points='a.csv', side=0), 'WindowQueries.side must be a whole number, at least 1'),
    (dict(type='WindowQueries', points=3), 'WindowQueries.points must be a string, got 3'),
    (dict(type='WindowQueries'), "WindowQueries cannot be built .* 'points'"),
    (dict(type='GridQuerys'), 'there is no source of queries .*; did you mean GridQueries'),
])
def test_a_wrong_setting_is_one_sentence(config, says):
    with pytest.raises(ConfigError, match=says) as caught:
        QUERIES.build(config)
    assert '\n' not in str(caught.value)


def test_a_missing_file_of_points_is_said_when_the_part_is_built(tmp_path):
    with pytest.raises(InputError, match='none.csv: cannot be opened'):
        QUERIES.build(dict(type='WindowQueries', points=str(tmp_path / 'none.csv')))
