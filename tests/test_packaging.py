"""What the installation stands on, and that the code runs on every Python that it names."""
from __future__ import annotations

import ast
import configparser
import re
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

import mmrefine

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
    assert lines[0] == '[build-system]' and [line.split(' = ')[0] for line in lines[1:]] == ['requires', 'build-backend']
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
    files = [path for folder in ('mmrefine', 'tools', 'tests', 'configs', 'benchmarks') for path in (ROOT / folder).rglob('*.py')]
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
