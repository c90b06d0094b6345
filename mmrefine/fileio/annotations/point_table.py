"""Tables of points in the frames of videos, as comma-separated values."""
from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import List

from mmrefine.errors import InputError

COLUMNS = ('scene', 'frame', 'x', 'y')
FARTHEST = 1e6  # px
_SHOWN = 80  # letters of a line in a message


@dataclass(frozen=True)
class TableRow:
    """A point in a table.

    Args:
        line: of the file, from 1.
        scene: name of the scene; '' in a table without scenes.
        frame: number of the frame in the scene, from 0.
        x, y: px, pixel centres at integers.
    """
    line: int
    scene: str
    frame: int
    x: float
    y: float


def read_point_table(path: Path, data: bytes, scene_needed: bool = True) -> List[TableRow]:
    """The points in the contents of a CSV file, in order.

    Args:
        path: of the file, for messages.
        data: its contents; the first line names the columns ``scene``, ``frame``, ``x`` and ``y``, in any order;
            further columns do not matter.
        scene_needed: whether the column ``scene`` must be there.

    Raises:
        InputError: columns that are missing, or numbers that are no points; names the line.
    """
    found = []
    try:
        rows = csv.DictReader(io.StringIO(data.decode('utf-8-sig'), newline=''), strict=True)
        columns = [name for name in COLUMNS if scene_needed or name != 'scene' or name in (rows.fieldnames or ())]
        missing = [name for name in columns if name not in (rows.fieldnames or ())]
        if missing:
            shown = ','.join(map(str, rows.fieldnames or ()))[:_SHOWN]
            raise InputError(f'{path}: lacks the column {missing[0]}; the first line must be {",".join(columns)}, got '
                             f'{shown!r}')
        for row in rows:
            try:
                number, x, y = int(row['frame']), float(row['x']), float(row['y'])
                sound = number >= 0 and math.hypot(x, y) <= FARTHEST
            except (TypeError, ValueError):
                sound = False
            if not sound or not row.get('scene', 'none'):
                shown = ','.join(str(row[name] or '') for name in columns)
                wanted = 'a scene, the number' if 'scene' in columns else 'the number'
                raise InputError(f'{path}: line {rows.line_num} must be {wanted} of a frame from 0, x and y in px, got '
                                 f'{shown!r}; correct it or leave it out')
            found.append(TableRow(rows.line_num, row.get('scene', ''), number, x, y))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f'{path}: is not a table of comma-separated values ({error}); name another file') from error
    return found
