"""Read ahead in a thread."""
from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Deque, Generic, Iterable, Iterator, TypeVar

T = TypeVar('T')
_END: Any = object()


class ReadAhead(Generic[T]):
    """Iterate over ``items``, fetched in order by a thread a few items ahead.

    Decoding of pictures and videos releases the GIL, so it takes no extra time where a second core is free. An error of
    ``items`` is raised in place of the item that caused it, after all items before it. Use it in a ``with`` block:
    when the block is left, for whatever reason, the thread finishes the item that it is fetching and ends.

    Args:
        items: from now on used only by the thread.
        depth: most items that are fetched or being fetched ahead; 0: fetch each item on request, without a
            thread.
    """

    def __init__(self, items: Iterable[T], depth: int = 1) -> None:
        self._items, self._depth = iter(items), depth

    def __enter__(self) -> Iterator[T]:
        if self._depth < 1:
            return self._items
        self._thread = ThreadPoolExecutor(1, 'read-ahead')
        self._ready: Deque[Any] = deque(self._fetch() for _ in range(self._depth))
        return self._fetched()

    def __exit__(self, *error: object) -> None:
        if self._depth > 0:
            self._thread.shutdown(cancel_futures=True)
            self._ready.clear()

    def _fetch(self) -> Any:
        return self._thread.submit(next, self._items, _END)

    def _fetched(self) -> Iterator[T]:
        while self._ready:
            item = self._ready.popleft().result()
            if item is _END:
                break
            self._ready.append(self._fetch())
            yield item
            del item  # free it before the next one arrives
