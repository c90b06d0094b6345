"""The file of a label store that keeps what the quality of its labels is judged by."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Mapping

from mmrefine.errors import LabelStoreError

from .atomic import json_bytes
from .digest import digest_of


def quality_bytes(made_from: str, labels: Mapping[str, Any]) -> bytes:
    """The file that keeps what the quality of each label is judged by: an object of JSON, one line for a label.

    Args:
        made_from: digest of the fingerprint of the store.
        labels: key -> anything that JSON can say.
    """
    head = {'made_from': made_from, 'digest': digest_of([made_from, json.loads(json_bytes(labels))])}
    lines = [f'{json.dumps(name)}: {json.dumps(value)}' for name, value in head.items()]
    rows = ',\n'.join(f'  {json.dumps(key)}: {json.dumps(json.loads(json_bytes(value)))}' for key, value in sorted(labels.items()))
    return ('{\n ' + ',\n '.join([*lines, '"labels": {\n' + rows + '\n }']) + '\n}\n').encode('ascii')


def read_quality(path: Path, made_from: str) -> Dict[str, Any]:
    """Key -> what the quality of the label is judged by.

    Raises:
        LabelStoreError: it is damaged, or of another store.
    """
    try:
        data = path.read_bytes()
        labels = json.loads(data)['labels']
        if quality_bytes(made_from, labels) != data:
            raise ValueError('not the bytes that were written for these labels')
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LabelStoreError(f'{path}: cannot be read ({error}); bring this file back from a copy, or delete it: the labels are then '
                              'read to be judged') from error
    return dict(labels)
