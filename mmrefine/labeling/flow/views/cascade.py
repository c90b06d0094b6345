"""What the teacher sees and the student does not: the frames in several sizes, one pass after the other."""
from __future__ import annotations

from typing import Optional, Sequence

from torch import Tensor

from mmrefine.geometry import resize_flow
from mmrefine.labeling.flow.views.passes import PLAIN, Iters, ScaledView, run_pass
from mmrefine.registry import TEACHER_VIEWS
from mmrefine.structures import FlowEstimator, Look, LookRequest, PairBatch


@TEACHER_VIEWS.register_module()
class CascadeView(ScaledView):
    """The teacher is shown the frames in several sizes, each pass starting from the last. Implements ``View``.

    ``f_k = teacher(R_k I1, R_k I2, start = S_k f_(k-1))`` and the answer is the last ``f_K`` in pixels of the frames,
    with ``R_k`` a resize to ``(round(s_k H), round(s_k W))`` and ``S_k`` the same resize of a flow, vectors included.
    ``scales=(1.,)`` is the teacher of Refine (Sun et al. 2024), bit for bit; ``(1., 2.)`` shows it small motion and
    thin parts twice as large, while the first pass keeps large motion within the reach of its search.

    The plain pass that a :class:`~mmrefine.structures.Look` tells of is the one at the frames' own size with the
    iterations of the student. Where the pass at that size has iterations of its own, a plain one is made beside it if
    it is asked for.

    Args:
        scales: sizes of the frames as factors of their own, in the order of the passes.
        warm_start: start from the last pass if the teacher can (``accepts_flow_init``); otherwise each pass starts from
            rest and only the last one matters.
        iters: iterations of each pass, of a teacher that iterates (RAFT, GMA, CRAFT): one number, or one for each of
            ``scales``, in which None leaves it to the network. Default: the network's own (``test_iters``).

    Raises:
        ConfigError: no scales, one that is not above 0, or iterations below 1 or for another number of scales.
    """

    def __init__(self, scales: Sequence[float] = (1., 2.), warm_start: bool = True, iters: Iters = None) -> None:
        super().__init__(scales, iters)
        self.warm_start = warm_start

    def look(self, teacher: FlowEstimator, batch: PairBatch, request: LookRequest = LookRequest()) -> Look:
        """What the last pass sees; see :class:`~mmrefine.structures.View`."""
        # without a start the earlier passes would be paid for and thrown away
        passes = self.passes if self.warm_start and teacher.accepts_flow_init else self.passes[-1:]
        plain = self.further_plain_pass(teacher, batch, passes, request.backward) if request.plain else None
        flow: Optional[Tensor] = None
        for one in passes:
            flow = run_pass(teacher, batch, one, flow, request.backward)
            if one == PLAIN and len(passes) > 1:
                plain = flow
        assert flow is not None  # scales is never empty
        return Look.of(len(batch), resize_flow(flow, batch.size), plain)
