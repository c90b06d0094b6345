"""Verify label stores, or merge several into one. Needs neither the network nor the frames."""
from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import List, Optional

from mmrefine.compat.threads import choose_threads

if __name__ == '__main__':
    choose_threads()  # before torch is loaded

from mmrefine.apis.exit_status import run_command
from mmrefine.errors import ConfigError
from mmrefine.fileio.store.merge import merge_stores
from mmrefine.fileio.store.verification import verify_store


def main(argv: Optional[List[str]] = None) -> int:
    """Run the command line; 0 if the store is intact."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    verify = commands.add_parser('verify', help='read every file; exit status 0 if all are as they were written, else '
                                                '1 and a line for each fault')
    verify.add_argument('store', type=Path, help='folder of the labels')
    merge = commands.add_parser('merge', help='make one store of several with the same fingerprint, which are not '
                                              'changed')
    merge.add_argument('out', type=Path, help='folder of the merged store')
    merge.add_argument('stores', type=Path, nargs='+', metavar='in', help='folders of the stores')
    for command in (verify, merge):
        command.add_argument('--import', dest='modules', action='append', default=[], metavar='MODULE',
                             help='a module that registers the codec of labels of another kind, as custom_imports of '
                                  'a config does; it must be on the PYTHONPATH')
    args = parser.parse_args(argv)
    for module in args.modules:
        _import(module)
    return _verify(args.store) if args.command == 'verify' else _merge(args.out, args.stores)


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(f'--import {module}: cannot be imported ({error}); correct the name, or add its folder to '
                          'PYTHONPATH') from error


def _verify(store: Path) -> int:
    check = verify_store(store)
    for fault in check.faults:
        print(fault)
    if not check.faults:
        print(f'{store}: whole; {check.labels} labels, {check.size / 1e6:.2f} MB')
    return 1 if check.faults else 0


def _merge(out: Path, stores: List[Path]) -> int:
    merged = merge_stores(out, stores)
    rest = 'not complete yet; tools/make_labels.py with this store makes what is missing'
    print(f'{out}: {merged.labels} labels, {merged.added} copied now; {"complete" if merged.complete else rest}')
    return 0


if __name__ == '__main__':
    run_command(main)
