"""What ``--recipe`` may say; light to import, as help texts list it."""
from __future__ import annotations

from typing import Dict

LABELS = 'labels'
WITH_WARP = 'labels+warp'
# word -> the config whose losses it stands for, below the folder of the configs
BASELINES: Dict[str, str] = {
    'warp': 'baselines/raft_small_warp_smooth_video.py',
    'cycle': 'baselines/raft_small_cycle_video.py',
    'smurf': 'baselines/raft_smurf.py',
}
RECIPES = (WITH_WARP, LABELS, *BASELINES)
