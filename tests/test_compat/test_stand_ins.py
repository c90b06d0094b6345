"""When mmcv.ops is stood in for (F7), when it is left alone, and what that lets the rest do."""
from __future__ import annotations

import ast
import importlib.util
import sys
import textwrap
from importlib.machinery import PathFinder
from pathlib import Path

import mmcv
import mmcv.ops
import pytest

from mmrefine.compat import mmcv_ops, setup_environment
from mmrefine.compat.stand_ins import STAND_INS, is_stand_in
from mmrefine.compat.stock import stock_config_root, stock_model_configs
from mmrefine.errors import ConfigError

HAS_COMPILED = PathFinder.find_spec('mmcv._ext', mmcv.__path__) is not None
lite_only = pytest.mark.skipif(HAS_COMPILED, reason='a full mmcv is installed: nothing is stood in for')


def fake_mmcv(folder: Path, compiled: bool) -> str:
    """A package ``mmcv`` whose operators are marked 'compiled', with or without its ``_ext``."""
    package = folder / 'mmcv'
    (package / 'ops').mkdir(parents=True)
    (package / '__init__.py').write_text("__version__ = '2.0.1'\n")
    (package / 'ops' / '__init__.py').write_text("import mmcv._ext\nCorrelation = 'compiled'\n")
    if compiled:
        (package / '_ext.py').write_text('')
    return str(folder)


def test_importing_mmrefine_imports_nothing_heavy_and_makes_mmflow_importable(fresh_python):
    result = fresh_python('-W', 'error::UserWarning', '-c', textwrap.dedent('''
        import sys
        import mmrefine
        print(mmrefine.__version__, sorted({'torch', 'mmengine', 'mmcv', 'mmflow'} & set(sys.modules)))
        import mmflow.models
        from mmcv.utils import collect_env
        print(len(collect_env()['MMCV Compiler']) > 0)
    '''))
    assert result.stdout.splitlines() == ['0.1.0 []', 'True'], result.stderr


def test_a_full_mmcv_keeps_its_operators(fresh_python, tmp_path):
    result = fresh_python('-c', 'import mmrefine; from mmcv.ops import Correlation; print(Correlation)',
                          path=fake_mmcv(tmp_path, compiled=True))
    assert result.stdout == 'compiled\n', result.stderr


def test_an_mmcv_without_compiled_operators_gets_ours(fresh_python, tmp_path):
    lines = 'import mmrefine, mmcv.ops; print(mmcv.ops.Correlation.__module__, mmcv.ops.__all__)'
    result = fresh_python('-c', lines, path=fake_mmcv(tmp_path, compiled=False))
    assert result.stdout == f'mmrefine.compat.mmcv_correlation {list(STAND_INS)}\n', result.stderr


@lite_only
def test_mmcv_lite_has_no_operators_of_its_own(fresh_python):
    result = fresh_python('-c', 'import mmcv.ops')
    assert "No module named 'mmcv._ext'" in result.stderr


@lite_only
def test_mmflow_builds_with_our_operators():
    from mmflow.models import builder
    assert is_stand_in(mmcv.ops)
    assert builder.Correlation is mmcv.ops.Correlation is mmcv_ops.Correlation


def test_a_foreign_module_is_no_stand_in():
    assert not is_stand_in(ast)


def test_setting_up_twice_adds_one_finder():
    before = len(sys.meta_path)
    setup_environment()
    setup_environment()
    assert len(sys.meta_path) == before


def test_all_that_mmflow_takes_from_mmcv_ops_is_stood_in_for():
    root = stock_config_root().parents[1]
    files = [path for path in root.rglob('*.py') if '.mim' not in path.parts]
    taken = {alias.name for path in files for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
             if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('mmcv.ops')
             for alias in node.names}
    assert len(files) > 80
    assert taken == set(STAND_INS)


@pytest.mark.skipif(importlib.util.find_spec('pkg_resources') is None, reason='setuptools>=81 has no pkg_resources')
def test_the_silenced_warnings_still_exist(fresh_python):
    lines = ('import torch, pkg_resources; torch.meshgrid(torch.ones(1), torch.ones(1)); '
             'from mmengine.optim import CosineAnnealingLR; '
             'CosineAnnealingLR(torch.optim.SGD([torch.ones(1)], 1.), T_max=8).step()')
    loud = fresh_python('-W', 'always', '-c', lines).stderr
    quiet = fresh_python('-c', 'import mmrefine; ' + lines).stderr
    for text in ('pkg_resources is deprecated as an API', 'torch.meshgrid: in an upcoming release',
                 'Detected call of `scheduler.step()` before'):
        assert text in loud
        assert text not in quiet


@pytest.mark.parametrize('before, says', [
    ("os.environ.pop('OPENCV_LOG_LEVEL', None)", True),
    ("os.environ.pop('OPENCV_LOG_LEVEL', None); import mmrefine", False),
    ("os.environ['OPENCV_LOG_LEVEL'] = 'ERROR'; import mmrefine", True)], ids=['alone', 'with us', 'asked to'])
def test_opencv_says_nothing_about_a_damaged_picture_unless_it_is_asked_to(fresh_python, before, says):
    lines = ("import cv2, numpy; data = cv2.imencode('.tif', numpy.zeros((9, 9), numpy.uint8))[1]; data[8:] ^= 255; "
             'assert cv2.imdecode(data, -1) is None')
    found = fresh_python('-c', f'import os; {before}; {lines}')
    assert found.returncode == 0 and ('[ERROR' in found.stderr) == says and bool(found.stderr) == says


def test_mmflow_ships_28_model_configs():
    names = stock_model_configs()
    assert len(names) == 28 == len(set(names))
    assert '_base_/models/gma/gma_plus-p.py' in names
    assert all((stock_config_root() / name).is_file() for name in names)


def test_without_mmflow_the_error_names_the_command(monkeypatch):
    monkeypatch.setattr('mmrefine.compat.stock.find_spec', lambda name: None)
    with pytest.raises(ConfigError, match='pip install mmflow==1.0.0rc0'):
        stock_config_root()
