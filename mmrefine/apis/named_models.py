"""Networks by short name: their config, and their weights in whatever layout they come."""
from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple, Union

from mmengine.config import Config

import mmrefine
from mmrefine.apis.inference import init_model, usable_device
from mmrefine.apis.model_names import NAMED_MODELS
from mmrefine.compat.checkpoints import load_checkpoint_file, state_dict_of
from mmrefine.compat.official_checkpoints import Layout, convert_raft_checkpoint, detect_raft
from mmrefine.config.load import load_config
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.models import FlowRefiner, estimator_state

__all__ = ['config_root', 'find_config', 'find_weights', 'load_named', 'model_lines', 'official_kind', 'open_model', 'readable_weights']


def config_root() -> Path:
    """The folder of the configs that come with mmrefine, which an installation has in the manner of MMLab's packages.

    Raises:
        ConfigError: an installation without configs.
    """
    package = Path(mmrefine.__file__).resolve().parent
    # the second one: a checkout on a system without symbolic links
    for root in (package / '.mim' / 'configs', package.parent / 'configs'):
        if root.is_dir():
            return root.resolve()
    raise ConfigError(f'{package / ".mim" / "configs"}: not there, so this mmrefine carries no configs; install it again')


def find_config(model: Union[str, Path]) -> Path:
    """The config file that a short name, a path, or a path below the folder of the configs stands for.

    Raises:
        ConfigError: it stands for nothing.
    """
    text = str(model)
    if text in NAMED_MODELS:
        return config_root() / NAMED_MODELS[text].config
    below = text.partition('configs/')[2] or text
    if text.startswith('mmflow::') or Path(model).is_file():
        return Path(model)
    if (config_root() / below).is_file():
        return config_root() / below
    near = difflib.get_close_matches(text, NAMED_MODELS, n=1)
    hint = f'did you mean {near[0]}?' if near else 'name a config file, or one of ' + ', '.join(NAMED_MODELS)
    raise ConfigError(f'{model}: there is no such model or config file; {hint}')


def load_named(model: Union[str, Path, Config], overrides: Optional[Mapping[str, Any]] = None) -> Config:
    """:func:`~mmrefine.config.load.load_config` for whatever :func:`find_config` understands; ``mmflow::…`` too."""
    if isinstance(model, Config):
        return model
    return load_config(model if str(model).startswith('mmflow::') else find_config(model), overrides)


def find_weights(cfg: Config, checkpoint: Optional[Union[str, Path]] = None) -> Path:
    """The checkpoint to start from: the one that is named, else ``load_from`` of the config.

    A ``load_from`` below ``configs/`` comes with the configs, and is found there from any folder.

    Raises:
        CheckpointError: there is none; says where it comes from.
    """
    wanted = checkpoint or cfg.get('load_from')
    config = Path(cfg.filename) if cfg.filename else None
    if not wanted:
        raise CheckpointError(f'{config or "config"}: has no load_from, so there are no weights to start from; name a file with '
                              '--checkpoint')
    path = Path(wanted)
    if path.is_file():
        return path
    if checkpoint is None and path.parts[0] == 'configs':
        carried = config_root().joinpath(*path.parts[1:])
        if carried.is_file():
            return carried
    if checkpoint is not None:
        load_checkpoint_file(path)  # has the sentence for it
    known = [named for named in NAMED_MODELS.values() if config and config.resolve() == config_root() / named.config]
    remedy = known[0].weights if known else 'put it there, or name another with --checkpoint'
    raise CheckpointError(f'{path}: the weights to start from are not there; {remedy}; or try things out with --model demo')


def readable_weights(cfg: Config, path: Path) -> Tuple[Dict[str, Any], bool]:
    """A checkpoint for the network of ``cfg``, and whether its names were changed, as those of official RAFT files are.

    Raises:
        CheckpointError: a file that cannot be read, or an official one for another network than the config's.
    """
    checkpoint = load_checkpoint_file(path)
    layout = _layout_of(checkpoint, path)
    if layout is None or layout.name == 'mmrefine':
        return checkpoint, False
    kind = official_kind(cfg)
    if kind != layout.net_type:
        fitting = 'raft_small' if layout.net_type == 'Small' else 'raft_official'
        raise CheckpointError(f'{path}: holds the official {layout.net_type} RAFT ({layout.name} names), and the network of '
                              f'{cfg.filename or "the config"} is another; add --model {fitting}')
    return convert_raft_checkpoint(checkpoint, 'mmrefine', str(path))[0], True


def official_kind(cfg: Config) -> Optional[str]:
    """``'Basic'`` or ``'Small'`` if the network of a config is one of the two official RAFTs, else None (F13)."""
    model = cfg.get('model') or {}
    encoder = (model.get('estimator') or {}).get('encoder') or {}
    ours = str(encoder.get('type', '')).rpartition('.')[2] == 'OfficialRAFTEncoder'
    return str(encoder.get('net_type')) if ours else None


def _layout_of(checkpoint: Dict[str, Any], path: Path) -> Optional[Layout]:
    names = state_dict_of(dict(checkpoint), str(path))
    prefix = 'estimator.'
    try:
        return detect_raft(name[len(prefix):] if name.startswith(prefix) else name for name in names)
    except CheckpointError:
        return None  # another family, whose loader knows what is wrong with it


def open_model(model: Union[str, Path, Config] = 'raft_small',
               checkpoint: Optional[Union[str, Path]] = None,
               device: str = 'cpu') -> FlowRefiner:
    """A network that is ready to predict, by short name, with the weights of its config or of a file of any known layout.

    Args:
        model: one of :data:`~mmrefine.apis.model_names.NAMED_MODELS`, a config, its file, or ``mmflow::<stock config>``.
        checkpoint: a stock mmflow checkpoint, a ``refined.pth``, a training checkpoint, or an official RAFT file; default: ``load_from``
            of the config.
        device: ``'cpu'``, ``'cuda'``, …

    Raises:
        ConfigError: no such model, or a device that cannot be used.
        CheckpointError: weights that are missing, broken, or of another network.
    """
    device = usable_device(device)
    cfg = load_named(model)
    path = find_weights(cfg, checkpoint)
    refiner = init_model(cfg)
    state = estimator_state(refiner, readable_weights(cfg, path)[0], source=str(path))
    refiner.get_submodule('estimator').load_state_dict(state, strict=True)
    return refiner.to(device).eval()


def model_lines() -> List[str]:
    """Where the configs are, and for each named model a line: what it is, and where its weights are or come from."""
    lines = [f'configs: {config_root()}']
    for name, named in NAMED_MODELS.items():
        try:
            lines.append(f'--model {name}: {named.about}; weights: {find_weights(load_named(name))}')
        except CheckpointError:
            lines.append(f'--model {name}: {named.about}; weights: none yet; {named.weights}')
    return lines
