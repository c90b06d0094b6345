"""The doctor finds each simulated fault, and names the command that repairs it."""
from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

from mmrefine.compat import installation as doctor
from mmrefine.compat.installation import Check, diagnose, format_report

ROOT_NAMES = ['Python', 'torch', 'device', 'threads', 'torchvision', 'opencv', 'pkg_resources', 'mmengine', 'mmcv',
              'operators', 'mmflow', 'stock configs', 'safe loading', 'extras', 'command']


def checks_by_name():
    return {check.name: check for check in diagnose()}


def replace_import(monkeypatch, name, replacement):
    """Let the doctor see ``replacement`` (or get that error) where it imports ``name``."""
    real = doctor._import

    def instead(wanted):
        if wanted != name:
            return real(wanted)
        if isinstance(replacement, Exception):
            raise replacement
        return replacement

    monkeypatch.setattr(doctor, '_import', instead)


def replace_versions(monkeypatch, **versions):
    real = doctor._version_of
    known = {name.replace('_', '-'): version for name, version in versions.items()}
    monkeypatch.setattr(doctor, '_version_of',
                        lambda name: known[name] if name in known else real(name))


def test_every_part_is_looked_at_and_a_problem_has_a_remedy():
    checks = diagnose()
    assert [check.name for check in checks] == ROOT_NAMES
    assert all(check.found for check in checks)
    assert all(bool(check.remedy) is not check.ok for check in checks)


@pytest.mark.parametrize('name, module, check, found, remedy', [
    ('torch', ImportError('libtorch.so: cannot open'), 'torch', 'libtorch.so', doctor.GET_TORCH),
    ('torch', SimpleNamespace(__version__='1.13.1', version=SimpleNamespace(cuda='11.7')), 'torch',
     r'1\.13\.1 \(CUDA 11\.7 build\), wanted 2\.1', doctor.GET_TORCH),
    ('cv2', ImportError('libGL.so.1: cannot open'), 'opencv', 'libGL.so.1', doctor.GET_OPENCV),
    ('pkg_resources', ModuleNotFoundError("No module named 'pkg_resources'"), 'pkg_resources',
     "No module named 'pkg_resources'", 'pip install "setuptools<81"'),
    ('mmengine', SimpleNamespace(__version__='0.7.4'), 'mmengine', r'0\.7\.4, wanted 0\.10\.7',
     'pip install mmengine==0.10.7'),
    ('mmcv', SimpleNamespace(__version__='2.2.0'), 'mmcv', r'2\.2\.0 .*wanted 2\.0\.x', doctor.GET_MMCV),
    ('mmcv.ops', ImportError('_ext.so: undefined symbol: _ZN2at'), 'operators', 'undefined symbol', doctor.GET_MMCV),
    ('mmflow', SimpleNamespace(__version__='0.5.2'), 'mmflow', r'0\.5\.2, wanted 1\.0\.0rc0', doctor.GET_MMFLOW),
    ('mmflow', ModuleNotFoundError("No module named 'mmflow'"), 'mmflow', "No module named 'mmflow'",
     doctor.GET_MMFLOW),
])
def test_a_broken_or_outdated_part_is_named_with_its_remedy(monkeypatch, name, module, check, found, remedy):
    replace_import(monkeypatch, name, module)
    broken = checks_by_name()[check]
    assert not broken.ok
    assert broken.remedy == remedy
    assert re.search(found, broken.found)


def test_what_is_not_installed_along_is_named_with_what_needs_it_and_is_no_fault(monkeypatch):
    replace_versions(monkeypatch, h5py='3.1', onnx='1.2', onnxscript=None, onnxruntime=None, scipy=None)
    check = checks_by_name()['extras']
    assert check.ok and check.found == ('.flo5 files: h5py 3.1; '
                                        'export --to onnx: would need pip install onnxscript onnxruntime; '
                                        'joints of JHMDB: would need pip install scipy')


