"""Long steps composed from short ones: what the frames between the two of a pair tell of its motion."""
from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any, Dict, Hashable, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from mmrefine.errors import ConfigError
from mmrefine.geometry import chain_error, compose_all, resize_flow
from mmrefine.labeling.flow.filters.consistency import PairContext, check_tolerances
from mmrefine.labeling.flow.filters.pair_guards import PairGuard
from mmrefine.labeling.flow.views.arbitration import reversed_ways
from mmrefine.labeling.flow.views.both_ways import Middle, Middles, MirroredTeacher, Names
from mmrefine.labeling.flow.views.cascade import ArbitratedView, Iters, _look
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator


@TEACHER_VIEWS.register_module()
class ComposedView(ArbitratedView):
    """The teacher also looks at the short steps from frame to frame, and their chain is weighed against the direct looks.

    For a pair (i, i + n) with frames in between, :class:`ArbitratedView` looks at the pair and at each step (k, k + 1) by itself. The
    steps are chained, ``c_1 = f_1`` and ``c_k(p) = c_(k-1)(p) + f_k(p + c_(k-1)(p))`` (:func:`~mmrefine.geometry.compose_all`), there and
    back: small motion that the teacher sees well makes a large one that it would miss. With ``refine`` it looks once more at the pair,
    at the last of ``scales``, and starts where the chain ends: errors do not add up then. :class:`~mmrefine.labeling.Arbiter` brings
    together the direct motion, the chain and the look that starts from it; the latter two believed at each pixel by::

        exp(-(e / t)^2),    t = alpha |c| + beta

    with ``e`` the longest round trip of any step on the way (:func:`~mmrefine.geometry.chain_error`), so that what is hidden in a frame
    in between, where the direct look fares better, is left to it. Where the chain leaves a frame on its way, at either end too, the
    motion is the direct one, bit for bit, and so it is of pairs without a frame in between, or with a step that a guard of the labeler
    refuses (``shot_guards``): across a cut, or a jump of the light. Ours, not the paper's.

    The share of the chain is ``from_composed`` in ``last_shares``, that of the look after it ``from_composed_2x`` for ``scales`` that
    end with 2; 0 for pairs without frames in between. Along a video whose frames have names the last steps are remembered:
    a pair costs one step more than a direct one, whatever n.

    Args:
        scales: see :class:`ArbitratedView`, for the pair and for the steps.
        flip: see there.
        warm_start: see there.
        trust: see there.
        picture: see there.
        radius: see there.
        refine: one more look that starts from the chain, if the teacher can (``accepts_flow_init``).
        alpha: tolerance of a round trip that grows with the chain, no unit.
        beta: tolerance at rest, px, above 0.
        iters: see there; the look from the chain has those of the last scale.

    Attributes:
        shot_guards: who must let pass each step both ways, or the chain counts for nothing; the labeler sets them.

    Raises:
        ConfigError: no scales, one twice or not above 0, or a setting out of range.
    """
    needs_middle = True

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
        check_tolerances('ComposedView', alpha=alpha, beta=beta)
        if beta == 0:
            raise ConfigError('ComposedView.beta must be above 0 px, got 0: where nothing moves, no round trip could be weighed')
        self.refine, self.alpha, self.beta = refine, alpha, beta
        self.shot_guards: Sequence[PairGuard] = ()
        self.steps = _Steps(ArbitratedView(scales, flip, warm_start, trust, picture, radius, iters))

    def both(self,
             teacher: FlowEstimator,
             frames1: Tensor,
             frames2: Tensor,
             names: Optional[Names] = None,
             middles: Optional[Middles] = None) -> Tensor:
        """The motion forward, then backward, ``(2 B, 2, H, W)`` px.

        Args:
            teacher: whom to ask.
            frames1: ``(B, 3, H, W)`` RGB in [0, 1].
            frames2: the same shape.
            names: of the frames in ``frames1`` and in ``frames2``.
            middles: for each pair the frames between its two, in the order from frame 1 to frame 2; None: no pair has any.

        Raises:
            TeacherError: the teacher gave no flow, or one of another size than it was shown.
        """
        one, two = torch.cat([frames1, frames2]), torch.cat([frames2, frames1])
        named, pairs = MirroredTeacher(teacher, names), len(frames1)
        direct, shares = self._settled(named, MirroredTeacher(teacher), one, two)
        chains: Dict[int, Tuple[Tensor, Tensor, Tensor]] = {}
        for i, between in enumerate(() if middles is None else middles):
            if len(between):
                first, last = (Middle(frames[i], None if names is None else names[k][i]) for k, frames in enumerate((frames1, frames2)))
                chain = self._chained(teacher, [first, *between, last])
                if chain is not None:
                    chains[i] = chain
        long = list(chains)
        refined = f'from_composed_{self.scales[-1]:g}x'
        warm = self.refine and teacher.accepts_flow_init
        for name in ('from_composed', *([refined] if warm else [])):
            shares[name] = torch.zeros_like(direct[:, :1])
        if not long:
            self._note_shares(shares)
            return direct
        # an index for both directions of the pairs that have frames in between
        at = torch.tensor([*long, *(i + pairs for i in long)], device=direct.device)
        chained, inside, error = _both(list(chains.values()))
        looks = [direct[at], chained.masked_fill(~inside, float('nan'))]
        if warm:
            some = None if names is None else ([names[0][i] for i in long], [names[1][i] for i in long])
            start = torch.where(inside, chained, direct[at])
            look = _look(MirroredTeacher(teacher, some), one[at], two[at], self.scales[-1], self.iters[-1], start)
            looks.append(resize_flow(look, (one.shape[-2], one.shape[-1])))
        belief = torch.exp(-(error / (self.alpha * chained.norm(dim=1, keepdim=True) + self.beta))**2).nan_to_num(nan=0.)
        beliefs = torch.stack([torch.ones_like(belief), *[belief] * (len(looks) - 1)])
        motion, parts = self.arbiter.settle(one[at], two[at], torch.stack(looks), beliefs)
        # a part of nan is no part at all
        parts = torch.where(inside, parts, torch.tensor([1.] + [0.] * (len(looks) - 1), device=at.device).view(-1, 1, 1, 1, 1))
        flow = direct.clone()
        flow[at] = torch.where(inside, motion, direct[at])
        for name in shares:
            shares[name][at] = shares[name][at] * parts[0]
        shares['from_composed'][at] = parts[1]
        if warm:
            shares[refined][at] = parts[2]
        self._note_shares(shares)
        return flow

    def _chained(self, teacher: FlowEstimator, frames: Sequence[Middle]) -> Optional[Tuple[Tensor, Tensor, Tensor]]:
        """The chain over frames, where it is in them, and the longest round trip on it: there and back, a batch of two.

        None where a guard refuses a step.
        """
        steps = [self.steps(teacher, first, second) for first, second in zip(frames, frames[1:])]
        self.steps.keep(2 * len(steps))
        for first, second, step in zip(frames, frames[1:], steps):
            one, two = torch.stack([first.frame, second.frame]), torch.stack([second.frame, first.frame])
            ctx = PairContext(one, two, step, reversed_ways(step))
            if not all(bool(guard.passes(ctx).all()) for guard in self.shot_guards):
                return None
        there, back = [step[:1] for step in steps], [step[1:] for step in reversed(steps)]
        chains = [compose_all(there), compose_all(back)]
        errors = [chain_error(there, back[::-1]), chain_error(back, there[::-1])]
        return torch.cat([motion for motion, _ in chains]), torch.cat([inside for _, inside in chains]), torch.cat(errors)


