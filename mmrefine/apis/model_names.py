"""Short names for networks; light to import, as help texts list them."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

OFFICIAL = 'get it from the download script of https://github.com/princeton-vl/RAFT'


@dataclass(frozen=True)
class NamedModel:
    """What a short name stands for.

    Args:
        config: path below the folder of the configs.
        about: the network in a few words.
        weights: where its weights come from.
    """
    config: str
    about: str
    weights: str


NAMED_MODELS: Dict[str, NamedModel] = {
    'raft_small': NamedModel(
        'refine/raft_small_video.py', 'the official RAFT-small: quick',
        f'pass the official file as it is, --checkpoint raft-small.pth ({OFFICIAL}), or convert it once: '
        'python tools/convert_checkpoint.py raft-small.pth checkpoints/raft-small-mmrefine.pth'),
    'raft_official': NamedModel(
        'refine/raft_official_video.py', 'the official RAFT: larger, better, slower',
        f'pass the official file as it is, --checkpoint raft-things.pth ({OFFICIAL}), or convert it once: '
        'python tools/convert_checkpoint.py raft-things.pth checkpoints/raft-things-mmrefine.pth'),
    'raft': NamedModel(
        'refine/raft_video.py', "mmflow's RAFT, trained on a mix of data sets",
        'put https://download.openmmlab.com/mmflow/raft/raft_8x2_100k_mixed_368x768.pth there, or name another with '
        '--checkpoint'),
    'demo': NamedModel(
        'demo/raft_small_video.py', 'a small network that comes with mmrefine, was trained on rendered video only, and '
                                    'is for trying things out',
        'it belongs to the configs; install mmrefine again'),
}