def test_a_broken_torchvision_is_to_be_removed(monkeypatch):
    replace_versions(monkeypatch, torchvision='0.20.0')
    replace_import(monkeypatch, 'torchvision', RuntimeError('operator torchvision::nms does not exist'))
    check = checks_by_name()['torchvision']
    assert (check.ok, check.remedy) == (False, 'pip uninstall -y torchvision')
    assert '0.20.0' in check.found and 'torchvision::nms' in check.found


def test_two_flavours_of_mmcv_are_a_problem(monkeypatch):
    replace_versions(monkeypatch, mmcv='2.0.1', mmcv_lite='2.0.1')
    check = checks_by_name()['mmcv']
    assert (check.ok, check.remedy) == (False, doctor.GET_MMCV)
    assert 'mmcv and mmcv-lite' in check.found


def test_operators_that_cannot_compute_on_this_device_are_a_problem(monkeypatch):

    class NoKernel:

        def __init__(self, **settings):
            pass

        def to(self, device):
            raise RuntimeError('correlation_forward_impl: implementation for device cpu not found')

    replace_import(monkeypatch, 'mmcv.ops', SimpleNamespace(Correlation=NoKernel))
    check = checks_by_name()['operators']
    assert (check.ok, check.remedy) == (False, doctor.GET_MMCV)
    assert 'device cpu not found' in check.found


def test_without_pkg_resources_the_stock_configs_ask_for_setuptools(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pkg_resources', None)
    checks = checks_by_name()
    assert checks['pkg_resources'].remedy == checks['stock configs'].remedy == 'pip install "setuptools<81"'


def test_missing_stock_configs_are_counted(monkeypatch):
    monkeypatch.setattr(doctor, 'stock_model_configs', lambda: ['a.py', 'b.py'])
    check = checks_by_name()['stock configs']
    assert (check.ok, check.remedy) == (False, doctor.GET_MMFLOW)
    assert check.found.startswith('2 model configs') and check.found.endswith('wanted 28')


def test_an_allow_list_that_does_not_fit_is_found(monkeypatch):
    torch = pytest.importorskip('torch')
    if not hasattr(torch.serialization, 'safe_globals'):
        pytest.skip('this PyTorch has no allow-list')
    known = torch.serialization.get_safe_globals()
    monkeypatch.setattr('mmrefine.compat.checkpoints.allow_checkpoint_classes', lambda: None)
    torch.serialization.clear_safe_globals()
    try:
        check = checks_by_name()['safe loading']
    finally:
        torch.serialization.add_safe_globals(known)
    assert (check.ok, check.remedy) == (False, doctor.GET_MMENGINE)


@pytest.mark.parametrize('place, found', [
    ('/opt/bin/mmrefine', '/opt/bin/mmrefine'), (None, 'not on PATH.*: python -m mmrefine does the same')])
def test_a_command_that_is_not_on_the_path_is_no_fault_and_has_another_way(monkeypatch, place, found):
    monkeypatch.setattr(doctor.shutil, 'which', lambda name: place)
    check = doctor._run(*doctor._LOOKS[-1])
    assert check.ok and re.search(found, check.found)


def test_the_report_shows_each_remedy_and_counts_the_problems():
    text = format_report([Check('a', True, '1.0'), Check('b', False, 'gone', 'pip install b')])
    assert text.splitlines() == ['[ok] a: 1.0', '[!!] b: gone', '     run: pip install b',
                                 '1 of 2 checks found a problem']
    assert format_report([Check('a', True, '1.0')]).endswith('everything needed is here')


def test_the_command_exits_with_1_and_the_remedy_when_something_is_wrong(fresh_python, tmp_path):
    (tmp_path / 'pkg_resources.py').write_text("raise ImportError('gone')\n")
    result = fresh_python('tools/doctor.py', path=str(tmp_path))
    assert result.returncode == 1, result.stderr
    assert '[!!] pkg_resources: ImportError: gone\n     run: pip install "setuptools<81"' in result.stdout


def test_the_command_exits_with_0_when_all_is_well(fresh_python):
    result = fresh_python('tools/doctor.py')
    assert (result.returncode, '[!!]' in result.stdout) == (0, False), result.stdout + result.stderr
    assert result.stdout.endswith('everything needed is here\n')
