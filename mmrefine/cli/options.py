"""Options that several subcommands share."""
from __future__ import annotations

import argparse
import textwrap
from typing import Any, Dict, Mapping, Union

from mmrefine.compat.model_names import NAMED_MODELS

# keys that are not for --set, and what to do instead
_ELSEWHERE = {
    'video': 'name the video right after the command, as VIDEO',
    'config': 'name it with --model',
    'checkpoint': 'name it with --checkpoint',
    'work_dir': 'name the folder with --out',
    'skip_corrupt': 'add --skip-corrupt',
    'sheets': 'add --sheets N to mmrefine labels',
    'reading': 'add --start, --end, --stride, --max-frames, --resize or --range',
    'dry_run': 'add --dry-run',
    'resume': 'leave it out: the same command goes on where it was',
    **{name.replace('-', '_'): f'it is the option --{name}' for name in (
        'amp', 'labelled', 'labels', 'max-error', 'points', 'recipe', 'rounds', 'teacher', 'teacher-checkpoint',
        'verify')},
}


class Paragraphs(argparse.HelpFormatter):
    """Fills each paragraph of a description to the width of the terminal; lists and examples stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = []
        for paragraph in text.split('\n\n'):
            listed = any(line.startswith(' ') for line in paragraph.splitlines())
            filled.append(paragraph if listed else textwrap.fill(paragraph, width))
        return '\n\n'.join(filled)


def add_video(parser: argparse.ArgumentParser) -> None:
    """VIDEO and what is read of it."""
    parser.add_argument('video', metavar='VIDEO', nargs='+',
                        help='a video file, a folder of frames, a folder of such files and folders, or several of '
                        'these. Phone videos are turned upright, interlaced ones deinterlaced; any size and any frame '
                        'rate will do, also odd sizes and rates that vary')
    parser.add_argument('--dry-run', action='store_true',
                        help='check all frames, list the scenes and what is left out, forecast the time, and stop '
                             'there; nothing is written')
    part = parser.add_argument_group('what is read of each video')
    part.add_argument('--start', metavar='TIME', help='where to begin: seconds, h:mm:ss, or 120f for frame 120, '
                                                      'counted from 0')
    part.add_argument('--end', metavar='TIME', help='where to stop, written likewise; the frame at this moment is not '
                                                    'used')
    part.add_argument('--stride', type=at_least_1, metavar='N', help='take each N-th frame')
    part.add_argument('--max-frames', type=at_least_1, metavar='N', help='stop after N frames')
    part.add_argument('--resize', type=at_least_1, nargs=2, metavar=('HEIGHT', 'WIDTH'),
                      help='resize the frames; motion is then px of the resized frames')
    part.add_argument('--range', type=float, nargs=2, metavar=('LOW', 'HIGH'),
                      help='the grey levels that become black and white. Default: of frames of more than 8 bits the '
                      'range of each scene, unless it is at least half of 16 bits')


def add_model(parser: argparse.ArgumentParser, weights: str = '', default: str = 'raft_small') -> None:
    """--model and --checkpoint; ``weights`` says what the checkpoint is for, '' that the command already has one."""
    names = '; '.join(f'{name}: {named.about}' for name, named in NAMED_MODELS.items())
    parser.add_argument('--model', default=default, metavar='NAME|CONFIG',
                        help=f'the network, by name or by config file (default: {default}). '
                             f'{names}'.replace('%', '%%'))
    if not weights:
        return
    parser.add_argument('--checkpoint', metavar='FILE',
                        help=f'{weights}: a stock mmflow checkpoint, a refined.pth, or the official file of the '
                        'authors of RAFT, CRAFT, PIPs or CorrFlow, or of torchvision. Default: load_from of the '
                        "model's config")


def add_teacher(parser: argparse.ArgumentParser) -> None:
    """--teacher and --teacher-checkpoint."""
    parser.add_argument('--teacher', action='append', metavar='NAME|CONFIG|DIR|self',
                        help='another network that labels the video, by name or by config file as --model: a large one '
                        'for a small one that learns; or a folder of flow that another program has estimated; given '
                        'several times, all label together, and self is the network itself (default: self)')
    parser.add_argument('--teacher-checkpoint', action='append', metavar='FILE',
                        help='weights of the teacher, as of --checkpoint; of several once for each that is a network, '
                        "in the same order. Default: load_from of the teacher's config")


def add_verify(parser: argparse.ArgumentParser, verified: str = 'labels are then better, and take about four times as '
               'long', dropped: str = 'gets no label') -> None:
    """--verify and --max-error; the texts say what comes of each, by default for labels."""
    parser.add_argument('--verify', action='store_true',
                        help='make four passes, at up to twice the size, which the verifier that comes with mmrefine '
                             f'weighs: {verified}')
    parser.add_argument('--max-error', type=float, metavar='PX',
                        help=f'as --verify, and motion that it expects to be off by more than PX px {dropped}')


def add_chain(parser: argparse.ArgumentParser) -> None:
    """--steps and --judge."""
    parser.add_argument('--steps', type=_step, nargs='+', metavar='N|first',
                        help='by flow: besides the step from each frame to the next (1) also those over so many '
                             'frames, and straight from the frame in which a point or a mask begins; each point takes '
                             'those by which it is expected to go least astray, and is found again when it was hidden. '
                             'Such as 1 2 4 8 first, for five times the time (default: 1)')
    parser.add_argument('--judge', choices=('round-trip', 'verifier'),
                        help='which error is to be expected of a step: by its round trip and the picture (default), or '
                             'by the verifier of four passes, for ten times the time')


def add_skip_corrupt(parser: argparse.ArgumentParser) -> None:
    """--skip-corrupt."""
    parser.add_argument('--skip-corrupt', action='store_true', help='leave out corrupt frames, their pairs, and scenes '
                                                                    'that cannot be used instead of stopping; '
                                                                    'corrupt_frames.json and left_out.json in the '
                                                                    'folder of results list them')


def add_set(parser: argparse.ArgumentParser) -> None:
    """--set KEY=VALUE."""
    parser.add_argument('--set', nargs='+', default=[], type=_pair, metavar='KEY=VALUE', dest='values',
                        help='override keys of the config, for example crop_size=(128,256) '
                             'optim_wrapper.optimizer.lr=5e-5')


def _step(text: str) -> Union[int, str]:
    """A number of frames, or ``first``."""
    return text if text == 'first' else at_least_1(text)


def at_least_1(text: str) -> int:
    """A whole number above 0."""
    return at_least_0(text, 1)


def at_least_0(text: str, least: int = 0) -> int:
    """A whole number, 0 too."""
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f'must be a whole number, at least {least}, got {text!r}')
    return int(text)


def reading_of(args: argparse.Namespace) -> Dict[str, Any]:
    """``reading`` and ``dry_run`` for the functions of :mod:`mmrefine.apis`, as far as they were given."""
    names = ('start', 'end', 'stride', 'max_frames', 'resize', 'range')
    reading = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return {**(dict(reading=reading) if reading else {}), **(dict(dry_run=True) if args.dry_run else {})}


def values_of(args: argparse.Namespace, **named: Any) -> Dict[str, Any]:
    """Values of the config by dotted key: those of --set, and those of other options that were given; None means not
    given.

    Raises:
        ConfigError: a key of --set that the command line says in another place, or a value that cannot be read.
    """
    from mmrefine.apis.commands import Overrides  # heavy
    from mmrefine.errors import ConfigError

    parser = argparse.ArgumentParser()
    parser.add_argument('--set', nargs='*', action=Overrides, default={})
    given: Mapping[str, Any] = parser.parse_args(['--set', *args.values]).set
    for key in given:
        if key in _ELSEWHERE:
            raise ConfigError(f'--set {key}=…: this key cannot be set here; {_ELSEWHERE[key]}')
    return {**{key.replace('__', '.'): value for key, value in named.items() if value is not None}, **given}


def _pair(text: str) -> str:
    key, equals, _ = text.partition('=')
    if not key or not equals:
        raise argparse.ArgumentTypeError(f'must be KEY=VALUE, got {text!r}')
    return text
