"""Several passes at the same pair, and what they come to together."""
from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import resize_flow
from mmrefine.labeling.flow.views.arbiter import Arbiter
from mmrefine.labeling.flow.views.passes import PLAIN, Iters, Pass, ScaledView, run_pass
from mmrefine.labeling.second_network import SecondNetwork
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, Look, LookRequest, PairBatch, PassJudge, members_of
from mmrefine.structures.pairs import FAR


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

    Of several teachers (:class:`~mmrefine.models.TeacherGroup`) each makes these passes, and all of them are weighed
    alike: what fails on this video has little say. Motion in files is one pass. The plain pass that a ``Look`` tells of
    is that of the student's copy, if it is among them, else that of the first network.

    The weights need both directions: with more than one pass the way back is looked at even if it is not asked for. A
    look holds the mean share, in [0, 1], of each pass in the motion of the pixels, such as
    ``{'from_1x': 0.2, 'from_2x': 0.8}``, and the labeler puts them into the statistics of a label; of several teachers
    they are ``from_1x_of_1``, ``from_1x_of_2`` and so on, in the order of the config.

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
        members, own = members_of(teacher), getattr(teacher, 'own', 0)
        several = self.flip or len(self.passes) > 1 or len(members) > 1
        backward = request.backward or several or self.verifier is not None
        plain = self.further_plain_pass(members[own], batch, self.passes, backward) if request.plain else None
        seen = self.motions(teacher, batch, backward)
        if len(seen) == 1 and self.verifier is None:
            (name, flow), = seen.items()
            return Arbitrated(flow, plain, {name: torch.ones_like(flow[:, :1])})
        plain = seen[f'from_1x{_whose(own, members)}'] if PLAIN in self.passes else plain
        frames, passes = batch.both_ways(), torch.stack(list(seen.values()))
        unknown = (passes.abs() >= FAR).any(dim=2, keepdim=True)
        passes = passes.masked_fill(unknown & ~unknown.all(dim=0), float('nan'))  # it has no say where others know
        makers = [i for i, one in enumerate(members) for _ in self._passes_of(one, len(members) == 1)]
        flow, shares = self.arbiter.settle(*frames, passes, makers=makers)
        if self.verifier is None:
            return Arbitrated(flow, plain, dict(zip(seen, shares)))
        judge = self.verifier.network.to(flow.device)
        traits = self.traits_of(teacher).to(flow.device)
        verdict = judge.verify(*frames, passes.float(), traits, flow.float(), shares.float())
        found = dict(zip(seen, verdict.shares), from_registered=verdict.shares[len(seen):].sum(dim=0))
        return Arbitrated(verdict.motion, plain, found, verdict.error, verdict.sure.sigmoid())

    def describe(self) -> Dict[str, Any]:
        """What decides over its answers beside the settings: the weights of the verifier, if there is one."""
        return {} if self.verifier is None else dict(verifier=self.verifier.describe())

    def peak_bytes(self, size: Tuple[int, int], teacher: Any = None) -> int:
        """Bytes that the verifier must hold at once for frames of ``size`` (height, width) px, and all passes of
        ``teacher``; None: of a network."""
        return 0 if self.verifier is None else int(self.verifier.network.pass_bytes(size, len(self.traits_of(teacher))))

    def traits_of(self, teacher: Any) -> Tensor:
        """What a verifier is told of each pass of a teacher, ``(P, 2)``: log2 of its scale, and 1 for mirrored frames,
        else 0."""
        members = members_of(teacher)
        passes = [one for member in members for one in self._passes_of(member, len(members) == 1)]
        return torch.tensor([(math.log2(one.scale), float(mirrored)) for one, mirrored in passes])

    def motions(self, teacher: FlowEstimator, batch: PairBatch, backward: bool = True) -> Dict[str, Tensor]:
        """What is weighed: the motion that each pass sees, ``(2 B, 2, H, W)`` px of the frames, by the name of the
        pass."""
        members = members_of(teacher)
        return {f'{name}{_whose(i, members)}': flow for i, member in enumerate(members)
                for name, flow in self._motions_of(member, batch, backward, len(members) == 1).items()}

    def _passes_of(self, member: Any, alone: bool) -> List[Tuple[Pass, bool]]:
        """Those that one teacher makes, and whether the frames are mirrored."""
        if not alone and getattr(member, 'as_they_are', False):
            return [(PLAIN, False)]
        return [*((one, False) for one in self.passes), *([(self.passes[-1], True)] if self.flip else ())]

    def _motions_of(self, member: FlowEstimator, batch: PairBatch, backward: bool,
                    alone: bool) -> Dict[str, Tensor]:
        seen: Dict[str, Tensor] = {}
        for one, mirrored in self._passes_of(member, alone):
            if mirrored:
                flow = resize_flow(run_pass(member, batch.mirrored(), one, None, backward), batch.size).flip(-1)
                seen[f'from_{one.scale:g}x_flipped'] = flow * flow.new_tensor([-1., 1.]).view(1, 2, 1, 1)
                continue
            warm = seen and one is self.passes[-1] and self.warm_start and member.accepts_flow_init
            start = next(iter(seen.values())) if warm else None
            seen[f'from_{one.scale:g}x'] = resize_flow(run_pass(member, batch, one, start, backward), batch.size)
        return seen


def _whose(number: int, members: Sequence[Any]) -> str:
    """What names the passes of one of several teachers, after how they were made."""
    return f'_of_{number + 1}' if len(members) > 1 else ''
