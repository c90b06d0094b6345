"""A pixel should look the same where its motion ends."""
from __future__ import annotations

from typing import FrozenSet, Iterator, Optional

from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.models.losses.gradient_now import with_gradient_now
from mmrefine.models.losses.iterate_loss import IterateLoss, mean_where
from mmrefine.models.losses.occlusion import Occlusion
from mmrefine.models.losses.residuals import RESIDUALS
from mmrefine.models.losses.ways import Way
from mmrefine.registry import MODELS
from mmrefine.schedule import Course


@MODELS.register_module()
class PhotometricLoss(IterateLoss):
    """``sum_k gamma^(K-1-k) sum_p v(p) r_k(p) / sum_p v(p)``; needs no labels.

    ``v`` is 0 where the motion leaves frame 2, and else says whether the pixel is seen there, see
    :class:`~mmrefine.models.losses.occlusion.Occlusion`. Where the network gives the way back, both directions of a
    pair are compared, each with the other as its way back, and count half. Where the samples hold whole frames
    (:class:`~mmrefine.datasets.transforms.KeepWholeFrames`), those are compared, so motion may leave the crop.

    ``residual='color'``: ``r = mean_RGB (d^2 + 0.001^2)^0.45`` with ``d = I2(p + f(p)) - I1(p)``, the generalised
    Charbonnier penalty of Meister et al., UnFlow, AAAI 2018.

    ``residual='ssim'``: ``r = mean_RGB (1 - SSIM) / 2`` in windows of 3 px with the constants ``0.01^2`` and
    ``0.03^2``, as Godard et al., CVPR 2017, and Liu et al., ARFlow, CVPR 2020, take it; of the surroundings of ``p``
    in frame 1 and in frame 2 warped back. Pixels at the border of the crop are left out.

    ``residual='census'``: ``r = (h + 0.01)^0.4``, where ``h`` counts the comparisons in a window of 7 px that turn out
    differently in the two frames, softly: each neighbour's grey level (0 to 255) minus the centre's is ``d``,
    ``c = d / sqrt(0.81 + d^2)``, ``s = (c1 - c2)^2``, ``h = sum s / (0.1 + s)``. Pixels whose window leaves the crop
    are left out. After UnFlow, with the penalty of Jonschkowski et al., What Matters in Unsupervised Optical Flow,
    ECCV 2020, and of SMURF (Stone et al., CVPR 2021). A change of brightness changes little.

    ``unlabelled=True`` mixes it with labels: a pixel then counts by one minus the weight of its label, so the colours
    speak where the label does not. A way without labels, as that back, counts fully.

    Args:
        residual: ``'census'``, ``'color'`` or ``'ssim'``.
        occlusion: ``'range_map'``, SMURF's choice, ``'cycle'``, UnFlow's, or None: only what leaves frame 2 is left
            out, and the network need not give the way back.
        unlabelled: whether pixels count less the more their label does.
        occlusion_from: optimiser step from which on occluded pixels are left out.
        gamma: decay per step back from the last iterate, in (0, 1].
        loss_weight: factor on the result; knots change it over the training.

    Raises:
        ConfigError: crops that are smaller than a window.
        ValueError: ``gamma`` outside (0, 1], another ``residual`` or ``occlusion``, ``occlusion_from`` below 0, or
            outputs that lack the way back.
    """

    def __init__(self,
                 residual: str = 'census',
                 occlusion: Optional[str] = 'range_map',
                 occlusion_from: int = 0,
                 unlabelled: bool = False,
                 gamma: float = 0.8,
                 loss_weight: Course = 1.) -> None:
        super().__init__(gamma, loss_weight)
        if residual not in RESIDUALS:
            raise ValueError(f"residual must be 'census', 'color' or 'ssim', got {residual!r}")
        self.residual = residual
        self.occlusion = Occlusion(occlusion, occlusion_from)
        self.unlabelled = unlabelled

    @property
    def needs(self) -> FrozenSet[str]:
        """The way back, where it tells what is occluded."""
        return self.occlusion.needs

    def errors(self, way: Way) -> Iterator[Tensor]:
        """The mean residual of each iterate; 0 with zero gradient where no pixel counts."""
        reach, prepare, compare = RESIDUALS[self.residual]
        height, width = way.frames.shape[-2:]
        if min(height, width) <= 2 * reach:
            raise ConfigError(f'PhotometricLoss: residual={self.residual!r} compares windows of {2 * reach + 1} px, '
                              f'got crops of {height}x{width} px (height x width); take a larger crop_size')
        wanted = prepare(way.frames)
        inner = (..., slice(reach, height - reach), slice(reach, width - reach))
        left = 1 - way.labelled if self.unlabelled and way.labelled is not None else None
        for flow, back in way.iterates():
            seen = self.occlusion(flow, back) * way.whole.lands_inside(flow)
            counts = (seen if left is None else seen * left)[inner]

            def error(flow: Tensor, counts: Tensor = counts) -> Tensor:
                return mean_where(compare(wanted, way.whole.warped(flow)), counts)

            yield with_gradient_now(error, flow)
