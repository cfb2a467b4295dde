"""The real messages that the pipeline benchmark sends: the beginning of a chat history, in time."""

from __future__ import annotations

from typing import Any

from bench_data import ORDER
from bench_service import POISON
from pymongo.collection import Collection
from pymongo.database import Database

from engine.demo.corpus import messages, read_conversations

_INSERT = 10_000

Message = dict[str, Any]


class History:
    """All messages in the order of their keys, and collections of them."""

    def __init__(self, database: Database[Message]) -> None:
        self._messages = sorted(messages(read_conversations()), key=lambda m: (m["created_at"], m["_id"]))
        self._database = database
        self._filled: set[str] = set()

    def collection(self, size: int, poisoned: int) -> Collection[Message]:
        """The first `size` messages, `poisoned` of them with poison in their text; filled when first asked for."""
        name = f"messages_{size}" + (f"_poisoned_{poisoned}" if poisoned else "")
        collection = self._database[name]
        if name not in self._filled:
            self._fill(collection, size, poisoned)
            self._filled.add(name)
        return collection

    def _fill(self, collection: Collection[Message], size: int, poisoned: int) -> None:
        chosen = self._messages[:size]
        for at in spread(len(chosen), poisoned):
            chosen[at] = {**chosen[at], "text": f"{chosen[at]['text']} {POISON}"}
        for first in range(0, len(chosen), _INSERT):
            collection.insert_many(chosen[first : first + _INSERT], ordered=False)
        collection.create_index(ORDER)


def spread(size: int, count: int) -> list[int]:
    """So many positions, far from each other and none at an end."""
    return [size * (2 * at + 1) // (2 * count) for at in range(count)]
