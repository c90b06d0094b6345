"""Several passes at the same pair, and what they come to together."""
from __future__ import annotations

import math
from typing import Any, Dict, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import resize_flow
from mmrefine.labeling.flow.views.arbiter import Arbiter
from mmrefine.labeling.flow.views.passes import PLAIN, Iters, ScaledView, run_pass
from mmrefine.labeling.second_network import SecondNetwork
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, Look, LookRequest, PairBatch, PassJudge


class Arbitrated(NamedTuple):
    """What passes come to, as :meth:`~mmrefine.structures.Look.of` takes it.

    Args:
        motion: ``(2 B, 2, H, W)`` px.
        plain: what a plain pass saw, likewise, or None.
        shares: of each pass in the motion, by its name, ``(2 B, 1, H, W)``.
        error: ``(2 B, 1, H, W)`` px, that is to be expected; None without a verifier.
        sure: ``(2 B, 1, H, W)`` in [0, 1], the chance that it is below 1 px; None likewise.
    """
    motion: Tensor
    plain: Optional[Tensor]
    shares: Dict[str, Tensor]
    error: Optional[Tensor] = None
    sure: Optional[Tensor] = None


@TEACHER_VIEWS.register_module()
class ArbitratedView(ScaledView):
    """The teacher makes several passes over the frames, and the motion is what they come to together, without truth.
    Implements ``View``.

    One pass in each of ``scales``: all from rest but the last, which starts where the first ended, as in
    :class:`~mmrefine.labeling.CascadeView`, and so finds motion beyond the reach of a large pass from rest. One more at
    the last scale sees mirrored frames, from rest: its errors are others than those that the first pass hands on.
    :class:`~mmrefine.labeling.Arbiter` weighs the passes, for the pair and for each pixel, and takes their geometric
    median: a single one that goes astray changes little. With one pass it is :class:`~mmrefine.labeling.CascadeView`,
    bit for bit.

    The weights need both directions: with more than one pass the way back is looked at even if it is not asked for. A
    look holds the mean share, in [0, 1], of each pass in the motion of the pixels, such as
    ``{'from_1x': 0.2, 'from_2x': 0.8}``, and the labeler puts them into the statistics of a label.

    Args:
        scales: sizes of the frames as factors of their own, in the order of the passes.
        flip: one more pass at the last size, over mirrored frames, from rest.
        warm_start: the last of several scales starts from the first pass if the teacher can (``accepts_flow_init``),
            else from rest.
        trust: see :class:`~mmrefine.labeling.Arbiter`, power of the ratio of cycle errors.
        picture: see there, per share of the comparisons of the census.
        radius: see there, px of the frames.
        iters: see :class:`~mmrefine.labeling.CascadeView`; a mirrored pass has as many as the other one of its size.
        verifier: config of the part of ``TEACHERS`` that has a network which weighs the passes in place of the arbiter,
            and begins with what it says:
            ``dict(type='OtherNetwork', model='verifier/pass_verifier.py', checkpoint=…)``.
            A look then also tells how large the error of each pixel is expected to be, and how likely it is below 1 px.

    Raises:
        ConfigError: no scales, one twice or not above 0, a setting out of range, or a network of another kind.
        CheckpointError: a checkpoint of the verifier that is missing, broken, unsafe, or of another network.
    """
    described_by_contents = ('verifier', )

    def __init__(self,
                 scales: Sequence[float] = (1., 1.5, 2.),
                 flip: bool = True,
                 warm_start: bool = True,
                 trust: float = 3.,
                 picture: float = 30.,
                 radius: int = 16,
                 iters: Iters = None,
                 verifier: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(scales, iters)
        if len(set(self.scales)) < len(self.scales):
            raise ConfigError(f'{type(self).__name__}.scales must differ from one another, got {scales!r}')
        self.flip, self.warm_start = flip, warm_start
        self.arbiter = Arbiter(trust, picture, radius)
        self.verifier = None if verifier is None else SecondNetwork(f'{type(self).__name__}.verifier', verifier,
                                                                    PassJudge, 'VerifierLearner')

    def look(self, teacher: FlowEstimator, batch: PairBatch, request: LookRequest = LookRequest()) -> Look:
        """What the passes come to; see :class:`~mmrefine.structures.View`."""
        return Look.of(len(batch), *self.arbitrated(teacher, batch, request))

    def arbitrated(self, teacher: FlowEstimator, batch: PairBatch, request: LookRequest) -> Arbitrated:
        """What the passes over the two frames of each pair come to.

        Returns:
            the motion, what a plain pass saw or None, and by the name of each pass its share ``(2 B, 1, H, W)``; with a
            verifier also that of what was registered in the picture, the error that is to be expected, and the chance
            that it is below 1 px.
        """
        backward = request.backward or self.flip or len(self.passes) > 1 or self.verifier is not None
        plain = self.further_plain_pass(teacher, batch, self.passes, backward) if request.plain else None
        seen = self.motions(teacher, batch, backward)
        if len(seen) == 1 and self.verifier is None:
            (name, flow), = seen.items()
            return Arbitrated(flow, plain, {name: torch.ones_like(flow[:, :1])})
        plain = seen['from_1x'] if PLAIN in self.passes else plain
        frames, passes = batch.both_ways(), torch.stack(list(seen.values()))
        flow, shares = self.arbiter.settle(*frames, passes)
        if self.verifier is None:
            return Arbitrated(flow, plain, dict(zip(seen, shares)))
        judge = self.verifier.network.to(flow.device)
        verdict = judge.verify(*frames, passes.float(), self.traits.to(flow.device), flow.float(), shares.float())
        found = dict(zip(seen, verdict.shares), from_registered=verdict.shares[len(seen):].sum(dim=0))
        return Arbitrated(verdict.motion, plain, found, verdict.error, verdict.sure.sigmoid())

    def describe(self) -> Dict[str, Any]:
        """What decides over its answers beside the settings: the weights of the verifier, if there is one."""
        return {} if self.verifier is None else dict(verifier=self.verifier.describe())

    def peak_bytes(self, size: Tuple[int, int]) -> int:
        """Bytes that the verifier must hold at once for frames of ``size`` (height, width) px."""
        return 0 if self.verifier is None else self.verifier.peak_bytes(size)

    @property
    def traits(self) -> Tensor:
        """What a verifier is told of each pass, ``(P, 2)``: log2 of its scale, and 1 for mirrored frames, else 0."""
        found = [(math.log2(one.scale), 0.) for one in self.passes]
        return torch.tensor([*found, *([(found[-1][0], 1.)] if self.flip else ())])

    def motions(self, teacher: FlowEstimator, batch: PairBatch, backward: bool = True) -> Dict[str, Tensor]:
        """What is weighed: the motion that each pass sees, ``(2 B, 2, H, W)`` px of the frames, by the name of the
        pass."""
        seen: Dict[str, Tensor] = {}
        for one in self.passes:
            warm = seen and one is self.passes[-1] and self.warm_start and teacher.accepts_flow_init
            start = next(iter(seen.values())) if warm else None
            seen[f'from_{one.scale:g}x'] = resize_flow(run_pass(teacher, batch, one, start, backward), batch.size)
        if self.flip:
            one = self.passes[-1]
            flow = resize_flow(run_pass(teacher, batch.mirrored(), one, None, backward), batch.size).flip(-1)
            seen[f'from_{one.scale:g}x_flipped'] = flow * flow.new_tensor([-1., 1.]).view(1, 2, 1, 1)
        return seen
