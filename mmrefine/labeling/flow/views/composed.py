"""Long steps composed from short ones: what the frames between the two of a pair tell of its motion."""
from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import replace
from typing import Any, Hashable, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import chain_error, compose_all, lengths, resize_flow
from mmrefine.labeling.flow.filters.pair_guards import all_pass
from mmrefine.labeling.flow.views.arbitrated import ArbitratedView
from mmrefine.labeling.flow.views.passes import Iters, run_pass
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, Guard, Look, LookRequest, NamedFrame, PairBatch, PairContext, members_of
from mmrefine.values import as_number


@TEACHER_VIEWS.register_module()
class ComposedView(ArbitratedView):
    """The teacher also looks at the short steps from frame to frame, and their chain is weighed against the direct
    motion.

    For a pair (i, i + n) with frames in between, :class:`ArbitratedView` looks at the pair and at each step (k, k + 1)
    by itself. The steps are chained, ``c_1 = f_1`` and ``c_k(p) = c_(k-1)(p) + f_k(p + c_(k-1)(p))``
    (:func:`~mmrefine.geometry.compose_all`), forward and backward: small motion that the teacher sees well makes a
    large one that it would miss. With ``refine`` one more pass over the pair, at the last of ``scales``, starts where
    the chain ends: errors do not add up then. :class:`~mmrefine.labeling.Arbiter` brings together the direct motion,
    the chain and the pass that starts from it; the latter two believed at each pixel by::

        exp(-(e / t)^2),    t = alpha |c| + beta

    with ``e`` the longest round trip of any step on the way (:func:`~mmrefine.geometry.chain_error`), so that what is
    hidden in a frame in between, where the direct motion fares better, is left to it. Where the chain leaves a frame on
    its way, at either end too, the motion is the direct one, bit for bit, and so it is of pairs without a frame in
    between, or with a step that a guard of the request refuses: across a cut, or a jump of the light. Ours, not the
    paper's.

    The share of the chain is ``from_composed``, that of the pass after it ``from_composed_2x`` for ``scales`` that end
    with 2; 0 for pairs without frames in between. Along a video whose frames have names the last steps are remembered:
    a pair costs one step more than a direct one, whatever n.

    Args:
        scales: see :class:`ArbitratedView`, for the pair and for the steps.
        flip: see there.
        warm_start: see there.
        trust: see there.
        picture: see there.
        radius: see there.
        refine: one more pass that starts from the chain, if the teacher can (``accepts_flow_init``).
        alpha: tolerance of a round trip that grows with the chain, no unit.
        beta: tolerance at rest, px, above 0.
        iters: see there; the pass from the chain has those of the last scale.

    Raises:
        ConfigError: no scales, one twice or not above 0, or a setting out of range.
    """
    uses_middles = True

    def __init__(self,
                 scales: Sequence[float] = (1., 1.5, 2.),
                 flip: bool = True,
                 warm_start: bool = True,
                 trust: float = 3.,
                 picture: float = 30.,
                 radius: int = 16,
                 refine: bool = True,
                 alpha: float = 0.2,
                 beta: float = 1.,
                 iters: Iters = None) -> None:
        super().__init__(scales, flip, warm_start, trust, picture, radius, iters)
        self.refine, self.alpha = refine, as_number('ComposedView.alpha', alpha)
        self.beta = as_number('ComposedView.beta', beta, '(0, inf)',
                              ' px: where nothing moves, no round trip could be weighed')
        self.steps = _Steps(ArbitratedView(scales, flip, warm_start, trust, picture, radius, iters))

    def look(self, teacher: FlowEstimator, batch: PairBatch, request: LookRequest = LookRequest()) -> Look:
        """What the passes over the pairs and the chains come to; see :class:`~mmrefine.structures.View`.

        Raises:
            ConfigError: several teachers.
        """
        if len(members_of(teacher)) > 1:
            raise ConfigError('labeler.view is ComposedView, which goes on from what one teacher saw, and '
                              f'{len(members_of(teacher))} teach; take ArbitratedView, or one teacher')
        long = [i for i, between in enumerate(batch.middles or ()) if len(between)]
        request = replace(request, backward=request.backward or bool(long))
        direct, plain, shares = self.arbitrated(teacher, batch, request)[:3]
        found = {i: self._chain(teacher, batch.path(i), request.guards) for i in long}
        chains = {i: chain for i, chain in found.items() if chain is not None}
        last = self.passes[-1]
        names = ['from_composed']
        if self.refine and teacher.accepts_flow_init:
            names.append(f'from_composed_{last.scale:g}x')
        shares.update((name, torch.zeros_like(direct[:, :1])) for name in names)
        if not chains:
            return Look.of(len(batch), direct, plain, shares)
        some = batch.select(list(chains))
        # an index for both directions of the pairs that have frames in between
        at = torch.tensor([*chains, *(i + len(batch) for i in chains)], device=direct.device)
        chained, inside, error = (torch.cat([part[way:way + 1] for way in (0, 1) for part in parts])
                                  for parts in zip(*chains.values()))
        motions = [direct[at], chained.masked_fill(~inside, float('nan'))]
        if len(names) > 1:
            start = torch.where(inside, chained, direct[at])
            motions.append(resize_flow(run_pass(teacher, some, last, start), batch.size))
        tolerance = self.alpha * lengths(chained) + self.beta
        belief = torch.exp(-(error / tolerance)**2).nan_to_num(nan=0.)
        beliefs = torch.stack([torch.ones_like(belief), *[belief] * len(names)])
        motion, parts = self.arbiter.settle(*some.both_ways(), torch.stack(motions), beliefs)
        # a part of nan is no part at all
        only_direct = torch.tensor([1.] + [0.] * len(names), device=at.device).view(-1, 1, 1, 1, 1)
        parts = torch.where(inside, parts, only_direct)
        flow = direct.clone()
        flow[at] = torch.where(inside, motion, direct[at])
        for share in shares.values():
            share[at] = share[at] * parts[0]
        for name, part in zip(names, parts[1:]):
            shares[name][at] = part
        return Look.of(len(batch), flow, plain, shares)

    def _chain(self, teacher: FlowEstimator, frames: Sequence[NamedFrame],
               guards: Sequence[Guard]) -> Optional[Tuple[Tensor, Tensor, Tensor]]:
        """The chain over frames, where it is in them, and the longest round trip on it: there and back, a batch of two.

        None where a guard refuses a step.
        """
        steps = [self.steps(teacher, first, second) for first, second in zip(frames, frames[1:])]
        self.steps.keep(2 * len(steps))
        for first, second, step in zip(frames, frames[1:], steps):
            one, two = PairBatch(first.frame[None], second.frame[None]).both_ways()
            if not bool(all_pass(guards, PairContext(one, two, step, step.flip(0))).all()):
                return None
        there, back = [step[:1] for step in steps], [step[1:] for step in reversed(steps)]
        motions, inside = zip(compose_all(there), compose_all(back))
        errors = [chain_error(there, back[::-1]), chain_error(back, there[::-1])]
        return torch.cat(motions), torch.cat(inside), torch.cat(errors)


