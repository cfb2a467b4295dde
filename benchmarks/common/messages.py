"""The real messages that the pipeline benchmark sends: the first ones of a chat history, in order of time."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database

from benchmarks.common.documents import ORDER
from benchmarks.common.poison import POISON
from demo.messages import message_id, messages, read_conversations

_INSERT = 10_000
_ROUND = timedelta(days=366)

Message = dict[str, Any]


class History:
    """All messages in the order of their keys; fills collections with the first ones."""

    def __init__(self, database: Database[Message]) -> None:
        self._messages = sorted(messages(read_conversations()), key=lambda m: (m["created_at"], m["_id"]))
        self._database = database
        self._filled: set[str] = set()

    def collection(self, size: int, poisoned: int) -> Collection[Message]:
        """Returns a collection of the first `size` messages, `poisoned` of them with poison.

        It is filled at the first call. After the last message, the history begins again some years later.
        """
        name = f"messages_{size}" + (f"_poisoned_{poisoned}" if poisoned else "")
        collection = self._database[name]
        if name not in self._filled:
            self._fill(collection, size, frozenset(spread(size, poisoned)))
            self._filled.add(name)
        return collection

    def _fill(self, collection: Collection[Message], size: int, poisoned: AbstractSet[int]) -> None:
        for first in range(0, size, _INSERT):
            places = range(first, min(size, first + _INSERT))
            collection.insert_many([self._at(place, place in poisoned) for place in places], ordered=False)
        collection.create_index(ORDER)

    def _at(self, place: int, poisoned: bool) -> Message:  # noqa: FBT001
        round_, place = divmod(place, len(self._messages))
        message = dict(self._messages[place])
        if round_:
            later = message["created_at"] + round_ * _ROUND
            message |= {"created_at": later, "_id": message_id(later, message["conversation"], place)}
        if poisoned:
            message["text"] += f" {POISON}"
        return message


def spread(size: int, count: int) -> list[int]:
    """Returns `count` positions below `size`, evenly spread, none at an end."""
    return [size * (2 * at + 1) // (2 * count) for at in range(count)]
