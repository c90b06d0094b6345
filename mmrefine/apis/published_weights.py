"""Published weights: where those of a network are, downloaded once, checked, and kept where PyTorch keeps its own."""
from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Callable, Optional, Union

import torch
import yaml

from mmrefine.compat.checkpoints import load_checkpoint_file
from mmrefine.compat.stock import stock_config_root
from mmrefine.errors import CheckpointError, ConfigError
from mmrefine.fileio.atomic import write_bytes, write_errors

# the first digits of the SHA-256, by which PyTorch names its files; not a date
_DIGEST_IN_NAME = re.compile(r'-(?!(?:19|20)\d{6}\.)([0-9a-f]{8,64})\.')
_SECONDS = 30  # to wait for a server to answer


def is_address(text: object) -> bool:
    """Whether weights are named by a web address."""
    return str(text).startswith(('http://', 'https://'))


def weights_folder() -> Path:
    """Where downloads are kept: ``$TORCH_HOME/hub/checkpoints``, as by PyTorch, torchvision and MMEngine."""
    return Path(torch.hub.get_dir()) / 'checkpoints'


def published_address(config: Union[str, Path]) -> Optional[str]:
    """Where OpenMMLab publishes the weights of a stock config of mmflow; None for any other config."""
    try:
        root = stock_config_root().resolve()
        path = Path(config).resolve().relative_to(root)
        listed = yaml.safe_load((root / path.parent / 'metafile.yml').read_text(encoding='utf-8'))
    except (ConfigError, OSError, ValueError, yaml.YAMLError):
        return None
    models = listed.get('Models', []) if isinstance(listed, dict) else []
    return next((str(model['Weights']) for model in models
                 if Path(str(model.get('Config'))).name == path.name and is_address(model.get('Weights'))), None)


def fetch_weights(address: str, log: Callable[[str], None] = print) -> Path:
    """The file of a web address, downloaded unless it is there already.

    It is checked by the digest that its name carries, else by the length that the server promises and by loading it
    without running code of its own; its digest and its address are then kept beside it, and compared from then on.

    Args:
        address: ``https://…``.
        log: called with a line before something is downloaded.

    Raises:
        CheckpointError: no network, no such file, one that is damaged or has changed since it was downloaded, or one of
            that name from another address.
    """
    path = weights_folder() / address.partition('?')[0].rstrip('/').rpartition('/')[2]
    note = path.with_name(path.name + '.sha256')
    named = _DIGEST_IN_NAME.search(path.name)
    fresh = not path.is_file()
    if fresh:
        log(f'downloading {address} to {path}')
        _download(address, path)
        note.unlink(missing_ok=True)
    digest, _, origin = (note.read_text(encoding='utf-8') if note.is_file() else '').strip().partition(' ')
    if origin not in ('', address):
        raise CheckpointError(f'{path}: was downloaded from {origin}, and {address} has the same name; rename '
                              'that file, or get the other one yourself and name it with --checkpoint')
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = named[1] if named else digest
    if not found.startswith(wanted):
        if fresh:
            path.unlink()
        raise CheckpointError(f'{path}: its SHA-256 begins with {found[:8]} and not with {wanted[:8]}, so it is '
                              f'{"damaged or another file" if fresh else "not what was downloaded"}; delete it and try '
                              f'again, or get {address} yourself and name it with --checkpoint')
    if not named and not note.is_file():
        try:
            load_checkpoint_file(path)
        except CheckpointError:
            if fresh:
                path.unlink()
            raise
        with write_errors(note, CheckpointError):
            write_bytes(note, f'{found} {address}\n'.encode())
    return path


def _download(address: str, path: Path) -> None:
    """The whole file, or none.

    Raises:
        CheckpointError: it cannot be had.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        length = _length(address)
        torch.hub.download_url_to_file(address, str(path), progress=False)
    except (OSError, ValueError) as error:  # URLError, HTTPError, timeouts, a full disk; an invalid address
        reason = getattr(error, 'reason', None) or getattr(error, 'strerror', None) or error
        raise CheckpointError(f'{address}: cannot be downloaded ({" ".join(str(reason).split())}); get it where there '
                              f'is a network and put it at {path}, or name weights with --checkpoint; --model demo '
                              'needs none') from error
    if length and path.stat().st_size != length:
        size = path.stat().st_size
        path.unlink()
        raise CheckpointError(f'{address}: {size} of {length} bytes arrived; try again')


def _length(address: str) -> int:
    """The bytes that a server promises; 0 if it does not say, as some do only for the file itself."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method='HEAD'), timeout=_SECONDS) as answer:
            return int(answer.headers.get('Content-Length') or 0)
    except urllib.error.HTTPError as error:
        if error.code not in (403, 405, 501):
            raise
        return 0
