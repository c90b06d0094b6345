"""The small runs of the folder above."""
from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # whatever import mode pytest runs in

from small_runs import material  # noqa: E402, F401
