"""A bounded queue between two stages; it can be closed."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Channel(Generic[T]):
    """Passes items from one stage to the tasks of the next, in order, until it is closed.

    Args:
        capacity: the most items that wait in it; `put` waits while it is full.
    """

    def __init__(self, capacity: int) -> None:
        self._room = asyncio.Semaphore(capacity)
        self._items: asyncio.Queue[T | None] = asyncio.Queue()  # None marks the end
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    async def put(self, item: T) -> None:
        """Adds an item; waits until there is room."""
        await self._room.acquire()
        self._waiting += 1
        self._items.put_nowait(item)

    async def get(self) -> T | None:
        """Returns the next item, or None once the channel is closed and empty."""
        item = await self._items.get()
        if item is None:
            self._items.put_nowait(None)  # the other tasks need the end mark too
        else:
            self._waiting -= 1
            self._room.release()
        return item

    def close(self) -> None:
        """Announces that no item will follow."""
        self._items.put_nowait(None)

    def drop(self) -> None:
        """Closes the channel and discards the items that wait in it."""
        while not self._items.empty():
            self._items.get_nowait()
        self._waiting = 0
        self.close()
