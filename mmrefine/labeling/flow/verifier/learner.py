"""A network that learns to weigh passes, from pairs whose motion is known."""
from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.labeling.flow.verifier.network import PassVerifier
from mmrefine.labeling.flow.views.arbiter import Arbiter
from mmrefine.registry import MODELS
from mmrefine.structures import Verdict
from mmrefine.values import as_number


@MODELS.register_module()
class VerifierLearner(BaseModel):
    """Trains :class:`~mmrefine.labeling.PassVerifier` on passes over pairs whose motion is known. Ours.

    Three losses over the pixels whose truth is known. Of the motion: the end point error, for each direction of each
    pair over the mean error of the arbiter there, so that every pair counts alike and 1 is what the arbiter reaches.
    Of the expected error ``b``: ``2 sqrt(e / b) + log b``, which is least where ``sqrt(b)`` is the mean of ``sqrt(e)``
    over such pixels, between the median of their errors ``e`` and the mean: of the mean itself, few pixels that are far
    off would be all that is learned. Of the chance that the error is below 1 px: the cross-entropy. Of the last two, no
    gradient goes through the motion that they judge.

    Args:
        estimator: config of the verifier, or the verifier itself.
        error_weight: of the loss of the expected error, at least 0.
        sure_weight: of the loss of the chance, at least 0.
        drop: how often a step sees only some of the passes, in [0, 1], so that any number may be given later.
        data_preprocessor: config of what comes before; default :class:`~mmrefine.models.FramePreprocessor`.
        init_cfg: MMEngine's.

    Raises:
        ConfigError: another network, or a value out of range.
    """
    _STILL = 0.05  # px that are added to the arbiter's error: where it is all but right nothing more is to be gained

    def __init__(self,
                 estimator: Union[Mapping[str, Any], nn.Module],
                 error_weight: float = 0.1,
                 sure_weight: float = 0.1,
                 drop: float = 0.25,
                 data_preprocessor: Optional[dict] = None,
                 init_cfg: Optional[dict] = None) -> None:
        super().__init__(data_preprocessor or dict(type='mmrefine.FramePreprocessor'), init_cfg)
        network = estimator if isinstance(estimator, nn.Module) else MODELS.build({'_scope_': 'mmrefine', **estimator})
        if not isinstance(network, PassVerifier):
            raise ConfigError("model.estimator of a VerifierLearner must be dict(type='mmrefine.PassVerifier'), got "
                              f'{type(network).__name__}')
        self.estimator: PassVerifier = network
        self.error_weight = as_number('model.error_weight', error_weight)
        self.sure_weight = as_number('model.sure_weight', sure_weight)
        self.drop = as_number('model.drop', drop, '[0, 1]')

    def forward(self, inputs: Tensor, passes: Tensor, traits: Tensor, truth: Tensor, known: Tensor,
                data_samples: Optional[list] = None, mode: str = 'tensor') -> Any:
        """MMEngine's entry.

        Args:
            inputs: ``(B, 2, 3, H, W)`` RGB in [0, 1].
            passes: ``(B, P, 2, 2, H, W)`` px, there and back.
            traits: ``(B, P, 2)``, the same for all pairs of a batch.
            truth: ``(B, 2, 2, H, W)`` px, there and back.
            known: ``(B, 2, H, W)``, where it is known.
            data_samples: not used.
            mode: 'loss' or 'tensor'.

        Returns:
            'loss': ``loss_motion``, ``loss_error`` and ``loss_sure``, and ``against_arbiter``, the error over that of
            the arbiter. 'tensor': what the verifier makes of the passes.

        Raises:
            ValueError: another mode, or passes of several kinds in one batch.
        """
        if not bool((traits == traits[:1]).all()):
            raise ValueError('the pairs of one batch must have been seen by passes of one kind; use batch_size=1')
        one, two = (torch.cat([inputs[:, way], inputs[:, 1 - way]]) for way in (0, 1))
        seen, kinds = self._some(torch.cat([passes[:, :, 0], passes[:, :, 1]]).transpose(0, 1), traits[0], mode)
        with torch.no_grad():
            start, shares = Arbiter().settle(one, two, seen)
        found = self.estimator(one, two, seen, kinds, start, shares)
        if mode == 'tensor':
            return found
        if mode != 'loss':
            raise ValueError(f"mode must be 'loss' or 'tensor', got {mode!r}")
        truth, known = torch.cat([truth[:, 0], truth[:, 1]]), torch.cat([known[:, 0], known[:, 1]])[:, None].float()
        return self._losses(found, truth, known)

    def verify(self, frames1: Tensor, frames2: Tensor, passes: Tensor, traits: Tensor, start: Tensor,
               shares: Tensor) -> Verdict:
        """What passes come to; see :class:`~mmrefine.structures.PassJudge`."""
        return self.estimator(frames1, frames2, passes, traits.to(passes), start, shares)

    def pass_bytes(self, size: Tuple[int, int], passes: int = 4) -> int:
        """Bytes that it must hold at once for so many passes over frames of ``size`` (height, width) px, about: what
        the network sees of both ways, and of one way what the layers of full size hold."""
        return 4 * size[0] * size[1] * self.estimator.values_per_pixel(passes)

    def _some(self, passes: Tensor, traits: Tensor, mode: str) -> Tuple[Tensor, Tensor]:
        """All passes or, at times, only some."""
        if mode != 'loss' or float(torch.rand(())) >= self.drop:
            return passes, traits
        count = int(torch.randint(1, len(passes) + 1, ()))
        kept: List[int] = torch.randperm(len(passes))[:count].sort().values.tolist()
        return passes[kept], traits[kept]

    def _losses(self, found: Any, truth: Tensor, known: Tensor) -> Dict[str, Tensor]:
        pixels = known.sum(dim=(1, 2, 3))
        judged = pixels > 0  # of a warped frame only the way there is known

        def mean(values: Tensor) -> Tensor:
            return values.masked_fill(known == 0, 0.).sum(dim=(1, 2, 3))[judged] / pixels[judged]

        truth = torch.where(known > 0, truth, found.motion.detach())  # nan has no gradient to speak of
        error = (found.motion - truth).norm(dim=1, keepdim=True)
        plain = mean((found.start - truth).norm(dim=1, keepdim=True))
        motion = mean(error)
        seen = error.detach().clamp(min=0.02)
        return dict(
            loss_motion=(motion / (plain + self._STILL)).mean(),
            loss_error=self.error_weight * mean(2 * (seen / found.error).sqrt() + found.error.log()).mean(),
            loss_sure=self.sure_weight * mean(
                F.binary_cross_entropy_with_logits(found.sure, (seen < 1).float(), reduction='none')).mean(),
            against_arbiter=(motion.detach() / plain.clamp(min=1e-3)).log().mean().exp())
