"""Options of benchmarks that cannot be right are refused in one sentence, before anything is computed."""
from __future__ import annotations

import importlib.util

import pytest
from small_trees import ROOT

from mmrefine.errors import ConfigError, InputError


@pytest.mark.parametrize('name, options, error, message', [
    ('feature_agreement', ['--videos', '0'], ConfigError, '--videos must be a whole number, at least 1, got 0'),
    ('jhmdb_pck_parity', ['data', '--code', 'wrong'], InputError,
     'eval_pck.py: there is no such file; name a checkout of https://github.com/ajabri/videowalk with --code'),
    ('jhmdb_pck_parity', ['data', '--code', 'wrong', '--seeds', '0'], ConfigError, '--seeds must be a whole number'),
])
def test_options_that_cannot_be_right_are_refused(name, options, error, message):
    spec = importlib.util.spec_from_file_location(name, ROOT / 'benchmarks' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with pytest.raises(error, match=message):
        module.main(options)
