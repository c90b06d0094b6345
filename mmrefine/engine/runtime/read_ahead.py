"""Read while others compute."""
from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Deque, Generic, Iterable, Iterator, Optional, Type, TypeVar

T = TypeVar('T')


class ReadAhead(Generic[T]):
    """What ``items`` gives, in its order, fetched by a thread of its own a few items before it is wanted.

    Decoding of pictures and videos lets other threads run, so it costs no time where a second core is free. An error of ``items`` is
    raised at the place of the item that it hit, after all before it were handed over. Used in a ``with``: however its block is left,
    the thread has ended behind it, after the item that it was fetching.

    Args:
        items: used by the thread alone from now on.
        depth: items in memory, fetched or being fetched, that have not been handed over; 0 fetches each when it is asked for, without
            a thread.
    """

    def __init__(self, items: Iterable[T], depth: int = 1) -> None:
        self._items, self._depth = iter(items), depth
        self._ready: Deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._unwanted = False
        self._failure: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._fetch, name='read-ahead', daemon=True)

    def __enter__(self) -> Iterator[T]:
        if self._depth < 1:
            return self._items
        self._thread.start()
        return self._hand_over()

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if self._depth < 1:
            return
        with self._changed:
            self._unwanted = True
            self._changed.notify_all()
        self._thread.join()
        self._ready.clear()

    def _hand_over(self) -> Iterator[T]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._ended)
                if not self._ready:
                    break
                item = self._ready.popleft()
                self._changed.notify_all()
            yield item
            del item  # the next one is fetched meanwhile, and this one is done with
        if self._failure is not None:
            raise self._failure

    def _fetch(self) -> None:
        try:
            while self._has_room():
                self._put(next(self._items))
        except StopIteration:
            pass
        except BaseException as error:  # whatever it is, it belongs to whoever wanted the item
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        """Wait for it; False if nothing is wanted any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._unwanted or len(self._ready) < self._depth)
            return not self._unwanted

    def _put(self, item: T) -> None:
        with self._changed:
            self._ready.append(item)
            self._changed.notify_all()
