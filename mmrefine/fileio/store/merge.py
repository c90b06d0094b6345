"""Merge label stores that were made separately, on several machines or by several runs."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterable, List, Sequence, Tuple

from mmrefine.errors import LabelStoreError, StaleLabelsError
from mmrefine.fileio.atomic import PathLike
from mmrefine.fileio.store.index import read_fingerprint
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.fileio.store.layout import FINGERPRINT, LABELLED_BY, MANIFEST, by, differing, file_fault, told, wanted_of
from mmrefine.fileio.store.statistics import summarize


@dataclass(frozen=True)
class MergedStore:
    """What ``merge_stores`` did.

    Args:
        labels: number of labels in the merged store.
        added: how many of them were copied now; the others were there before.
        complete: whether it has a manifest. If not, the labelling run of its fingerprint makes the missing labels.
    """
    labels: int
    added: int
    complete: bool


def merge_stores(out: PathLike, inputs: Sequence[PathLike]) -> MergedStore:
    """Copy the labels of all ``inputs`` into ``out``, the store that a single process would have made.

    The inputs are only read. They may overlap, as long as they agree, and may be unfinished: then so is ``out``, unless
    together they have all labels that a labelling run noted as wanted, or one complete input has all labels. Nothing
    is written before all inputs are known to agree; each copied label is compared with its digest. A killed merge
    continues where it stopped, and a merge into an existing store of the same fingerprint adds to it.

    Args:
        out: folder of the merged store; it need not exist, and must not be one of the inputs.
        inputs: folders of at least one store.

    Raises:
        StaleLabelsError: the stores have different fingerprints; says which and what differs.
        LabelStoreError: two stores differ in a label, which is named; a folder is damaged or not a store;
            ``out`` cannot be written.
    """
    if not inputs:
        raise LabelStoreError(f'{out}: there is nothing to merge into it; name at least one label store')
    out = Path(out)
    stores = [_opened(Path(root)) for root in inputs]
    for store in stores:
        _refuse_nested(out, store.root)
        _refuse_other(stores[0], store)
    target = LabelStore(out, stores[0].fingerprint)
    begun = (out / FINGERPRINT).exists()
    if begun:
        _refuse_other(stores[0], _opened(out))
    sources = [target, *stores] if begun else stores
    homes = _homes(sources)
    complete = [store for store in sources if store.is_complete()]
    wanted = next((found for found in (store.expected() for store in sources) if found is not None), None)
    whole = all(store.is_complete() for store in stores) or any(len(store.keys()) == len(homes) for store in complete)
    whole = whole or (wanted is not None and wanted_of(homes).items() <= wanted.items())
    if begun and target.is_complete() and not whole:
        raise LabelStoreError(f'{out}: is complete, and would no longer be with the unfinished labels of '
                              f'{next(store.root for store in stores if not store.is_complete())}; merge into a new '
                              'folder')
    extra = _extra(complete, homes, str((wanted or {}).get(LABELLED_BY, ''))) if whole else None
    target.create()
    if wanted is not None:
        target.expect(wanted)
    added = sum(_copy(key, home, target) for key, (home, _) in homes.items() if home is not target)
    if whole and (added or not target.is_complete()):
        target.finish(homes, extra)
    return MergedStore(len(homes), added, whole)


_Homes = Dict[str, Tuple[LabelStore, Dict[str, Any]]]


def _opened(root: Path) -> LabelStore:
    """The store at ``root``, complete or not; nothing there is changed."""
    if (root / MANIFEST).exists():
        store = LabelStore.open(root)
        names = differing(read_fingerprint(root), store.fingerprint)
        if names:
            raise LabelStoreError(f'{root}: {FINGERPRINT} and {MANIFEST} differ in {", ".join(names)}, so it is '
                                  'unclear what made its labels; bring the folder back from a copy, or leave it out')
        return store
    if not (root / FINGERPRINT).exists():
        raise LabelStoreError(f'{root}: is not a label store '
                              f'({"it has no " + FINGERPRINT if root.is_dir() else "there is no such folder"}); '
                              'correct the path, or leave it out')
    return LabelStore(root, read_fingerprint(root))


def _refuse_nested(out: Path, root: Path) -> None:
    outer, inner = out.resolve(), root.resolve()
    if outer == inner or outer in inner.parents or inner in outer.parents:
        raise LabelStoreError(f'{out}: is, holds or lies in {root}, which is to be merged into it; merge into a folder '
                              'of its own')


def _refuse_other(first: LabelStore, store: LabelStore) -> None:
    found, wanted = store.fingerprint, first.fingerprint
    story = told({name: f'there {wanted.get(name, "none")}, here {found.get(name, "none")}'
                  for name in differing(found, wanted)})
    if story:
        raise StaleLabelsError(f'{store.root}: cannot be merged with {first.root}, its labels were made with other '
                               f'{story}; merge only stores of the same teacher, labeler and frames')


def _homes(stores: Iterable[LabelStore]) -> _Homes:
    """Key -> (the first store that has the label, its record there), sorted; all stores agree on shared labels."""
    homes: _Homes = {}
    for store in stores:
        for key in store.keys():
            record = store.record(key)
            # a file is missing: another store may have it, else the labelling run makes the label again
            if not store.has(key):
                continue
            home, known = homes.setdefault(key, (store, record))
            differs = [suffix for suffix in store.codec.suffixes
                       if record['files'].get(suffix) != known['files'].get(suffix)]
            if differs:  # the same label may be packed otherwise, by another version of a library
                one, other = _packed_anew(home, key), _packed_anew(store, key)
                differs = [suffix for suffix in differs if one.get(suffix) != other.get(suffix)]
            differs += ['statistics'] if record['stats'] != known['stats'] else []
            if differs:
                raise LabelStoreError(f'{store.root}: its label {key!r} is not the one of {home.root} '
                                      f'({", ".join(differs)} differ) although both have the same fingerprint; keep '
                                      'one of them, nothing was merged')
    return dict(sorted(homes.items()))


def _packed_anew(store: LabelStore, key: str) -> Dict[str, bytes]:
    """The files of a label as this version writes them."""
    return store.codec.encode(store.read(key))


def _extra(complete: List[LabelStore], homes: _Homes, labelled_by: str) -> Dict[str, Any]:
    """The extra entries of the manifest: the summary of all labels, who made them, which the same weights in a file of
    another name may say otherwise, and the entries that all stores agree on."""
    extras = [dict(store.manifest.get('extra', {})) for store in complete] or [{}]
    summed = not complete or any('summary' in extra for extra in extras)
    names = {name for extra in extras for name in extra if name not in ('summary', LABELLED_BY)}
    odd = sorted(name for name in names if any(extra.get(name) != extras[0].get(name) for extra in extras))
    if odd:
        raise LabelStoreError(f'{complete[0].root}: the "{odd[0]}" of its manifest differs from that of the other '
                              'stores, so they cannot be merged')
    merged = {name: value for name, value in extras[0].items() if name not in ('summary', LABELLED_BY)}
    if summed:
        merged['summary'] = summarize((key, record['stats']) for key, (_, record) in homes.items())
    return {**merged, **by(labelled_by or str(extras[0].get(LABELLED_BY, '')))}


def _copy(key: str, home: LabelStore, target: LabelStore) -> bool:
    """Copy a label if the target lacks it; whether it was copied."""
    if target.has(key):
        return False
    record, files = home.record(key), {}
    for suffix, wanted in record['files'].items():
        data = home.bytes_of(key, suffix)
        fault = file_fault(home.codec, data, wanted)
        if fault:
            raise LabelStoreError(f'{home.root / key}{suffix}: {fault}; bring this file back from a copy, then merge '
                                  'again: what is merged is kept')
        files[suffix] = data
    target.put(key, files, record['stats'], record['quality'])
    return True
