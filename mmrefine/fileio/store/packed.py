"""Many small records in little memory."""
from __future__ import annotations

import json
from typing import Any, Dict, Iterator, Mapping


class Packed(Mapping[str, Any]):
    """Key -> anything of JSON, kept as text, which takes a fraction of what objects take; unpacked at each access."""

    def __init__(self) -> None:
        self._texts: Dict[str, str] = {}

    def __setitem__(self, key: str, value: Any) -> None:
        self._texts[key] = json.dumps(value, separators=(',', ':'))

    def __getitem__(self, key: str) -> Any:
        return json.loads(self._texts[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
