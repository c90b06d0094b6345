"""Weights that others publish for networks of ours: where they are, and whose they are."""
from __future__ import annotations

from typing import Dict

_TORCHVISION, _OPENMMLAB = 'https://download.pytorch.org/models/', 'https://download.openmmlab.com/mmflow/'

RAFT_SMALL = f'{_TORCHVISION}raft_small_C_T_V2-01064c6d.pth'
RAFT_LARGE = f'{_TORCHVISION}raft_large_C_T_V2-1bb1363a.pth'
RAFT_MIXED = f'{_OPENMMLAB}raft/raft_8x2_100k_mixed_368x768.pth'

# address -> who trained them, and on what
_WHOSE: Dict[str, str] = {
    RAFT_SMALL: "torchvision's training of RAFT-small on FlyingChairs and FlyingThings3D, not that of RAFT's authors",
    RAFT_LARGE: "torchvision's training of RAFT on FlyingChairs and FlyingThings3D, not that of RAFT's authors",
    RAFT_MIXED: "OpenMMLab's training of RAFT on a mix of data sets",
}


def whose_weights(place: str) -> str:
    """Who trained the published weights at an address or in a file of that name, and on what; '' for any other."""
    name = place.replace('\\', '/').rpartition('/')[2]
    return next((whose for address, whose in _WHOSE.items() if address.rpartition('/')[2] == name), '')
