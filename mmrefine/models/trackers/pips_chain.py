"""PIPs along a video of any length: windows, each of which goes on where the last was sure to see the point."""
from __future__ import annotations

from typing import Callable, Dict, Tuple

import torch
from torch import Tensor

from mmrefine.errors import TeacherError
from mmrefine.models.networks.pips import PIPs
from mmrefine.structures.tracks import Tracks, check_queries
from mmrefine.values import as_count

# The authors' rule: the last frame of the window whose visibility is above 0.9, else above 0.88, ..., but not the
# first two frames.
SURE, LESS_SURE, EARLIEST = 0.9, 0.02, 2


class PIPsChain:
    """Follows points from the frames of their queries to the end of a video (as the authors'
    ``chain_demo.py`` does).

    Where the first window of a point reaches the end of the video, it is the only one, as where Refine makes labels.
    Else each point has windows of its own, and keeps the feature of its query throughout. Points whose windows begin at
    the same frame share a pass; each frame is encoded once, and no more frames are kept than a window has, so memory
    does not grow with the video. Beyond the end of the video the last frame is repeated.

    Args:
        network: in evaluation mode.
        iters: iterations of each window.
        chunk: points that share a pass at most; results do not depend on it but for rounding.

    Raises:
        ConfigError: a number below 1.
    """

    def __init__(self, network: PIPs, iters: int = 6, chunk: int = 512) -> None:
        self.network = network
        self.iters, self.chunk = as_count('PIPsChain.iters', iters), as_count('PIPsChain.chunk', chunk)

    @torch.no_grad()
    def track(self, frame: Callable[[int], Tensor], count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
        """:meth:`follow` points through frames ``(3, H, W)`` RGB in [0, 1], which are encoded one at a time."""
        return self.follow(lambda t: self.network.encode(frame(t)), count, size, queries)

    @torch.no_grad()
    def follow(self, features: Callable[[int], Tensor], count: int, size: Tuple[int, int], queries: Tensor) -> Tracks:
        """Follow points.

        Args:
            features: gives the features ``(C, h, w)`` of frame t, on the network's device; asked in rising order, once
                each.
            count: frames of the video.
            size: (height, width) of the frames, px.
            queries: ``(N, 3)``: frame, y, x.

        Raises:
            InputError: a query that is not in the video.
            TeacherError: points or visibilities that are not finite.
        """
        queries = check_queries(queries.cpu(), count, size)  # where points are noted
        device = next(self.network.parameters()).device
        at, every = queries[:, 0].long(), torch.arange(len(queries))
        points = torch.full((len(queries), count, 2), float('nan'))
        visible = torch.zeros(len(queries), count)
        points[every, at], visible[every, at] = queries[:, [2, 1]], 1.
        looks = torch.zeros(len(queries), self.network.feat_channels, device=device)  # the feature of each query
        known: Dict[int, Tensor] = {}  # frame -> its features
        for first in range(count - 1):
            here = at == first
            if not bool(here.any()):
                continue
            numbers = [min(first + k, count - 1) for k in range(self.network.window)]
            known = {t: known[t] for t in numbers if t in known}  # the others are let go before more come
            for t in numbers:
                known[t] = known[t] if t in known else features(t)
            window, end = torch.stack([known[t] for t in numbers])[None], min(first + self.network.window, count)
            begins = queries[:, 0] == first
            for some in (*every[here & begins].split(self.chunk), *every[here & ~begins].split(self.chunk)):
                if not len(some):
                    continue
                # windows that go on are of ever other numbers of points; the same few numbers again and again do not
                # fill the memory with what the CPU's kernels keep for each
                asked = some if bool(begins[some[0]]) else _rounded_up(some)
                own = None if bool(begins[some[0]]) else looks[asked][None]
                out = self.network(window, points[asked, first][None].to(device), self.iters, own)
                track = out.points[-1][0].transpose(0, 1)[:len(some)].float().cpu()
                sure = out.visibility[0].t()[:len(some)].float().sigmoid().cpu()
                # nan is above no bar, so without this next_start would look for one for ever
                for what, values in (('points', track), ('visibilities', sure)):
                    if not bool(values.isfinite().all()):
                        raise TeacherError(f'the tracker gives {what} that are not finite in the frames {first} to '
                                           f'{end - 1}; check that the checkpoint belongs to the network')
                looks[some] = out.query_feature[0][:len(some)].float()
                points[some, first:end], visible[some, first:end] = track[:, :end - first], sure[:, :end - first]
                at[some] = count if own is None and first + self.network.window >= count else first + next_start(sure)
        return Tracks(points, visible, queries, size)


def _rounded_up(some: Tensor) -> Tensor:
    """Numbers of points, with the last one again and again until they are one of four counts between powers of two."""
    step = 1 << max(len(some).bit_length() - 3, 0)
    return torch.cat([some, some[-1:].expand(-len(some) % step)])


def next_start(sure: Tensor) -> Tensor:
    """In which frame of its window each track goes on: the last one with a visibility above 0.9; where there is none,
    above 0.88, and so on.

    Args:
        sure: ``(N, S)``, in [0, 1], finite.

    Returns:
        ``(N,)``, from 2 to S - 1.
    """
    numbers, found, bar = torch.arange(sure.shape[1]), torch.zeros(len(sure), dtype=torch.long), SURE
    while bool((found == 0).any()):
        last = torch.where((sure > bar) & (numbers >= EARLIEST), numbers, torch.zeros_like(numbers)).amax(dim=1)
        found = torch.where(found == 0, last, found)
        bar -= LESS_SURE
    return found
