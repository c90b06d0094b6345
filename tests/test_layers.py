"""The architecture: imports point down, siblings do not know one another, mmflow has few doors."""
from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Dict, Iterator, List, Set

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / 'mmrefine'

# A part may import parts of a lower number only (and itself); equal numbers are siblings.
LAYER = dict(
    errors=0,
    values=1,
    registry=2,
    compat=2,
    schedule=2,
    geometry=3,
    structures=4,
    fileio=5,
    labeling=6,
    models=6,
    datasets=6,
    evaluation=6,
    visualization=6,
    synthetic=6,
    report=7,
    engine=8,
    config=9,
    apis=10,
    cli=11,
    __main__=12,
)

# What `mmrefine` itself may import: what sets the environment up, and, when a name is first asked for,
# the functions for users.
TOP_MAY_IMPORT = {'compat', 'apis'}

# The only files that know mmflow: by an import, or by its registry scope ('mmflow', 'mmflow.RAFT',
# 'mmflow::raft/...'). A new door belongs here, with its reason.
MMFLOW_DOORS = {
    'compat/installation.py': 'builds a stock model to tell whether the installation works',
    'compat/stock.py': 'finds the stock configs',
    'apis/export.py': 'names the software that it exports for',
    'cli/export.py': 'names the software that it exports for',
    'models/networks/craft.py': 'makes CRAFT of the parts of RAFT and GMA',
    'models/networks/convex_upsampling.py': 'makes the decoder of RAFT enlarge as the large one does',
    'models/refiners/estimators.py': 'builds stock networks from their configs (F16)',
    'models/raft_fast/two_way.py': 'tells which networks of mmflow it can run in its own order',
    'models/refiners/flow.py': 'runs them under the scope they were built in (F16)',
}

# The only files that may choose a convention for pixel centres.
ALIGN_CORNERS = {
    'geometry/grid.py': 'owns the convention',
    'compat/mmcv_deform_conv.py': 'stands in for compiled operators of mmcv, which have their own',
}


def module_name(path: Path, package: Path = PACKAGE) -> List[str]:
    """``['mmrefine', 'geometry', 'warp']``; of an ``__init__.py`` that of its package."""
    parts = ['mmrefine', *path.relative_to(package).with_suffix('').parts]
    return parts[:-1] if parts[-1] == '__init__' else parts


