"""Networks by short name: their configs and weights."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from mmengine.config import Config

from mmrefine.apis.inference import init_model, is_correspondence, is_tracker, usable_device
from mmrefine.apis.published_weights import fetch_weights, is_address, published_address, weights_folder
from mmrefine.apis.verifiers import VERIFIER, checked_max_error
from mmrefine.compat.config_names import carried_file, own_config_root
from mmrefine.compat.model_names import NAMED_MODELS, find_config
from mmrefine.compat.published_weights import whose_weights
from mmrefine.config.load import load_config, name_of
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.models import ChainedFlow, CorrespondenceLearner, FlowRefiner, TrackRefiner
from mmrefine.models.trackers.steps import ChainSteps
from mmrefine.values import as_choice

JUDGES = ('round-trip', 'verifier')  # of steps
VERIFIED: Dict[str, Any] = dict(type='ArbitratedView', verifier=VERIFIER)


def load_named(model: Union[str, Path, Config], overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """:func:`~mmrefine.config.load.load_config` for all that :func:`find_config` accepts."""
    return model if isinstance(model, Config) else load_config(find_config(model), overrides)


def find_weights(cfg: Config, checkpoint: Optional[Union[str, Path]] = None,
                 log: Callable[[str], None] = print) -> Path:
    """The checkpoint to start from: the one that is named, else ``load_from`` of the config, else published weights.

    A ``load_from`` below ``configs/`` comes with the configs and is found from any folder. An address is downloaded,
    see :func:`~mmrefine.apis.published_weights.fetch_weights`.

    Args:
        cfg: of the network.
        checkpoint: a file or an address.
        log: called with a line where weights are downloaded, or are of another training than the name may suggest.

    Raises:
        CheckpointError: the config names none, or one that is missing or cannot be downloaded; says where to get it.
    """
    stock = published_address(name_of(cfg))
    # load_from of a stock config is what its own training began with
    wanted = checkpoint if checkpoint is not None else stock or cfg.get('load_from')
    if wanted and is_address(wanted):
        return fetch_weights(str(wanted), log)
    if checkpoint is not None:
        return Path(checkpoint)
    path = carried_file(wanted) if wanted else None
    if path is not None and path.is_file():
        return path
    config = Path(name_of(cfg)).resolve()
    known = next((named for named in NAMED_MODELS.values() if config == own_config_root() / named.config), None)
    if known is not None and known.source:
        demo = 'pips_demo' if is_tracker(cfg) else 'demo'
        raise CheckpointError(f'{path}: the weights to start from are not there; they are {known.source}; name that '
                              'file with --checkpoint' + ('' if is_correspondence(cfg) else
                                                          f', or try things out with --model {demo}'))
    if known is not None and known.address:
        log(f'weights: {whose_weights(known.address)} ({known.address})')
        return fetch_weights(known.address, log)
    if path is None:
        raise CheckpointError(f'{name_of(cfg)}: has no load_from, so there are no weights to start from; name a file '
                              'with --checkpoint')
    raise CheckpointError(f'{path}: the weights to start from are not there; put it there, or name another with '
                          '--checkpoint; or try things out with --model demo')


def official_kind(cfg: Config) -> Optional[str]:
    """``'Basic'`` or ``'Small'`` if the network of a config takes weights of one of the two official RAFTs, else None
    (F13)."""
    estimator = (cfg.get('model') or {}).get('estimator') or {}
    encoder = estimator.get('encoder') or {}
    ours = not is_craft(cfg) and str(encoder.get('type', '')).rpartition('.')[2] == 'OfficialRAFTEncoder'
    return str(encoder.get('net_type')) if ours else None


def learns_upsampling(cfg: Config) -> bool:
    """Whether the network of a config is a RAFT-small that learns to enlarge its flow."""
    decoder = ((cfg.get('model') or {}).get('estimator') or {}).get('decoder') or {}
    return str(decoder.get('type', '')).rpartition('.')[2] == 'ConvexUpsamplingDecoder'


def is_craft(cfg: Config) -> bool:
    """Whether the network of a config is a CRAFT, of any size."""
    estimator = (cfg.get('model') or {}).get('estimator') or {}
    return str(estimator.get('type', '')).rpartition('.')[2] == 'CRAFT'


def is_corrflow(cfg: Config) -> bool:
    """Whether the network of a config is the encoder of CorrFlow, within a model that learns or alone."""
    model = cfg.get('model') or {}
    return str(model.get('estimator', model).get('type', '')).rpartition('.')[2] == 'CorrFlowEncoder'


def open_model(model: Union[str, Path, Config] = 'raft_small',
               checkpoint: Optional[Union[str, Path]] = None,
               device: Optional[str] = None) -> FlowRefiner:
    """A network that is ready to predict, by short name, with the weights of its config or of a file.

    Args:
        model: one of :data:`~mmrefine.compat.model_names.NAMED_MODELS`, a config, its file, or ``mmflow::<stock
            config>``.
        checkpoint: a stock mmflow checkpoint, a ``refined.pth``, a training checkpoint, or an official RAFT or CRAFT
            file, or an address of one; default: ``load_from`` of the config, or published weights.
        device: ``'cpu'``, ``'cuda'``, …; default: the GPU where there is one.

    Raises:
        ConfigError: no such model, or a device that cannot be used.
        CheckpointError: weights that are missing, broken, or of another network.
    """
    device = usable_device(device)  # before anything is read
    cfg = load_named(model)
    if is_tracker(cfg) or is_correspondence(cfg):
        raise ConfigError(f'{name_of(cfg)}: follows points, and a network that estimates flow is wanted here; take '
                          'mmrefine track, or open_tracker() of mmrefine.apis')
    return init_model(cfg, find_weights(cfg, checkpoint), device)


def open_tracker(model: Union[str, Path, Config] = 'pips',
                 checkpoint: Optional[Union[str, Path]] = None,
                 device: Optional[str] = None,
                 steps: Optional[Sequence[Union[int, str]]] = None,
                 judge: Optional[str] = None,
                 max_error: Optional[float] = None) -> Union[TrackRefiner, CorrespondenceLearner, ChainedFlow]:
    """A network that is ready to follow points, by short name, with the weights of its config or of a file.

    Args:
        model: as of :func:`open_model`; a network that estimates flow follows points from frame to frame
            (:class:`~mmrefine.models.ChainedFlow`), one of correspondences by its features.
        checkpoint: as of :func:`open_model`, or a PIPs file of its authors.
        device: ``'cpu'``, ``'cuda'``, …; default: the GPU where there is one.
        steps: of chained flow, such as ``(1, 2, 4, 8, 'first')``
            (:class:`~mmrefine.models.trackers.steps.ChainSteps`). Default: from each frame to the next.
        judge: which error is to be expected of a step: by ``'round-trip'`` and picture, the default, or by
            ``'verifier'``, the network that weighs several passes, for about ten times the time.
        max_error: px, that will be asked of the points (:func:`~mmrefine.apis.track_video`); a judge then has single
            steps to judge, too.

    Raises:
        ConfigError: no such model, a device that cannot be used, no such steps or judge, either of them for a network
            that is not chained, or a ``max_error`` that is not above 0.
        CheckpointError: weights that are missing, broken, or of another network.
    """
    device = usable_device(device)  # before anything is read
    chain = chain_settings(steps, judge, checked_max_error(max_error) is not None)
    cfg = load_named(model)
    network: Any = init_model(cfg, find_weights(cfg, checkpoint), device)
    if chain is not None and not isinstance(network, FlowRefiner):
        raise ConfigError(f'{name_of(cfg)}: steps and judge are of flow that is chained, and this network follows '
                          'points by itself; leave them out, or name a network that estimates flow, such as raft_small')
    if isinstance(network, (TrackRefiner, CorrespondenceLearner)) or isinstance(network, ChainedFlow) and chain is None:
        return network
    chained = ChainedFlow(network.estimator, test_iters=network.test_iters, max_corr_bytes=network.max_corr_bytes,
                          exit_below=network.exit_below, chain=chain)
    return chained.to(device).eval()


def chain_settings(steps: Optional[Sequence[Union[int, str]]], judge: Optional[str],
                   with_errors: bool = False) -> Optional[Dict[str, Any]]:
    """The settings of :class:`~mmrefine.models.trackers.steps.ChainSteps`; None where neither is given.

    Args:
        steps, judge: see :func:`open_tracker`.
        with_errors: whether errors are asked for, so that a judge has something to say of single steps, too.

    Raises:
        ConfigError: no such steps, a judge without several steps to judge, or that there is not.
    """
    if judge is not None:
        as_choice('judge', judge, JUDGES)
        if not with_errors and (steps is None or len(set(steps)) < 2):
            raise ConfigError('judge decides among several steps; name them, such as --steps 1 2 4 8 first')
        steps = (1, ) if steps is None else steps
    if steps is None:
        return None
    ChainSteps(steps)  # refuses those that cannot be taken, before any weights are read
    return dict(steps=tuple(steps), view=VERIFIED if judge == 'verifier' else None)


def model_lines() -> List[str]:
    """The folder of the configs, and a line for each named model: what it is, and where its weights are."""
    lines = [f'configs: {own_config_root()}']
    for name, named in NAMED_MODELS.items():
        path = carried_file(load_named(name).load_from)
        kept = weights_folder() / named.address.rpartition('/')[2]
        there = path if path.is_file() else kept if named.address and kept.is_file() else None
        later = (f'none yet; {named.address} is downloaded to {kept} when it is used' if named.address else
                 f'none; they are {named.source}' if named.source else f'none; {path} is missing')
        lines.append(f'--model {name}: {named.about}; weights: {there or later}')
    return lines
