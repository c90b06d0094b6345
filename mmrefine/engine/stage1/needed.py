"""Do the labels that are made, or were made before, suffice for the training data?"""
from __future__ import annotations

from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

from mmrefine.engine.stage1.run import LabelRun, digest_of_units, label_summary, wanted_keys
from mmrefine.errors import ConfigError, StaleLabelsError
from mmrefine.fileio.digest import digest_of
from mmrefine.fileio.store.label_store import LabelStore
from mmrefine.structures import Labeler, LabelSource, name_units


def check_labelled(train_data: Any, source: LabelSource, labeler: Labeler) -> None:
    """Refuse training data that need a label which will not be made, now and not at the first step that lacks it."""
    labelled = set(wanted_keys(source, labeler))
    lost = [key for key in needed_keys(train_data) if key not in labelled]
    if lost:
        name = name_units(source.units).split()[-1]
        raise ConfigError(f'train_dataloader.dataset has {len(lost)} {name} that PseudoLabelHook.dataset does not '
                          f'label, the first is {lost[0]}; give both the same data_root, scenes and step, and '
                          "labeler.directions='both' if you train on both directions")


def needed_keys(train_data: Any) -> Sequence[str]:
    """The keys of the labels that the training data need."""
    if hasattr(train_data, 'label_keys'):
        return list(train_data.label_keys())
    units: Optional[List[Any]] = getattr(train_data, 'units', None)
    if units is not None:
        return [unit.key for unit in units]
    if hasattr(train_data, 'pairs'):
        return [pair['key'] for pair in train_data.pairs]
    raise ConfigError(f'train_dataloader.dataset ({type(train_data).__name__}) does not say which labels it needs, so '
                      'nobody can tell whether PseudoLabelHook.dataset makes them; give it a method label_keys() that '
                      'returns their keys')


def given_labels(root: Path, source: LabelSource, labeler: Labeler, train_data: Any) -> Tuple[LabelStore, LabelRun]:
    """A store that was made before, by whatever teacher and labeler, and what is in it.

    Args:
        root: its folder.
        source: what the run would label: the same frames, and the same pairs or clips of them.
        labeler: of the run, whose kind of labels is wanted.
        train_data: what learns from the labels.

    Raises:
        LabelStoreError: there is no complete store, or it is damaged.
        StaleLabelsError: labels of another kind, of other frames, or of other pairs or clips.
        ConfigError: the training data need labels that are not there.
    """
    store, name = LabelStore.open(root), name_units(source.units)
    remedy = 'take the labels of this very video, made with the same settings of its data'
    if store.codec.kind != labeler.codec.kind:
        raise StaleLabelsError(f'{root}: holds labels of the kind {store.codec.kind}, and this network learns from '
                               f'{labeler.codec.kind}; take labels that a network of its own kind made')
    if store.fingerprint.get('frames') != digest_of(source.digests()):
        raise StaleLabelsError(f'{root}: the labels are of other frames than those of this run (another video, or '
                               f'other frames or another size of it); {remedy}')
    if store.fingerprint.get('pairs') != digest_of_units(source.units):
        raise StaleLabelsError(f'{root}: the labels are of other {name} than those of this run (scenes, held_out, '
                               f'least_held or step differ); {remedy}')
    lost = [key for key in needed_keys(train_data) if not store.has(key)]
    if lost:
        raise ConfigError(f'{root}: lacks {len(lost)} labels that train_dataloader.dataset needs, the first is '
                          f'{lost[0]}; {remedy}, and with the same labeler.directions')
    return store, LabelRun(len(store.keys()), 0, float(label_summary(store)['kept']), 0.)
