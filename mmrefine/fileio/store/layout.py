"""The files of a label store: what they are called, and how they are read."""
from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence

from mmrefine.errors import LabelStoreError
from mmrefine.fileio.atomic import TEMP_PREFIX, PathLike
from mmrefine.fileio.codecs.kinds import FIRST_KIND
from mmrefine.fileio.digest import digest_of, digest_of_bytes
from mmrefine.fileio.lock import LOCK
from mmrefine.fileio.records import parse_json

if TYPE_CHECKING:
    from mmrefine.structures import LabelCodec

_MAX_NAME = 255  # bytes, on every common file system

FORMAT = 'mmrefine-labels/3'
FINGERPRINT, MANIFEST, QUALITY, WANTED = 'fingerprint.json', 'manifest.json', 'quality.json', 'wanted.json'
# what follows the key in the name of a label's statistics, as the suffixes of its codec in those of its other files
STATS = '.json'
# behind the name of a scene that is also the name of one of the store's own files
_ESCAPE, _OWN = '~', (FINGERPRINT, MANIFEST, QUALITY, WANTED, LOCK)
# in fingerprint and manifest; a fingerprint without it is of the first kind, so that stores from before stay valid
KIND = 'kind'
# in the extra entries of a manifest, and in what is wanted: who labelled, for people
LABELLED_BY = 'labelled_by'
REMEDY = 'delete the folder, or name another one, such as with --out'
# what stands behind a digest of a fingerprint that says least by its name
_BEHIND = {
    'labeler': 'how labels are made, such as --verify, --max-error or the key labeler; ',
    'reading': 'how the teacher runs, such as model.test_iters; ',
}


def label_path(root: Path, key: str, suffix: str, suffixes: Sequence[str]) -> Path:
    """Where a file of the label lies: always below ``root``, whatever the user's files are called.

    Args:
        root: folder of the store.
        key: of the label.
        suffix: of the file.
        suffixes: that the files of a label may have.

    Raises:
        LabelStoreError: the key is not valid.
    """
    parts = key.split('/')
    if len(parts) < 2 or any(part in ('', '.', '..') for part in parts) or '\0' in key:
        raise LabelStoreError(f'{root}: {key!r} is not a valid label key; a key is scene/frame1__frame2, '
                              'without empty parts, "." and ".."')
    # the first file of a label "a.weight" would be the second one of a label "a"
    clashes = [one[:-len(other)] for one in suffixes for other in suffixes if one != other and one.endswith(other)]
    if parts[-1].endswith(tuple(clashes)) or any(part.startswith(TEMP_PREFIX) for part in parts):
        raise LabelStoreError(f'{root}: {key!r} clashes with the names of the store\'s own files; '
                              'rename that frame')
    if parts[0].rstrip(_ESCAPE) in _OWN:
        parts[0] += _ESCAPE
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError as error:
        raise LabelStoreError(f'{root}: {key!r} is not a valid label key; no file can have this name') from error
    most = _MAX_NAME - max(map(len, (STATS, *suffixes)))
    if longest > most:
        raise LabelStoreError(f'{root}: the key {key!r} has a name of {longest} bytes, a file may have '
                              f'{most} beside its suffix; shorten the names of the frames')
    return root.joinpath(*parts[:-1], parts[-1] + suffix)


def kind_of(fingerprint: Mapping[str, str]) -> str:
    """The kind of the labels that were made from this."""
    return fingerprint.get(KIND, FIRST_KIND)


def fingerprint_of(made_from: Mapping[str, str], kind: str) -> Dict[str, str]:
    """The fingerprint of a store of labels of a kind, made from this."""
    return {**made_from, **({} if kind == FIRST_KIND else {KIND: kind})}


def unreadable(file: PathLike, error: object) -> str:
    """The sentence for a file of a label that cannot be read."""
    return f'{file}: the label cannot be read ({error}); bring this file back from a copy, or {REMEDY}, and label again'


def file_fault(codec: LabelCodec, data: bytes, wanted: str) -> Optional[str]:
    """What is wrong with a file of a label that was written with the digest ``wanted``; None if nothing is."""
    found = digest_of_bytes(data)
    if found == wanted:
        return None
    damage = codec.damage(data) or 'changed: not the bytes that were written'
    return f'{damage} (digest {found}, wanted {wanted})'


def stats_files(root: Path) -> Iterator[Path]:
    """The statistics of labels that no manifest has taken over yet, in any order."""
    return (path for path in root.rglob('*' + STATS) if path.parent != root and path.is_file())


def key_of(root: Path, file: Path, suffix: str = STATS) -> str:
    """The key of the label that a file of it belongs to; the inverse of :func:`label_path`."""
    name = file.relative_to(root).as_posix()[:-len(suffix)]
    scene, slash, rest = name.partition('/')
    return scene[:-1] + slash + rest if scene.endswith(_ESCAPE) and scene.rstrip(_ESCAPE) in _OWN else name


def read_json(path: Path, *wanted: str) -> Dict[str, Any]:
    """A JSON object of our own that has the wanted keys.

    Raises:
        LabelStoreError: it cannot be read, or is something else.
    """
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise LabelStoreError(f'{path}: cannot be read ({error}); {REMEDY}, and label again') from error
    if not isinstance(found, dict) or not found.keys() >= set(wanted):
        raise LabelStoreError(f'{path}: is not from a label store (wanted an object with '
                              f'{", ".join(wanted) or "digests"}); {REMEDY}, and label again')
    return found


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> List[str]:
    """The names, sorted, under which two fingerprints differ."""
    return sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))


def told(story: Mapping[str, str]) -> str:
    """What differs between two fingerprints as one piece of a sentence.

    Args:
        story: what to say of each name of the fingerprints, such as both digests.
    """
    return ', '.join(f'{name} ({_BEHIND.get(name, "")}{one})' for name, one in story.items())


def wanted_of(keys: Iterable[str], labelled_by: str = '') -> Dict[str, Any]:
    """How many labels, and the digest of their keys, whatever their order; and who makes them, if that is known."""
    names = sorted(set(keys))
    return dict(labels=len(names), digest=digest_of(names), **by(labelled_by))


def by(labelled_by: str) -> Dict[str, str]:
    """The entry of a manifest that says in words who labelled; the fingerprint has the digest of the weights."""
    return {LABELLED_BY: labelled_by} if labelled_by else {}
