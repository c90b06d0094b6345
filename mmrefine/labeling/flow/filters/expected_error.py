"""Motion of which a verifier says that it is right."""
from __future__ import annotations

from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.registry import FILTERS
from mmrefine.structures import PairContext
from mmrefine.values import as_number


@FILTERS.register_module()
class ExpectedErrorFilter:
    """Keep motion that is expected to be right within ``most`` px: 1 there, else 0. Ours.

    The expectation is that of the view's verifier (``ArbitratedView(verifier=…)``), for each pixel, with all that it
    knows of the passes. With ``soft`` the weight is ``1 / (1 + (e / most)^2)`` of the expected error ``e``: 1/2 at
    ``most``, and nowhere 0. So a label weighs by the inverse of its variance if it is off by ``e`` and, beside that,
    whatever is learned by ``most``.

    Args:
        most: px, above 0.
        soft: weigh instead of choosing.

    Raises:
        ConfigError: a value out of range; where it is used, a view without a verifier.
    """
    def __init__(self, most: float = 1., soft: bool = False) -> None:
        self.most = as_number('ExpectedErrorFilter.most', most, '(0, inf)')
        self.soft = soft

    def __call__(self, ctx: PairContext) -> Tensor:
        """Weight ``(B, 1, H, W)`` in [0, 1]."""
        if ctx.error_fw is None:
            raise ConfigError('ExpectedErrorFilter needs a view that knows the error to expect, and this one does not; '
                              "give labeler.view=dict(type='ArbitratedView', verifier=…), or filter by CycleFilter")
        error = ctx.error_fw / self.most
        return 1 / (1 + error**2) if self.soft else (error <= 1).to(ctx.flow_fw.dtype)
