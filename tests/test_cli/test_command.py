"""The command as a whole: help, exit statuses, what is installed, and the same from Python."""
from __future__ import annotations

import argparse
import configparser
import importlib
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from helpers_cli import ROOT, status_of

import mmrefine
import mmrefine.apis
from mmrefine.apis.export import FORMS
from mmrefine.apis.flow import FORMATS
from mmrefine.apis.named_models import JUDGES, load_named
from mmrefine.apis.precision import PRECISIONS
from mmrefine.apis.propagators import WAYS
from mmrefine.apis.recipe_names import RECIPES
from mmrefine.cli import build_parser, main
from mmrefine.compat.model_names import NAMED_MODELS

COMMANDS = ['refine', 'labels', 'flow', 'track', 'propagate', 'report', 'export', 'doctor']
DOC = ROOT / 'docs/command.md'


def subparsers():
    """Name -> parser of every subcommand."""
    action = next(action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return action.choices


def options_of(parser):
    return {option for action in parser._actions for option in action.option_strings if option not in ('-h', '--help')}


def test_the_eight_commands_are_there_and_say_what_they_do(capsys):
    parsers = subparsers()
    assert list(parsers) == COMMANDS
    assert status_of('--help') == 0
    text = capsys.readouterr().out
    for name, parser in parsers.items():
        assert re.search(rf'^    {name}\s+\w', text, re.MULTILINE)
        assert len(parser.description) > 60 and 'mmrefine ' + name in parser.epilog
        for action in parser._actions:
            assert action.help, (name, action.dest)


@pytest.mark.parametrize('source', [*COMMANDS, 'all', 'doc'])
def test_every_example_is_a_command_line_that_the_parser_takes(source):
    parser = build_parser()
    if source == 'doc':
        text = '\n'.join(re.findall(r'```shell\n(.*?)```', DOC.read_text(encoding='utf-8'), re.DOTALL))
    else:
        text = parser.description if source == 'all' else subparsers()[source].epilog
    lines = [line.strip().partition('  #')[0] for line in text.splitlines() if re.match(r' *mmrefine \w', line)]
    assert lines
    for line in lines:
        args = parser.parse_args(shlex.split(line)[1:])
        assert args.run and (args.command == source or source in ('all', 'doc')), line


def test_the_doc_has_every_option_of_every_command_and_no_other():
    text = DOC.read_text(encoding='utf-8')
    for name, parser in subparsers().items():
        section = text.partition(f'\n## mmrefine {name}')[2].partition('\n## ')[0]
        assert set(re.findall(r'^\| `(--[\w-]+)', section, re.MULTILINE)) == options_of(parser), name


def test_the_choices_of_the_options_are_those_of_the_functions():
    choices = {(name, action.dest): tuple(action.choices) for name, parser in subparsers().items()
               for action in parser._actions
               if action.choices}
    assert choices == {('flow', 'format'): FORMATS, ('export', 'to'): tuple(FORMS), ('propagate', 'by'): WAYS,
                       ('track', 'judge'): tuple(JUDGES), ('propagate', 'judge'): tuple(JUDGES),
                       ('refine', 'amp'): tuple(PRECISIONS), ('refine', 'recipe'): RECIPES}
    text = subparsers()['refine'].format_help()
    assert all(name in text for name in NAMED_MODELS)


def test_help_loads_nothing_heavy():
    code = ("import sys; from mmrefine.cli import build_parser; build_parser().format_help(); "
            "print(sorted({'torch', 'mmengine', 'cv2', 'numpy'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, timeout=120)
    assert done.stdout == '[]\n', done.stderr


def test_the_package_can_be_run(tmp_path):
    done = subprocess.run([sys.executable, '-m', 'mmrefine', '--version'], capture_output=True, text=True, timeout=120,
                          cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f'mmrefine {mmrefine.__version__}\n')


@pytest.mark.parametrize('argv', [
    [], ['refin', 'a.mp4'], ['refine'], ['refine', 'a.mp4', '--steps', '0'], ['refine', 'a.mp4', '--set', 'crop_size'],
    ['labels', 'a.mp4', '--sheets', '-2'], ['refine', 'a.mp4', '--workers', '-1'],
    ['track', 'a.mp4', '--grid', '0'], ['flow', 'a.mp4', '--format', 'jpg'], ['export', 'a.pth', '--to', 'mmflow'],
], ids=lambda argv: ' '.join(argv) or 'nothing')
def test_a_command_line_that_cannot_be_meant_ends_with_2(argv, capsys):
    assert status_of(*argv) == 2
    assert capsys.readouterr().err.startswith('usage: mmrefine')


def test_a_warning_is_one_line(capsys, monkeypatch):
    def run(args):
        warnings.warn('the video promises\nmore', stacklevel=1)
        return 0

    monkeypatch.setattr('mmrefine.cli.doctor.run', run)
    with pytest.raises(SystemExit), warnings.catch_warnings():
        warnings.simplefilter('always')
        main(['doctor'])
    assert capsys.readouterr().err == 'warning: the video promises more\n'


def test_the_installed_command_leads_to_main():
    parser = configparser.ConfigParser()
    parser.read(ROOT / 'setup.cfg', encoding='utf-8')
    name, _, target = parser['options.entry_points']['console_scripts'].strip().partition(' = ')
    module, _, function = target.partition(':')
    assert name == 'mmrefine' and getattr(importlib.import_module(module), function) is main


def test_the_doctor_tells_of_the_weights_and_ends_with_0(capsys):
    assert status_of('doctor') == 0
    text = capsys.readouterr().out
    assert ('everything needed is here' in text
            and [name for name in NAMED_MODELS if f'--model {name}: ' in text] == list(NAMED_MODELS))
    assert f'weights: {Path("configs/demo/raft_small_source.pth")}' in text or 'raft_small_source.pth' in text


def test_the_doctor_ends_with_1_when_something_is_missing(capsys, monkeypatch):
    from mmrefine.compat.installation import Check
    monkeypatch.setattr('mmrefine.compat.installation.diagnose',
                        lambda: [Check('torch', False, 'absent', 'pip install torch')])
    assert status_of('doctor') == 1
    assert 'run: pip install torch' in capsys.readouterr().out


def test_the_functions_of_the_apis_are_in_the_package_too():
    names = [name for name in mmrefine.__all__ if name != '__version__']
    assert names == mmrefine.apis.__all__ and set(names) <= set(dir(mmrefine))
    assert mmrefine.refine is mmrefine.apis.refine and mmrefine.flow_of_video is mmrefine.apis.flow_of_video
    with pytest.raises(AttributeError, match="module 'mmrefine' has no attribute 'refin'"):
        mmrefine.refin


def test_a_config_outside_the_repository_inherits_from_the_folder_that_the_doctor_names(tmp_path, monkeypatch, capsys):
    assert status_of('doctor') == 0
    folder = re.search(r'^configs: (.*)$', capsys.readouterr().out, re.MULTILINE)[1]
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mine.py').write_text(f"_base_ = '{folder}/refine/raft_small_video.py'\nmax_iters = 7\n")
    cfg = load_named('mine.py', dict(video='a.mp4'))
    assert cfg.max_iters == 7 and cfg.model.estimator.type == 'RAFT' and cfg.label_data.type == 'FramePairs'