class _Steps:
    """The motion of single steps, both ways; those between frames that have names are remembered.

    Each is asked by itself: what comes out does not depend on what is remembered, to the bit. As in
    :class:`~mmrefine.models.FrameMemory` a name that was given to two pictures is an error and never a wrong answer. Only a teacher
    that remembers frames itself (``memory``) is known not to change between two questions.
    """

    def __init__(self, view: ArbitratedView) -> None:
        self.view = view
        self._teacher: Any = lambda: None
        self._known: 'OrderedDict[Tuple[Hashable, Hashable, torch.Size], Tuple[Tensor, Tensor, Tensor]]' = OrderedDict()

    def __call__(self, teacher: FlowEstimator, first: Middle, second: Middle) -> Tensor:
        """``(2, 2, H, W)`` px, from the first frame to the second and back.

        Raises:
            ValueError: a name that was given to another picture before.
        """
        if first.name is None or second.name is None or getattr(teacher, 'memory', None) is None:
            return self.view.both(teacher, first.frame[None], second.frame[None])
        if self._teacher() is not teacher:
            self._known.clear()
            self._teacher = weakref.ref(teacher)
        key = (first.name, second.name, first.frame.shape)
        if key not in self._known:
            flow = self.view.both(teacher, first.frame[None], second.frame[None], ([first.name], [second.name]))
            self._known[key] = (first.frame.clone(), second.frame.clone(), flow)
        one, two, flow = self._known[key]
        if not (torch.equal(one, first.frame) and torch.equal(two, second.frame)):
            raise ValueError(f'the frame name {first.name!r} or {second.name!r} was given to two different pictures; name each picture '
                             'differently, or leave names out')
        self._known.move_to_end(key)
        return flow

    def keep(self, count: int) -> None:
        """Forget all but the last ``count`` steps."""
        while len(self._known) > count:
            self._known.popitem(last=False)


def _both(found: List[Tuple[Tensor, ...]]) -> Tuple[Tensor, ...]:
    """Batches of two, there and back, as one: all there, then all back."""
    return tuple(torch.cat([part[way:way + 1] for way in (0, 1) for part in parts]) for parts in zip(*found))
