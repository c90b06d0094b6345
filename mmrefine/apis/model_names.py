"""Short names for networks; light to import, as help texts list them."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

TORCHVISION, OPENMMLAB = 'https://download.pytorch.org/models/', 'https://download.openmmlab.com/mmflow/'


@dataclass(frozen=True)
class NamedModel:
    """What a short name stands for.

    Args:
        config: path below the folder of the configs.
        about: the network in a few words.
        address: where weights are published, which are downloaded if those of the config are not there; '': they come
            with the configs.
        whose: who trained those, and on what.
    """
    config: str
    about: str
    address: str = ''
    whose: str = ''


NAMED_MODELS: Dict[str, NamedModel] = {
    'raft_small': NamedModel(
        'refine/raft_small_video.py', 'the official RAFT-small: quick',
        f'{TORCHVISION}raft_small_C_T_V2-01064c6d.pth',
        "torchvision's training of RAFT-small on FlyingChairs and FlyingThings3D, not that of RAFT's authors"),
    'raft_official': NamedModel(
        'refine/raft_official_video.py', 'the official RAFT: larger, better, slower',
        f'{TORCHVISION}raft_large_C_T_V2-1bb1363a.pth',
        "torchvision's training of RAFT on FlyingChairs and FlyingThings3D, not that of RAFT's authors"),
    'raft': NamedModel(
        'refine/raft_video.py', "mmflow's RAFT, trained on a mix of data sets",
        f'{OPENMMLAB}raft/raft_8x2_100k_mixed_368x768.pth', "OpenMMLab's training of RAFT on a mix of data sets"),
    'demo': NamedModel(
        'demo/raft_small_video.py', 'a small network that comes with mmrefine, was trained on rendered video only, and '
                                    'is for trying things out'),
}


def whose_weights(file: str) -> str:
    """Who trained the published weights of this file name, and on what; '' for any other."""
    return next((named.whose for named in NAMED_MODELS.values()
                 if named.address and named.address.rpartition('/')[2] == file), '')
