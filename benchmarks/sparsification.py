"""How well a judge sorts errors: the area under the sparsification error curve (AUSE)."""
from __future__ import annotations

import numpy as np


def area_of(error: np.ndarray, said: np.ndarray) -> float:
    """The area between two curves, the mean error of what is left once the worst 0, 5, ... 95 % are left out, over the
    mean error of all: worst by what is said, and worst by the error itself. 0 is best; what is said to be alike is in
    an order drawn at random.

    Args:
        error: ``(P,)`` px, not negative.
        said: ``(P,)``, the larger the worse.
    """
    drawn = np.random.default_rng(0).permutation(len(error))

    def curve(values: np.ndarray) -> np.ndarray:
        sums = error[drawn][np.argsort(values[drawn], kind='stable')].astype(np.float64).cumsum()
        kept = [max(round(share * len(sums)), 1) for share in np.arange(1., 0., -0.05)]
        return np.array([sums[count - 1] / count for count in kept]) / max(sums[-1] / len(sums), 1e-9)

    return float(np.mean(curve(said) - curve(error)))
