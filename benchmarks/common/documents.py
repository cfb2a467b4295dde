"""The documents that benchmarks read: chat messages, three per second, the same at every run.

Each document has a number, which its `_id` contains. So a bytearray can count how often each one was read.
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
"""The fields that the engine reads of a document. Every reader that is compared reads the same ones."""

TIES = 3
"""Documents per timestamp. A reader whose key is the timestamp alone would lose some."""

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
    """Makes sentences of about 60 characters."""
    rng = random.Random(0)
    lengths = (rng.randint(_MEAN_WORDS - 6, _MEAN_WORDS + 6) for _ in range(count))
    return [" ".join(rng.choices(_WORDS, k=length)) for length in lengths]


_TEXTS = _texts(1009)


def document(number: int, at: int | None = None) -> dict[str, Any]:
    """Makes a message.

    Args:
        number: its number.
        at: the number of the document whose timestamp it shares; by default its own.
    """
    second = (number if at is None else at) // TIES
    return {
        "_id": id_of(number, second),
        "created_at": _START + timedelta(seconds=second),
        "text": _TEXTS[number % len(_TEXTS)],
        "sender": number % 2,
    }


def id_of(number: int, second: int | None = None) -> ObjectId:
    """Makes the `_id` of a document from its second, as in every ObjectId, and its number."""
    second = number // TIES if second is None else second
    moment = int(_START.timestamp()) + second
    return ObjectId(moment.to_bytes(4, "big") + number.to_bytes(8, "big"))


def number_of(document_id: ObjectId) -> int:
    """Returns the number that an `_id` contains."""
    return int.from_bytes(document_id.binary[4:], "big")


def fill(collection: Collection[dict[str, Any]], size: int) -> None:
    """Inserts documents 0 to `size - 1` in the order of their keys, then creates the index.

    This order of insertion makes reads by index as fast as possible: neighbours in the index are neighbours
    on disk, as in a real chat history.
    """
    for first in range(0, size, _INSERT):
        numbers = range(first, min(size, first + _INSERT))
        collection.insert_many([document(n) for n in numbers], ordered=False)
    collection.create_index(ORDER)


class ReadCounter:
    """Counts how often each document was read.

    Attributes:
        times: how often, by the number of the document; 255 means 255 times or more.
    """

    def __init__(self, size: int) -> None:
        self.times = bytearray(size)

    def add(self, document_ids: Iterable[ObjectId]) -> None:
        """Counts the documents of a page."""
        for document_id in document_ids:
            number = number_of(document_id)
            self.times[number] = min(255, self.times[number] + 1)

    def lost(self, among: Iterable[int]) -> int:
        """Counts those of the given documents that were never read."""
        return sum(not self.times[number] for number in among)

    def repeated(self, among: Iterable[int]) -> int:
        """Counts those of the given documents that were read more than once."""
        return sum(self.times[number] > 1 for number in among)
