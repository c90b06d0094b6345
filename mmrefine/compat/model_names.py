"""Short names for networks; light to import, as help texts list them."""
from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Union

from mmrefine.compat.config_names import config_file, own_config_root
from mmrefine.compat.published_weights import RAFT_LARGE, RAFT_MIXED, RAFT_SMALL
from mmrefine.errors import ConfigError


@dataclass(frozen=True)
class NamedModel:
    """What a short name stands for.

    Args:
        config: path below the folder of the configs.
        about: the network in a few words.
        address: where weights are published, which are downloaded if those of the config are not there; '': they come
            with the configs, or cannot be downloaded.
        source: of weights that cannot be downloaded: whose they are and where to get them.
    """
    config: str
    about: str
    address: str = ''
    source: str = ''


NAMED_MODELS: Dict[str, NamedModel] = {
    'raft_small': NamedModel('refine/raft_small_video.py', 'the official RAFT-small: quick', RAFT_SMALL),
    'raft_small_convex': NamedModel(
        'refine/raft_small_convex_video.py', 'begins as raft_small and also learns to enlarge its flow, so its borders '
                                             'are sharper once it is refined', RAFT_SMALL),
    'raft_official': NamedModel('refine/raft_official_video.py', 'the official RAFT: larger, better, slower',
                                RAFT_LARGE),
    'raft': NamedModel('refine/raft_video.py', "mmflow's RAFT, trained on a mix of data sets", RAFT_MIXED),
    'craft': NamedModel('refine/craft_video.py', 'CRAFT, a RAFT with attention; needs the weights of its authors',
                        source='craft-sintel.pth of its authors, to which the README of '
                               'https://github.com/askerlee/craft leads'),
    'demo': NamedModel(
        'demo/raft_small_video.py', 'a small network that comes with mmrefine, was trained on rendered video only, and '
                                    'is for trying things out'),
    'pips': NamedModel('pips/pips_video.py', 'PIPs, which follows points; needs the weights of its authors',
                       source='the reference_model (model-000200000.pth) of its authors, to which the README of '
                              'https://github.com/aharley/pips leads'),
    'corrflow': NamedModel('corrflow/resnet18_video.py', 'CorrFlow, whose features find places again, and which '
                           'learns without labels; needs weights to start from',
                           source="refined.pth of a training of yours (configs/corrflow), or the file of its authors, "
                                  'to which the README of https://github.com/zlai0/CorrFlow leads'),
    'pips_demo': NamedModel(
        'pips/pips_demo.py', 'a small PIPs that comes with mmrefine, was trained on rendered video only, and is for '
                             'trying things out'),
}


def find_config(model: Union[str, Path]) -> Path:
    """The config file of a short name, a path, a path below the folder of the configs, ``mmrefine::…`` or
    ``mmflow::…``.

    Raises:
        ConfigError: there is none.
    """
    text = str(model)
    if text in NAMED_MODELS:
        return own_config_root() / NAMED_MODELS[text].config
    if '::' in text:
        return config_file(text)
    below = own_config_root() / (text.partition('configs/')[2] or text)
    for path in (Path(model), below):
        if path.is_file():
            return path
    near = difflib.get_close_matches(text, NAMED_MODELS, n=1)
    hint = f'did you mean {near[0]}?' if near else 'name a config file, or one of ' + ', '.join(NAMED_MODELS)
    raise ConfigError(f'{model}: there is no such model or config file; {hint}')