class _Steps:
    """The motion of single steps, both ways; those between frames that have names are remembered.

    Each is asked by itself: what comes out does not depend on what is remembered, to the bit. As in
    :class:`~mmrefine.models.FrameMemory` a name that was given to two pictures is an error and never a wrong answer.
    Only a teacher that remembers frames itself (``memory``) is known not to change between two questions.
    """

    def __init__(self, view: ArbitratedView) -> None:
        self.view = view
        self._teacher: Any = lambda: None
        self._known: OrderedDict[Tuple[Hashable, Hashable, torch.Size], Tuple[Tensor, Tensor, Tensor]] = OrderedDict()

    def __call__(self, teacher: FlowEstimator, first: NamedFrame, second: NamedFrame) -> Tensor:
        """``(2, 2, H, W)`` px, from the first frame to the second and back.

        Raises:
            ValueError: a name that was given to another picture before.
        """
        one, two = first.frame[None], second.frame[None]
        if first.name is None or second.name is None or getattr(teacher, 'memory', None) is None:
            return self.view.look(teacher, PairBatch(one, two)).both_ways()
        if self._teacher() is not teacher:
            self._known.clear()
            self._teacher = weakref.ref(teacher)
        key = (first.name, second.name, first.frame.shape)
        if key not in self._known:
            flow = self.view.look(teacher, PairBatch(one, two, names=([first.name], [second.name]))).both_ways()
            self._known[key] = (one.clone(), two.clone(), flow)
        known1, known2, flow = self._known[key]
        if not (torch.equal(known1, one) and torch.equal(known2, two)):
            raise ValueError(f'the frame name {first.name!r} or {second.name!r} was given to two different pictures; '
                             'name each picture differently, or leave names out')
        self._known.move_to_end(key)
        return flow

    def keep(self, count: int) -> None:
        """Forget all but the last ``count`` steps."""
        while len(self._known) > count:
            self._known.popitem(last=False)
