"""A stock flow network that is asked for the motion between frames of any size."""
from __future__ import annotations

import contextlib
from typing import Any, Iterator, List, Mapping, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmrefine.errors import ConfigError
from mmrefine.geometry import FramePad
from mmrefine.models.raft_fast.frame_memory import FrameMemory
from mmrefine.models.raft_fast.training_pass import training_flows
from mmrefine.models.raft_fast.two_way import TwoWaySettings, both_flows, is_known, one_way_flow, runs_two_way
from mmrefine.models.refiners.estimators import FrameNormalizer, build_estimator
from mmrefine.models.refiners.readout import readout_for, takes_flow_init
from mmrefine.structures.pairs import Names


class PairEstimator(BaseModel):
    """Any flow estimator of mmflow behind one face. Implements ``FlowEstimator``.

    Frames of any size are padded by repeating their border (to multiples of 8 for RAFT, GMA and CRAFT, of 64 for the
    pyramids), flows are cropped back. Arguments: see :class:`~mmrefine.models.FlowRefiner`.
    """

    def __init__(self,
                 estimator: Union[Mapping[str, Any], nn.Module],
                 test_iters: Optional[int],
                 max_corr_bytes: int,
                 exit_below: Optional[float],
                 data_preprocessor: Optional[dict],
                 init_cfg: Optional[dict]) -> None:
        if data_preprocessor is None:
            data_preprocessor = dict(type='mmrefine.FramePreprocessor')
        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.estimator = build_estimator(estimator)
        self.normalize = FrameNormalizer(getattr(self.estimator, 'data_preprocessor', None))
        self.readout = readout_for(self.estimator)
        self.accepts_flow_init = takes_flow_init(self.estimator)
        self.test_iters = self._checked_iters('model.test_iters', test_iters)
        if self.test_iters is None:
            self.test_iters = (getattr(self.estimator, 'test_cfg', None) or {}).get('iters')
        self.max_corr_bytes, self.exit_below = max_corr_bytes, exit_below
        self.max_train_bytes: Optional[int] = None
        self._check_shortcuts()

    def estimate(self,
                 frames1: Tensor,
                 frames2: Tensor,
                 flow_init: Optional[Tensor] = None,
                 iters: Optional[int] = None) -> List[Tensor]:
        """The flow from ``frames1`` to ``frames2``, coarse to fine.

        Where no gradient is wanted RAFT, GMA and CRAFT give their last flow alone, in less time than
        :meth:`plain_flows` takes.

        Args:
            frames1: ``(B, 3, H, W)`` RGB in [0, 1], any H and W.
            frames2: the same shape.
            flow_init: ``(B, 2, H, W)`` px to start from; only where ``accepts_flow_init``.
            iters: iterations; only for a network that iterates. Default: ``test_iters``.

        Returns:
            flows ``(B, 2, H, W)`` px, full size; the last one is the answer.

        Raises:
            ValueError: frames of different shapes, or ``flow_init`` for a network that cannot use it.
            ConfigError: ``iters`` below 1, or for a network that does not iterate.
        """
        iters = self._test_iters(iters)
        if torch.is_grad_enabled() or not runs_two_way(self.estimator):
            return self._flows(frames1, frames2, flow_init, iters)
        pad, padded1, padded2 = self._padded(frames1, frames2)
        start = self._start(flow_init, pad)
        return [pad.crop(one_way_flow(self.estimator, padded1, padded2, start, self._settings(iters)).float())]

    def plain_flows(self,
                    frames1: Tensor,
                    frames2: Tensor,
                    flow_init: Optional[Tensor] = None,
                    iters: Optional[int] = None) -> List[Tensor]:
        """What the stock network gives in its own way, all iterates of RAFT, GMA and CRAFT: for export, and to compare
        ours with. Arguments, values and errors are those of :meth:`estimate`.
        """
        return self._plainly(*self._padded(frames1, frames2), flow_init, self._test_iters(iters))

    @torch.no_grad()
    def estimate_both(self,
                      frames1: Tensor,
                      frames2: Tensor,
                      flow_init_fw: Optional[Tensor] = None,
                      flow_init_bw: Optional[Tensor] = None,
                      names: Optional[Names] = None,
                      memory: Optional[FrameMemory] = None,
                      iters: Optional[int] = None) -> Tuple[Tensor, Tensor]:
        """The last flows of :meth:`estimate` in both directions; RAFT, GMA and CRAFT encode each frame once for it.

        Args:
            frames1: ``(B, 3, H, W)`` RGB in [0, 1], any H and W.
            frames2: the same shape.
            flow_init_fw: ``(B, 2, H, W)`` px to start from, from ``frames1`` to ``frames2``; only where
                ``accepts_flow_init``.
            flow_init_bw: the same the other way. One without the other: the other starts from rest.
            names: for each frame of ``frames1`` and of ``frames2`` what names its picture, hashable: frames of one name
                are encoded once. Default: each of the ``2 B`` frames is encoded.
            memory: where to look for named frames of earlier calls (with the same weights), and to keep them.
            iters: as for :meth:`estimate`.

        Returns:
            forward and backward flow, each ``(B, 2, H, W)`` px.

        Raises:
            ValueError: frames of different shapes, ``flow_init_*`` for a network that cannot use it, or names that do
                not fit.
            ConfigError: as for :meth:`estimate`.
        """
        rest = frames1.new_zeros(len(frames1), 2, *frames1.shape[-2:])
        start: Optional[Tensor] = None
        if flow_init_fw is not None or flow_init_bw is not None:
            start = torch.cat([rest if flow is None else flow for flow in (flow_init_fw, flow_init_bw)])
        if runs_two_way(self.estimator):
            pad, padded1, padded2 = self._padded(frames1, frames2)
            cells = None if start is None else self._in_cells(start, pad)
            size = (frames1.shape[-2], frames1.shape[-1])
            settings = self._settings(self._test_iters(iters))
            flow = pad.crop(both_flows(self.estimator, padded1, padded2, cells, settings, names, memory, size))
        else:
            flow = self.estimate(torch.cat([frames1, frames2]), torch.cat([frames2, frames1]), start, iters)[-1]
        forward, backward = flow.chunk(2)
        return forward, backward

    def _flows(self,
               frames1: Tensor,
               frames2: Tensor,
               flow_init: Optional[Tensor],
               iters: Optional[int]) -> List[Tensor]:
        """All flows, coarse to fine, by which losses judge."""
        pad, padded1, padded2 = self._padded(frames1, frames2)
        if not self._trains_fast(padded1):
            return self._plainly(pad, padded1, padded2, flow_init, iters)
        flows = training_flows(self.estimator, padded1, padded2, self._start(flow_init, pad),
                               self._settings(iters).iters, self.max_train_bytes)
        return [pad.crop(flow.float()) for flow in flows]

    def _trains_fast(self, padded: Tensor) -> bool:
        """Whether our own training pass takes over; on a GPU it was not measured."""
        return torch.is_grad_enabled() and padded.device.type == 'cpu' and runs_two_way(self.estimator)

    def _plainly(self, pad: FramePad, padded1: Tensor, padded2: Tensor, flow_init: Optional[Tensor],
                 iters: Optional[int]) -> List[Tensor]:
        output = self._output(torch.cat([padded1, padded2], dim=1), self._start(flow_init, pad), iters)
        return [pad.crop(flow) for flow in self.readout(output, (padded1.shape[-2], padded1.shape[-1]))]

    def _output(self, inputs: Tensor, start: Optional[Tensor], iters: Optional[int]) -> Any:
        """What the network itself returns."""
        network: Any = self.estimator
        with self._iterating(iters):
            if start is None:
                return network(inputs, mode='tensor')
            feat1, feat2, hidden, context = network.extract_feat(inputs)
            return network.decoder(feat1, feat2, flow=start, h_feat=hidden, cxt_feat=context)

    @contextlib.contextmanager
    def _iterating(self, iters: Optional[int]) -> Iterator[None]:
        """mmflow's decoder takes its number of iterations from an attribute only: set it for one call."""
        if iters is None:
            yield
            return
        decoder: Any = self.estimator.decoder
        before = decoder.iters
        decoder.iters = iters
        try:
            yield
        finally:
            decoder.iters = before

    def _settings(self, iters: Optional[int]) -> TwoWaySettings:
        decoder: Any = self.estimator.decoder
        return TwoWaySettings(decoder.iters if iters is None else iters, self.max_corr_bytes, self.exit_below)

    def _padded(self, frames1: Tensor, frames2: Tensor) -> Tuple[FramePad, Tensor, Tensor]:
        """Both frames as the network wants them, and how to cut its answer."""
        if frames1.shape != frames2.shape or frames1.dim() != 4:
            raise ValueError('frames must be two equal (B, 3, H, W), '
                             f'got {tuple(frames1.shape)} and {tuple(frames2.shape)}')
        pad = FramePad(frames1.shape[-2], frames1.shape[-1], self.readout.divisor, self.readout.least)
        return pad, pad.pad(self.normalize(frames1)), pad.pad(self.normalize(frames2))

    def _start(self, flow_init: Optional[Tensor], pad: FramePad) -> Optional[Tensor]:
        """Where the iterations start, in cells; None: from rest."""
        if flow_init is not None and not self.accepts_flow_init:
            raise ValueError(f'{type(self.estimator).__name__} cannot start from a flow; '
                             'pass flow_init=None (accepts_flow_init is False)')
        return None if flow_init is None else self._in_cells(flow_init, pad)

    def _in_cells(self, flow_init: Tensor, pad: FramePad) -> Tensor:
        """A flow to start from on the feature grid, in cells (as a rule 8 px); each takes the mean of its pixels."""
        decoder: Any = self.estimator.decoder
        # the decoder scales its answer up by this many px a cell
        cell = 2**(decoder.num_levels - 1)
        return F.avg_pool2d(pad.pad(flow_init.float()), cell) / cell

    def _test_iters(self, iters: Optional[int]) -> Optional[int]:
        """Of one call; it is a view of the teacher that asks for a number of its own."""
        return self.test_iters if iters is None else self._checked_iters('labeler.view.iters', iters)

    def _checked_iters(self, key: str, iters: Optional[int]) -> Optional[int]:
        if iters is None:
            return None
        if not hasattr(getattr(self.estimator, 'decoder', None), 'iters'):
            raise ConfigError(f'{key}={iters}: {type(self.estimator).__name__} does not iterate; '
                              'leave it out (only RAFT, GMA and CRAFT take it)')
        if iters < 1:
            raise ConfigError(f'{key} must be at least 1, got {iters}')
        return int(iters)

    def _check_shortcuts(self) -> None:
        if self.max_corr_bytes < 0:
            raise ConfigError(f'model.max_corr_bytes must be 0 or more bytes, got {self.max_corr_bytes}')
        if self.exit_below is None:
            return
        if not self.exit_below > 0:
            raise ConfigError('model.exit_below must be above 0 px, or None to run all iterations, '
                              f'got {self.exit_below}')
        if not is_known(self.estimator):
            raise ConfigError(f'model.exit_below={self.exit_below}: {type(self.estimator).__name__} is not run by our '
                              'own iterations; leave it out (only RAFT, GMA and CRAFT take it)')
