"""The files of ``mmrefine propagate``: how they are called, and which may be written."""
from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from mmrefine.apis.frame_damage import CORRUPT_FILE, LEFT_OUT_FILE
from mmrefine.apis.result_files import (digests_of, is_as_written, noted_digests, read_result_record, refuse_strangers,
                                        write_result_record)
from mmrefine.errors import InputError, TeacherError
from mmrefine.fileio.annotations.davis import encode_ids
from mmrefine.fileio.atomic import remove_leftovers, write_bytes, write_errors
from mmrefine.fileio.digest import digest_of_bytes
from mmrefine.fileio.images import find_damage
from mmrefine.fileio.records import parse_json

RECORD, MASKS, VIDEO = 'propagate.json', 'masks', 'masks.mp4'
WRITTEN = 'propagate.written'  # of a run on its way: a line of JSON, name and digest, for each mask


@dataclass(frozen=True)
class PropagationFiles:
    """The files of one scene.

    Args:
        folder: holds them.
        results: the masks, or the arrays and the table of tracks.
        video: to look at.
    """
    folder: Path
    results: Tuple[Path, ...]
    video: Path

    @classmethod
    def of_masks(cls, folder: Path, scene: str, names: Sequence[str]) -> 'PropagationFiles':
        """One mask for each named frame, in the layout of results that davis2017-evaluation reads."""
        return cls(folder, tuple(folder / MASKS / scene / f'{name}.png' for name in names), folder / VIDEO)

    @property
    def record(self) -> Path:
        """Settings, times and digests."""
        return self.folder / RECORD

    @property
    def written(self) -> Path:
        """The digests of a run that is not finished."""
        return self.folder / WRITTEN

    def write_mask(self, path: Path, ids: np.ndarray) -> None:
        """Write ids ``(H, W)`` uint8, whole or not at all.

        The digest is noted first, so that a run that is stopped at any moment leaves no mask of its own without one.

        Raises:
            MMRefineError: the disk is full or the folder cannot be written.
        """
        data = encode_ids(ids)
        note = json.dumps([self._name(path), digest_of_bytes(data)])
        with write_errors(path):
            with open(self.written, 'ab') as file:
                file.write(f'\n{note}'.encode())  # on a line of its own, even if the one before was cut off
                file.flush()
                os.fsync(file.fileno())
            write_bytes(path, data)

    def bring_up_to_date(self, settings: Mapping[str, Any], about: Mapping[str, Any], make: Callable[[], None],
                         draw: Optional[Callable[[], None]], log: Callable[[str], None]) -> bool:
        """Make what is missing or damaged; whether that were results.

        Args:
            settings: that decide over the results; others in the record are refused.
            about: what else the record says.
            make: writes all results.
            draw: writes the video from them; None: it is left out.
            log: called with a line.

        Raises:
            ConfigError: the results were made with other settings; names what differs.
            InputError: the record is something else, a file that would be overwritten is there without a record, or a
                mask was changed since it was written.
        """
        record = self._read_record(settings)
        begins = record is None
        if record is None:
            record = dict(about, settings=dict(settings), complete=False)
            self.written.unlink(missing_ok=True)
            write_result_record(self.record, record)
        for folder in sorted({self.folder, *(path.parent for path in self.results)}):
            remove_leftovers(folder)
        wrong = self._wrong(record, log)
        if wrong:
            # all of them, as labels do not go on from rounded ones; what is there keeps its digest until then
            record = dict(record, complete=False)
            write_result_record(self.record, record)
            try:
                make()
            except (InputError, TeacherError):
                if begins:
                    self._withdraw(record)
                raise
        if draw is not None and (wrong or not self.video.is_file()):
            draw()
        if record.get('complete') is not True:
            write_result_record(self.record, dict(record, complete=True, digests=self._final_digests(record)))
        if self.written.exists():
            self.written.unlink()
        return bool(wrong)

    def _read_record(self, settings: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        record = read_result_record(self.record, 'masks or tracks that were', settings, lambda: any(
            path.name not in (RECORD, WRITTEN, CORRUPT_FILE, LEFT_OUT_FILE) for path in self.folder.iterdir()))
        if record is None:
            refuse_strangers(self.record, (*self.results, self.video))
        return record

    def _withdraw(self, record: Mapping[str, Any]) -> None:
        """Remove what was written of results that cannot be made, so that the folder may be used for others."""
        noted = self._noted(record)
        for path in self.results:
            if self._is_as_written(path, record, noted):
                path.unlink()
        self.written.unlink(missing_ok=True)
        self.record.unlink()
        for folder in self.results[0].parents:
            if folder.is_relative_to(self.folder):
                with contextlib.suppress(OSError):  # others lie in it
                    folder.rmdir()

    def _noted(self, record: Mapping[str, Any]) -> Dict[str, List[str]]:
        """The digests with which each mask may have been written: by the run of the record, or by one that was stopped
        since."""
        noted = {name: [digest] for name, digest in noted_digests(record).items() if name.endswith('.png')}
        for line in self.written.read_bytes().splitlines() if self.written.exists() else ():
            with contextlib.suppress(ValueError, TypeError):  # cut off by a full disk
                name, digest = parse_json(line)
                noted.setdefault(name, []).append(digest)
        return noted

    def _final_digests(self, record: Mapping[str, Any]) -> Dict[str, str]:
        """Of what was written; a mask that was corrected meanwhile has another."""
        noted, found = self._noted(record), digests_of(self.results, self.folder)
        return {name: digest if digest in noted.get(name, [digest]) else noted[name][-1]
                for name, digest in found.items()}

    def _wrong(self, record: Mapping[str, Any], log: Callable[[str], None]) -> List[Path]:
        """Results that are not there as they were written."""
        noted = self._noted(record)
        wrong = [path for path in self.results if not self._is_as_written(path, record, noted)]
        changed = [path for path in wrong if path.exists()]
        for path in changed:
            if path.suffix == '.png' and find_damage(path.read_bytes()) is None:
                raise InputError(f'{path}: was changed since it was written, perhaps corrected by hand, and would be '
                                 'overwritten; copy it and give it with --mask FRAME=FILE and another --out, or delete '
                                 'it to have it made again')
        if changed:
            log(f'{changed[0]} is not as it was written; all are made again')
        return wrong

    def _is_as_written(self, path: Path, record: Mapping[str, Any], noted: Mapping[str, Sequence[str]]) -> bool:
        if path.suffix != '.png':
            return is_as_written(path, self.folder, noted_digests(record))
        return path.is_file() and digest_of_bytes(path.read_bytes()) in noted.get(self._name(path), ())

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()
