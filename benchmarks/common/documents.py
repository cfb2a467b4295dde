"""The documents that benchmarks read: chat messages, three to a second, the same at every run.

Each has a number that its `_id` holds, so a bytearray is enough to tell which were read and how often.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from bson.objectid import ObjectId
from pymongo.collection import Collection

ORDER = [("created_at", 1), ("_id", 1)]
PROJECTION = {"_id": 1, "created_at": 1, "text": 1}
"""What the engine reads of a document; every reader here asks for the same."""

TIES = 3
"""Documents a timestamp: keys on the timestamp alone would lose some."""

_START = datetime(2024, 1, 1, tzinfo=UTC)
_INSERT = 10_000
_WORDS = [
    "hello",
    "thanks",
    "meeting",
    "tomorrow",
    "Berlin",
    "coffee",
    "later",
    "maybe",
    "Anna",
    "train",
    "seven",
    "weekend",
    "great",
    "photo",
    "Paris",
    "project",
    "question",
    "yes",
    "sure",
    "school",
    "Maria",
    "ticket",
    "lunch",
    "rain",
    "music",
    "Tokyo",
]
_MEAN_WORDS = 10


def _texts(count: int) -> list[str]:
    """Sentences of about 60 characters."""
    rng = random.Random(0)
    lengths = (rng.randint(_MEAN_WORDS - 6, _MEAN_WORDS + 6) for _ in range(count))
    return [" ".join(rng.choices(_WORDS, k=length)) for length in lengths]


_TEXTS = _texts(1009)


def document(number: int, at: int | None = None) -> dict[str, Any]:
    """A message.

    Args:
        number: its identity.
        at: the number of the document whose timestamp it shares; by default its own place.
    """
    second = (number if at is None else at) // TIES
    return {
        "_id": id_of(number, second),
        "created_at": _START + timedelta(seconds=second),
        "text": _TEXTS[number % len(_TEXTS)],
        "sender": number % 2,
    }


def id_of(number: int, second: int | None = None) -> ObjectId:
    """The `_id` of a document: its second, as in every ObjectId, and its number."""
    second = number // TIES if second is None else second
    moment = int(_START.timestamp()) + second
    return ObjectId(moment.to_bytes(4, "big") + number.to_bytes(8, "big"))


def number_of(document_id: ObjectId) -> int:
    """The number of the document with that `_id`."""
    return int.from_bytes(document_id.binary[4:], "big")


def fill(collection: Collection[dict[str, Any]], size: int) -> None:
    """Inserts documents 0 to `size - 1` in the order of their keys, then makes the index.

    The order of insertion is the kindest there is to a read by index: neighbours in the index are
    neighbours on disk, as in a real chat history.
    """
    for first in range(0, size, _INSERT):
        numbers = range(first, min(size, first + _INSERT))
        collection.insert_many([document(n) for n in numbers], ordered=False)
    collection.create_index(ORDER)


class ReadCounter:
    """How often each document was read.

    Attributes:
        times: by number; 255 stands for that often or more.
    """

    def __init__(self, size: int) -> None:
        self.times = bytearray(size)

    def add(self, document_ids: Iterable[ObjectId]) -> None:
        """Takes down the documents of a page."""
        for document_id in document_ids:
            number = number_of(document_id)
            self.times[number] = min(255, self.times[number] + 1)

    def lost(self, among: Iterable[int]) -> int:
        """How many of the given documents were never read."""
        return sum(not self.times[number] for number in among)

    def repeated(self, among: Iterable[int]) -> int:
        """How many of the given documents were read more than once."""
        return sum(self.times[number] > 1 for number in among)
