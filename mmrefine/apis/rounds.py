"""The option ``--rounds`` of the command."""
from __future__ import annotations

from typing import Any, Dict, Optional

from mmengine.config import Config

from mmrefine.config.load import name_of
from mmrefine.errors import ConfigError
from mmrefine.values import as_count


def round_values(rounds: Optional[int], cfg: Config) -> Dict[str, Any]:
    """The values of the config that so many rounds of labels and training stand for, by dotted key.

    Each round is labelled by the average of the student's weights over the last steps of the one before, unless the
    config names another teacher. The guard compares at the end of each, and ends the training after the first round
    that brings no better student.

    Args:
        rounds: at least 1; None: what the config says.
        cfg: the config, not filled in.

    Raises:
        ConfigError: ``rounds`` is not a whole number of at least 1, or the config labels nothing.
    """
    if rounds is None:
        return {}
    rounds = as_count('rounds', rounds)
    hooks = {hook.get('type'): i for i, hook in enumerate(cfg.get('custom_hooks') or [])}
    if 'PseudoLabelHook' not in hooks:
        raise ConfigError(f'{name_of(cfg)}: there is no PseudoLabelHook in custom_hooks, so there is nothing to label '
                          'anew in each round; leave rounds out, or take a config that labels')
    if rounds == 1:
        return {} if (cfg.get('train_cfg') or {}).get('rounds', 1) == 1 else {'train_cfg.rounds': 1}
    labels, guard = hooks['PseudoLabelHook'], hooks.get('RegressionGuardHook')
    found = {'train_cfg.rounds': rounds, f'custom_hooks.{labels}.relabel': 'every_round'}
    if cfg.custom_hooks[labels].get('teacher') is None:
        found[f'custom_hooks.{labels}.teacher'] = dict(type='StudentAverage')
    if guard is not None:
        found.update({f'custom_hooks.{guard}.interval': 'round', f'custom_hooks.{guard}.patience': 1})
    return found
