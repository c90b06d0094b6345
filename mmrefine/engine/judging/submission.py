"""The flows of a test set in the files that its leaderboard takes."""
from __future__ import annotations

from typing import Any, Callable, Dict, Iterator, NamedTuple, Optional, Tuple

import torch

from mmrefine.engine.runtime.progress import Progress
from mmrefine.evaluation import check_finite
from mmrefine.fileio.flow_io import KITTI_MAX_MOTION, encode_flo, encode_kitti
from mmrefine.structures import FlowEstimator, as_frames


class Leaderboard(NamedTuple):
    """A benchmark's test set: its data set class, the settings of each part by folder, and how many flows it has."""
    dataset: str
    parts: Dict[str, Dict[str, Any]]
    flows: int


LEADERBOARDS = {
    'sintel': Leaderboard('SintelPairs', {name: dict(split='test', pass_name=name) for name in ('clean', 'final')},
                          2 * 552),
    'kitti': Leaderboard('KittiPairs', {'flow': dict(split='testing')}, 200),
}


@torch.no_grad()
def submission_files(model: FlowEstimator,
                     dataset: Any,
                     folder: str,
                     kitti: bool = False,
                     device: str = 'cpu',
                     log: Optional[Callable[[str], None]] = None) -> Iterator[Tuple[str, bytes]]:
    """The file of each pair, one at a time.

    Sintel's are ``<folder>/<scene>/frame_0001.flo``, KITTI's ``<folder>/000000_10.png``, each named after the first
    frame of the pair. KITTI's 16 bits hold no more than 511 px; faster motion is cut to that, as a pixel without flow
    would be filled from its neighbours.

    Args:
        model: the network, in evaluation mode.
        dataset: forward frame pairs without a pipeline.
        folder: the first part of the names.
        kitti: the layout.
        device: where the network lives.
        log: called with a line now and then; None: silent.

    Yields:
        name and contents.

    Raises:
        MMRefineError: a flow that is not finite; it names the pair.
    """
    progress = Progress(f'{folder}: {{}} pairs', len(dataset.pairs), log or (lambda line: None))
    for done, (pair, item) in enumerate(zip(dataset.pairs, dataset), start=1):
        frames1, frames2 = (as_frames([item[name]], device) for name in ('frame1', 'frame2'))
        flow = model.estimate(frames1, frames2)[-1][0].float().cpu()
        check_finite(flow, pair['key'])
        stem, pixels = dataset.sources[pair['scene']].name(pair['index']), flow.permute(1, 2, 0).numpy()
        if kitti:
            yield f'{folder}/{stem}.png', encode_kitti(pixels.clip(-KITTI_MAX_MOTION, KITTI_MAX_MOTION))
        else:
            yield f'{folder}/{pair["scene"]}/{stem}.flo', encode_flo(pixels)
        progress(done)
