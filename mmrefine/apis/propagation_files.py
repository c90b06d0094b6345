"""The files of ``mmrefine propagate``: how they are called, and which may be written."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from mmrefine.apis.frame_damage import CORRUPT_FILE, LEFT_OUT_FILE
from mmrefine.apis.result_files import (digests_of, is_as_written, noted_digests, read_result_record, refuse_strangers,
                                        write_result_record)
from mmrefine.errors import InputError
from mmrefine.fileio.atomic import remove_leftovers
from mmrefine.fileio.images import find_damage

RECORD, MASKS, VIDEO = 'propagate.json', 'masks', 'masks.mp4'


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
        if record is None:
            record = dict(about, settings=dict(settings), complete=False)
            write_result_record(self.record, record)
        for folder in sorted({self.folder, *(path.parent for path in self.results)}):
            remove_leftovers(folder)
        wrong = self._wrong(noted_digests(record), log)
        if wrong:
            # all of them, as labels do not go on from rounded ones; digests of the old ones say nothing about the new
            record = dict(record, complete=False, digests={})
            write_result_record(self.record, record)
            make()
        if draw is not None and (wrong or not self.video.is_file()):
            draw()
        if record.get('complete') is not True:
            write_result_record(self.record,
                                dict(record, complete=True, digests=digests_of(self.results, self.folder)))
        return bool(wrong)

    def _read_record(self, settings: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
        record = read_result_record(self.record, 'masks or tracks that were', settings, lambda: any(
            path.name not in (RECORD, CORRUPT_FILE, LEFT_OUT_FILE) for path in self.folder.iterdir()))
        if record is None:
            refuse_strangers(self.record, (*self.results, self.video))
        return record

    def _wrong(self, digests: Mapping[str, Any], log: Callable[[str], None]) -> List[Path]:
        """Results that are not there as they were written."""
        wrong = [path for path in self.results if not is_as_written(path, self.folder, digests)]
        changed = [path for path in wrong if path.exists()]
        for path in changed:
            if path.suffix == '.png' and find_damage(path.read_bytes()) is None:
                raise InputError(f'{path}: was changed since it was written, perhaps corrected by hand, and would be '
                                 'overwritten; copy it and give it with --mask FRAME=FILE and another --out, or delete '
                                 'it to have it made again')
        if changed:
            log(f'{changed[0]} is not as it was written; all are made again')
        return wrong
