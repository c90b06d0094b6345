"""Read while others compute."""
from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Deque, Generic, Iterable, Iterator, TypeVar

T = TypeVar('T')
_END: Any = object()


class ReadAhead(Generic[T]):
    """What ``items`` gives, in its order, fetched by a thread of its own a few items before it is wanted.

    Decoding of pictures and videos lets other threads run, so it costs no time where a second core is free. An error of
    ``items`` is raised at the place of the item that it hit, after all before it were handed over. Used in a ``with``:
    however its block is left, the thread has ended behind it, after the item that it was fetching.

    Args:
        items: used by the thread alone from now on.
        depth: items in memory, fetched or being fetched, that have not been handed over; 0 fetches each when it is
            asked for, without a thread.
    """

    def __init__(self, items: Iterable[T], depth: int = 1) -> None:
        self._items, self._depth = iter(items), depth

    def __enter__(self) -> Iterator[T]:
        if self._depth < 1:
            return self._items
        self._thread = ThreadPoolExecutor(1, 'read-ahead')
        self._ready: Deque[Any] = deque(self._fetch() for _ in range(self._depth))
        return self._hand_over()

    def __exit__(self, *error: object) -> None:
        if self._depth > 0:
            self._thread.shutdown(cancel_futures=True)
            self._ready.clear()

    def _fetch(self) -> Any:
        return self._thread.submit(next, self._items, _END)

    def _hand_over(self) -> Iterator[T]:
        while self._ready:
            item = self._ready.popleft().result()
            if item is _END:
                break
            self._ready.append(self._fetch())
            yield item
            del item  # the next one is fetched meanwhile, and this one is done with