def imported(tree: ast.AST, module: List[str], is_package: bool) -> Iterator[str]:
    """Dotted names of all that is imported anywhere in a file, relative imports resolved.

    Of ``from a import b`` both ``a`` and ``a.b`` (``b`` may be a module), and the constant
    arguments of ``import_module`` and ``__import__``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                # one dot is the package of the module, each further dot its parent
                here = module if is_package else module[:-1]
                here = here[:len(here) - (node.level - 1)]
                base = '.'.join(here + ([node.module] if node.module else []))
            yield base
            for alias in node.names:
                yield f'{base}.{alias.name}'
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(
                node.func, 'id', '')
            if called in ('import_module', '__import__') and isinstance(node.args[0].value, str):
                yield node.args[0].value


def imports_of(path: Path, package: Path = PACKAGE) -> Set[str]:
    tree = ast.parse(path.read_text(encoding='utf-8'), filename=str(path))
    return set(imported(tree, module_name(path, package), path.name == '__init__.py'))


def part_of(path: Path, package: Path = PACKAGE) -> str:
    """The part that a file belongs to, ``''`` for ``mmrefine/__init__.py``."""
    return (module_name(path, package) + [''])[1]


def own_parts(names: Set[str]) -> Set[str]:
    """Parts of mmrefine among dotted names (``mmrefine.__version__`` is no part)."""
    split = [name.split('.') for name in names]
    return {n[1] for n in split if n[0] == 'mmrefine' and len(n) > 1 and n[1] in LAYER}


def wrong_arrows(files: List[Path], package: Path = PACKAGE) -> List[str]:
    wrong = []
    for path in files:
        part = part_of(path, package)
        for target in sorted(own_parts(imports_of(path, package)) - {part}):
            allowed = target in TOP_MAY_IMPORT if not part else LAYER[target] < LAYER[part]
            if not allowed:
                wrong.append(f'{path.relative_to(package)} imports mmrefine.{target}')
    return wrong


def files_of(package: Path = PACKAGE) -> List[Path]:
    return sorted(package.rglob('*.py'))


def test_every_file_belongs_to_a_layer():
    unknown = sorted({part_of(path) for path in files_of()} - set(LAYER) - {''})
    assert not unknown, f'give these parts a number in LAYER: {unknown}'


def test_imports_point_down_and_siblings_do_not_know_one_another():
    files = files_of()
    wrong = wrong_arrows(files)
    assert not wrong, '\n'.join(wrong)
    # the sweep must have swept: many files, and many arrows between parts
    arrows = sum(len(own_parts(imports_of(path)) - {part_of(path)}) for path in files)
    assert len(files) >= 20 and arrows >= 10


def test_geometry_is_pure_torch():
    files = [path for path in files_of() if part_of(path) == 'geometry']
    allowed = {'__future__', 'typing', 'math', 'torch', 'mmrefine'}
    found = {name.split('.')[0] for path in files for name in imports_of(path)}
    assert len(files) >= 5 and 'torch' in found and found <= allowed, found - allowed
    assert all(own_parts(imports_of(path)) <= {'geometry', 'errors'} for path in files)


def test_labeling_touches_no_disk():
    files = [path for path in files_of() if part_of(path) == 'labeling']
    disk = {'os', 'io', 'pathlib', 'shutil', 'tempfile', 'json', 'pickle', 'mmcv', 'PIL'}
    found = {name.split('.')[0] for path in files for name in imports_of(path)}
    assert len(files) >= 4 and 'torch' in found and not found & disk
    # a codec turns a label into bytes, and whoever has the bytes writes them; points of interest belong to the settings
    # of a part, and are read once, when it is built
    doors = ('mmrefine.fileio.codecs', 'mmrefine.fileio.annotations.interest_points')
    assert not any('fileio' in own_parts({name for name in imports_of(path) if not name.startswith(doors)})
                   for path in files)
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            assert not (isinstance(node, ast.Name) and node.id == 'open'), path
            # of OpenCV nothing that reads or writes files
            assert not (isinstance(node, ast.Attribute) and re.match('im(read|write|count)|Video', node.attr)), path


def knows_mmflow(path: Path, package: Path = PACKAGE) -> bool:
    if any(name.split('.')[0] == 'mmflow' for name in imports_of(path, package)):
        return True
    strings = [
        node.value for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    # a word of its own: prose about mmflow is not a door
    return any(re.fullmatch(r'mmflow((\.|::)\S+)?', string) for string in strings)


def same_files(found: Set[str], listed: Dict[str, str]) -> None:
    assert found == set(listed), (f'not listed: {sorted(found - set(listed))}; '
                                  f'listed for nothing: {sorted(set(listed) - found)}')


def test_only_the_listed_files_know_mmflow():
    same_files({p.relative_to(PACKAGE).as_posix() for p in files_of() if knows_mmflow(p)},
               MMFLOW_DOORS)


@pytest.mark.parametrize('line, knows', [
    ('import mmflow', True),
    ('def f():\n    from mmflow.models import RAFT', True),
    ("cfg = dict(_scope_='mmflow')", True),
    ("cfg = dict(type='mmflow.RAFT')", True),
    ("_base_ = 'mmflow::_base_/models/raft.py'", True),
    ("text = 'mmflow. Prose about it'", False),
    ("text = 'pip install mmflow'", False),
    ('import mmflowish', False),
])
def test_the_check_sees_every_way_to_reach_mmflow(tmp_path, line, knows):
    path = tmp_path / 'a.py'
    path.write_text(line + '\n', encoding='utf-8')
    assert knows_mmflow(path, tmp_path) is knows


def test_only_the_listed_files_know_align_corners():
    """F5: one file owns the convention."""
    knows = {
        path.relative_to(PACKAGE).as_posix()
        for path in files_of()
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.keyword) and node.arg == 'align_corners'
    }
    same_files(knows, ALIGN_CORNERS)


def test_the_package_imports_neither_tools_nor_configs_nor_tests():
    outside = {'tools', 'configs', 'tests', 'benchmarks'}
    for path in files_of():
        assert not {name.split('.')[0] for name in imports_of(path)} & outside, path


# The check itself: each way to write an import is seen, in each kind of file.
@pytest.mark.parametrize('where, line, wrong', [
    ('geometry/a.py', 'from mmrefine.models import x', True),
    ('geometry/a.py', 'from mmrefine.models.losses import x', True),
    ('geometry/a.py', 'import mmrefine.models', True),
    ('geometry/a.py', 'import mmrefine.models.losses as x', True),
    ('geometry/a.py', 'import os, mmrefine.engine', True),
    ('geometry/a.py', 'from mmrefine import models', True),
    ('geometry/a.py', 'from .. import models', True),
    ('geometry/a.py', 'from ..models import x', True),
    ('geometry/__init__.py', 'from ..models import x', True),
    ('geometry/deep/a.py', 'from ...models import x', True),
    ('geometry/a.py', 'def f():\n    from mmrefine.engine import x', True),
    ('geometry/a.py', "import importlib\nimportlib.import_module('mmrefine.engine')", True),
    ('labeling/a.py', 'from mmrefine.models import x', True),      # siblings
    ('labeling/a.py', 'from ..datasets import x', True),
    ('errors.py', 'from mmrefine.registry import x', True),
    ('__init__.py', 'from mmrefine.models import x', True),
    ('__init__.py', 'from .compat import x', False),
    ('registry.py', 'from .errors import x', False),
    ('labeling/a.py', 'from mmrefine import geometry, __version__', False),
    ('labeling/a.py', 'from .models import x', False),             # its own module of that name
    ('labeling/__init__.py', 'from .models import x', False),
    ('labeling/deep/a.py', 'from ..models import x', False),
    ('geometry/a.py', 'from mmrefine.geometry.grid import x', False),
    ('engine/a.py', 'from ..labeling import x\nimport mmrefine.models', False),
    ('geometry/a.py', 'import torch\nimport mmrefine_other.models', False),
])
def test_the_check_sees_every_way_to_write_an_import(tmp_path, where, line, wrong):
    package = tmp_path / 'mmrefine'
    path = package / where
    path.parent.mkdir(parents=True)
    path.write_text(line + '\n', encoding='utf-8')
    assert bool(wrong_arrows(files_of(package), package)) is wrong
