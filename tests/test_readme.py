"""README and docs promise nothing that is not there."""
from __future__ import annotations

import ast
import importlib
import re
import sys
import threading
from pathlib import Path

import pytest
from small_runs import build, small_config

from mmrefine.cli import build_parser

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / 'README.md', *ROOT.glob('docs/*.md'), *ROOT.glob('configs/*/README.md')])
LINK = re.compile(r'\]\((?!https?:)([^)#]+)\)')
PATH = re.compile(r'\b(?:tools|configs|benchmarks|mmrefine|tests|docs)/[\w./-]*\w\.(?:py|md|json|png)')


def test_the_pages_that_are_checked_are_found():
    assert ROOT / 'README.md' in PAGES and len(PAGES) >= 3


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_every_named_file_exists(page):
    text = page.read_text(encoding='utf-8')
    links = [page.parent / target for target in LINK.findall(text)]
    named = [ROOT / target for target in PATH.findall(text)]
    missing = [str(path) for path in links if not path.exists()]
    missing += [str(path) for path in named
                if not path.exists() and not (page.parent / path.relative_to(ROOT)).exists()]
    for target, anchor in re.findall(r'\]\((?!https?:)([^)#]*)#([^)]+)\)', text):
        if anchor not in anchors(page.parent / target if target else page):
            missing.append(f'{target}#{anchor}')
    assert not missing


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r'^#+ (.*)$', page.read_text(encoding='utf-8'), flags=re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


WAY = re.compile(r'\[[\w/.]+\]\((mmrefine/[\w/]+\.py)\),\s+`([\w.]+)`')


def test_a_frame_pair_goes_through_the_files_of_the_readme_in_their_order(material, tmp_path):
    """One round of a training: when each function of the list is called for the first time, in whatever thread."""
    text = (ROOT / 'README.md').read_text(encoding='utf-8')
    way = text.split('## The way of a frame pair: eight files\n')[1].split('\n## ')[0]
    numbers = [int(number) for number in re.findall(r'^(\d)\. \[', way, flags=re.MULTILINE)]
    assert numbers == list(range(1, 9))
    listed = [((ROOT / file).as_posix(), function) for file, function in WAY.findall(way)]
    assert len(listed) == 11 and listed[0][1] == 'SelfTrainingLoop.run'  # the loop, eight files, a view and a filter
    names = {function.rpartition('.')[2] for _, function in listed}
    called = []

    def note(frame, event, arg):
        if event == 'call' and frame.f_code.co_name in names:
            owner = next((base.__name__ for base in type(frame.f_locals.get('self')).__mro__
                          if frame.f_code.co_name in vars(base)), '')
            name = frame.f_code.co_name if owner in ('', 'object', 'NoneType') else f'{owner}.{frame.f_code.co_name}'
            step = (Path(frame.f_code.co_filename).as_posix(), name)
            if step in listed and step not in called:
                called.append(step)

    runner = build(small_config(material, tmp_path, max_iters=1))
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        runner.train()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert called == listed


# ---- what the pages name: modules, options, classes

TOOLS = sorted([*ROOT.glob('tools/*.py'), *ROOT.glob('benchmarks/*.py')])
MODULE = re.compile(r'(?<![\w-])mmrefine(?:\.\w+)+')
OPTION = re.compile(r'(?<![\w-])--[a-z][\w-]*')
COMMAND = re.compile(r'(?:(?:tools|benchmarks)/\w+\.py|\bmmrefine (?:refine|labels|flow|track|report|export|doctor)\b)'
                     r'[^`|;#&]*')


def options_of(path):
    """The options of a script, without running it; those made of keys in a table or shared with others, too."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    options = {word for word in words if word.startswith('--')}
    if any(isinstance(node, ast.JoinedStr) and ast.unparse(node).startswith("f'--") for node in ast.walk(tree)):
        options |= {f'--{word}' for word in words | {node.arg for node in ast.walk(tree)
                                                     if isinstance(node, ast.keyword) and node.arg}}
    if 'add_config_options' in {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}:
        options |= options_of(ROOT / 'mmrefine/apis/commands.py')
    return options


def options_of_command(name):
    parsers = next(action for action in build_parser()._actions if hasattr(action, 'choices') and action.choices)
    return {option for action in parsers.choices[name]._actions for option in action.option_strings}


@pytest.fixture(scope='module')
def options():
    """The options of each script, by path, and of each part of the command, by name."""
    found = {path.relative_to(ROOT).as_posix(): options_of(path) | {'--help'} for path in TOOLS}
    return {**found, **{f'mmrefine {name}': options_of_command(name)
                        for name in ('refine', 'labels', 'flow', 'track', 'propagate', 'report', 'export',
                                     'doctor')}}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_module_class_and_option_that_a_page_names_exists(page, options):
    text = page.read_text(encoding='utf-8')
    missing = [name for name in sorted(set(MODULE.findall(text))) if not exists(name)]
    # a command and its options, on one line or continued on the next
    joined = re.sub(r'\\\n\s*', ' ', text)
    for shorthand, meaning in re.findall(r'^(\w+)="(.*)"$', joined, re.MULTILINE):
        joined = joined.replace(f'${shorthand} ', f'{meaning} ')
    for command in COMMAND.findall(joined):
        program = next(name for name in options if command.startswith(name))
        for line in command.splitlines()[:1]:
            missing += [f'{option} of {program}' for option in OPTION.findall(line) if option not in options[program]]
    everything = set().union(*options.values())
    missing += [option for option in OPTION.findall(joined) if option not in everything]
    assert not missing


def exists(name):
    """Whether a dotted name is a module, or something in one."""
    parts = name.split('.')
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module('.'.join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


PART = re.compile(r'`([A-Z]\w*(?:View|Filter|Loss|Hook|Guard|Labeler|Pairs|Clips|Metric|Loop|Teacher|Source|Tally'
                  r'|Refiner|Witnesses|Store|Wrapper|Densify|Codec|Judge|Start|Warp|Noise|Crop|Stretch))\b')


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_part_that_a_page_names_is_a_class_of_the_package(page):
    text = re.sub(r'^```python\n.*?^```', '', page.read_text(encoding='utf-8'), flags=re.MULTILINE | re.DOTALL)
    classes = {node.name for path in (ROOT / 'mmrefine').rglob('*.py')
               for node in ast.parse(path.read_text(encoding='utf-8')).body if isinstance(node, ast.ClassDef)}
    foreign = {'Warp', 'IterBasedTrainLoop'}  # of mmflow and MMEngine, in docs/platform.md
    missing = sorted(set(PART.findall(text)) - classes - foreign)
    assert not missing


@pytest.mark.parametrize('page', [*PAGES, ROOT / 'CHANGELOG.md'], ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_has_at_most_120_characters_in_a_line(page):
    fenced, long = False, []
    for number, line in enumerate(page.read_text(encoding='utf-8').splitlines(), start=1):
        fenced ^= line.startswith('```')
        if len(line) > 120 and not fenced and not line.startswith('|'):
            long.append(number)
    assert not long
