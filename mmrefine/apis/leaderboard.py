"""The zip file that a leaderboard accepts."""
from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple, Optional, Union

from mmengine.config import Config

from mmrefine.apis.inference import init_model, usable_device
from mmrefine.config.load import complete, name_of
from mmrefine.engine.judging.submission import LEADERBOARDS, submission_files
from mmrefine.errors import ConfigError
from mmrefine.fileio.atomic import write_errors
from mmrefine.fileio.leaderboard_zip import write_submission
from mmrefine.registry import DATASETS


class Submission(NamedTuple):
    """What was written: the zip file, the number of its flows, and the number that the leaderboard expects."""
    path: Path
    flows: int
    wanted: int


def write_leaderboard(cfg: Config,
                      checkpoint: Union[str, Path],
                      benchmark: str,
                      out: Union[str, Path],
                      device: Optional[str] = None,
                      log: Optional[Callable[[str], None]] = None) -> Submission:
    """Run a network over a benchmark's test set and write ``<out>/<benchmark>.zip``, whole or not at all.

    Args:
        cfg: a config with the data set of the benchmark (``SintelPairs``, ``KittiPairs``); only its ``data_root`` is
            used.
        checkpoint: the weights.
        benchmark: 'sintel' (``clean/<scene>/frame_0001.flo``, ``final/…``) or 'kitti' (``flow/000000_10.png``).
        out: folder; made if it does not exist.
        device: ``'cpu'``, ``'cuda'``, …; default: the GPU where there is one.
        log: called with a line now and then; None: silent.

    Raises:
        ConfigError: an unknown benchmark, or a config without its data set.
        InputError: the test set is missing.
        CheckpointError: a checkpoint that is missing, broken, unsafe, or of another network.
        MMRefineError: a flow that is not finite, or a zip that cannot be written.
    """
    if benchmark not in LEADERBOARDS:
        raise ConfigError(f'there is a leaderboard of {" and ".join(LEADERBOARDS)}, got {benchmark!r}')
    board = LEADERBOARDS[benchmark]
    cfg = complete(cfg)
    root = next(_roots(cfg.to_dict(), board.dataset), None)
    if root is None:
        raise ConfigError(f'{name_of(cfg)}: has no {board.dataset}, whose data_root would be the folder of '
                          f'{benchmark}; take a config of that benchmark, or inherit from one in '
                          'configs/_base_/datasets')
    datasets = {part: DATASETS.build(dict(type=board.dataset, data_root=root, **settings)) for part,
                settings in board.parts.items()}
    device = usable_device(device)
    model = init_model(cfg, checkpoint, device)
    files = (submission_files(model, dataset, part, benchmark == 'kitti', device, log) for part,
             dataset in datasets.items())
    path = Path(out) / f'{benchmark}.zip'
    with write_errors(path):
        return Submission(path, write_submission(path, chain.from_iterable(files)), board.flows)


def _roots(node: Any, dataset: str) -> Iterator[str]:
    """The ``data_root`` of every data set of that class in a config."""
    if isinstance(node, dict):
        if node.get('type') == dataset and 'data_root' in node:
            yield node['data_root']
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from _roots(value, dataset)
