"""What the installation stands on, and that the code runs on every Python that it names."""
from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import mmrefine
from mmrefine.fileio.images import write_image

ROOT = Path(__file__).resolve().parents[1]


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    return parser


def requirements(text):
    """Requirements by name, out of lines of setup.cfg or of a constraints file."""
    lines = (line.partition('#')[0].strip() for line in text.splitlines())
    found = [Requirement(line) for line in lines if line]
    return {requirement.name: requirement for requirement in found}


def test_pip_can_install_although_all_settings_are_in_setup_cfg():
    """F10: pip needs a pyproject.toml, which here says how to build and nothing else."""
    lines = (ROOT / 'pyproject.toml').read_text(encoding='utf-8').splitlines()
    assert lines[0] == '[build-system]' and [line.split(' = ')[0] for line in lines[1:]] == ['requires',
                                                                                             'build-backend']
    assert not (ROOT / 'setup.py').exists()  # nothing is compiled
    installed = distribution('mmrefine')
    assert installed.version == mmrefine.__version__
    assert installed.metadata['Requires-Python'] == setup_cfg()['options']['python_requires'] == '>=3.9'


def test_the_pinned_versions_lie_in_the_ranges_that_are_meant_to_work():
    options = setup_cfg()
    wanted = requirements(options['options']['install_requires'])
    pinned = requirements((ROOT / 'constraints.txt').read_text(encoding='utf-8'))
    assert set(wanted) <= set(pinned)
    for name, requirement in wanted.items():
        version, = (part.version for part in pinned[name].specifier if part.operator == '==')
        assert requirement.specifier.contains(version, prereleases=True), (name, version)
    # mmengine's `mmflow::` needs pkg_resources, and mmflow 1.x is listed as a pre-release only
    assert not wanted['setuptools'].specifier.contains('81.0') and str(wanted['mmflow'].specifier) == '==1.0.0rc0'
    build = requirements(re.findall(r'"(setuptools[^"]*)"', (ROOT / 'pyproject.toml').read_text(encoding='utf-8'))[0])
    assert not build['setuptools'].specifier.contains('81.0')


def test_every_file_can_be_read_by_python_3_9():
    files = [path for folder in ('mmrefine', 'tools', 'tests', 'configs', 'benchmarks')
             for path in (ROOT / folder).rglob('*.py')]
    assert len(files) > 150
    for path in files:
        tree = ast.parse(path.read_text(encoding='utf-8'), filename=str(path), feature_version=(3, 9))
        late = any(isinstance(node, ast.ImportFrom) and node.module == '__future__' for node in tree.body)
        # `int | None` is a value from 3.10 on; before, it can stand in an annotation that nobody evaluates
        assert late or not any('|' in ast.unparse(node) for node in annotations(tree)), path


def annotations(tree):
    """All annotations of a file."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
            yield node.annotation
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.returns is not None:
            yield node.returns


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """A wheel of this project."""
    folder = tmp_path_factory.mktemp('wheel')
    for name in ('mmrefine', 'configs'):
        shutil.copytree(ROOT / name, folder / 'source' / name, symlinks=True,
                        ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, folder / 'source' / name)
    code = f'import setuptools.build_meta as build; build.build_wheel({str(folder)!r})'
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], cwd=folder / 'source', capture_output=True,
                          text=True, timeout=300, env={**os.environ, 'PYTHONPATH': ''})
    assert done.returncode == 0, done.stderr[-2000:]
    path, = folder.glob('*.whl')
    return path


def test_a_wheel_carries_the_configs_the_demo_weights_and_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        entry_points = archive.read(next(name for name in names if name.endswith('entry_points.txt'))).decode()
    assert 'mmrefine = mmrefine.cli:main' in entry_points
    configs = {path.relative_to(ROOT / 'configs').as_posix() for path in (ROOT / 'configs').rglob('*.py')}
    packed = {name.partition('.mim/configs/')[2] for name in names if '.mim/configs/' in name}
    weights = {path.relative_to(ROOT / 'configs').as_posix() for path in (ROOT / 'configs').rglob('*.pth')}
    assert len(configs) > 20 and 'demo/raft_small_source.pth' in weights and configs | weights == packed
    assert not [name for name in names if name.startswith(('tests', 'configs', 'tools'))]
    lists = [path.relative_to(ROOT).as_posix() for path in (ROOT / 'mmrefine').rglob('*.txt')]
    assert lists and set(lists) <= set(names)


def test_a_report_can_be_written_from_a_wheel(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / 'site')
    parts = [path.relative_to(ROOT) for path in (ROOT / 'mmrefine/report').rglob('*.*') if path.suffix in ('.j2',
                                                                                                           '.css',
                                                                                                           '.js')]
    assert len(parts) > 8 and all((tmp_path / 'site' / part).is_file() for part in parts)
    code = ('import mmrefine; from mmrefine.report import group_record, write_report; print(mmrefine.__file__); '
            "write_report('run', dict(groups=dict(refined=group_record(dict(EPE=2.), dict(EPE=1.)))))")
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, timeout=300,
                          env={**os.environ, 'PYTHONPATH': str(tmp_path / 'site')})
    assert done.returncode == 0, done.stderr[-2000:]
    assert str(tmp_path / 'site') in done.stdout
    page = (tmp_path / 'run/report.html').read_text(encoding='utf-8')
    assert 'EPE on the refined videos fell from 2.000 to 1.000 px' in page and ':root { color-scheme' in page


def test_the_configs_of_a_wheel_are_inherited_by_name(wheel, tmp_path):
    site, mine = tmp_path / 'site', tmp_path / 'mine'
    options = ['--quiet', '--no-deps', '--no-index', '--no-compile', '--target', site]
    subprocess.run([sys.executable, '-m', 'pip', 'install', *options, wheel],
                   check=True,
                   timeout=300,
                   capture_output=True)
    for i in range(2):
        write_image(mine / 'frames' / f'{i}.png',
                    np.random.default_rng(i).integers(0, 255, (40, 56, 3), dtype=np.uint8))
    (mine / 'mine.py').write_text("_base_ = ['mmrefine::demo/raft_small_video.py']\nteacher = {{_base_.model}}\n")
    environment = {**os.environ, 'PYTHONPATH': str(site), 'PYTHONWARNINGS': 'ignore'}

    def answer(*argv):
        done = subprocess.run([sys.executable, *argv],
                              cwd=mine,
                              capture_output=True,
                              text=True,
                              timeout=300,
                              env=environment)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    code = ('import mmrefine; from mmengine.config import Config; '
            "print(mmrefine.__file__, Config.fromfile('mine.py').teacher.type)")
    assert answer('-c', code) == f'{site / "mmrefine/__init__.py"} FlowRefiner\n'
    # weights that the wheel carries, too: those of the network, and those of the verifier
    flow = answer('-m', 'mmrefine', 'flow', 'frames', '--model', 'mine.py', '--iters', '1', '--no-video', '--verify')
    assert 'frames: 1 pairs (1 made now)' in flow
    options = ['--cfg-options', 'video=frames', 'held_out=0', 'model.test_iters=1']
    scores = answer(ROOT / 'tools/test.py', 'mine.py', site / 'mmrefine/.mim/configs/demo/raft_small_source.pth',
                    *options)
    assert 'refined' in scores
