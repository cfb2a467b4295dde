"""Deletes and inserts documents while a collection is read, and counts what the reader loses or repeats."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from pymongo.collection import Collection

from benchmarks.common.documents import ReadCounter, document, id_of
from benchmarks.skip_vs_keyset.readers import PageReader

SHARE = 0.01
"""The share of the documents that is deleted, and the share that is inserted."""


class Mode(StrEnum):
    """What happens to the collection during the read."""

    DELETES = "deletes"
    INSERTS = "inserts"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class ChurnResult:
    """The changes, and how many of the unchanged documents the reader lost or read more than once."""

    deleted: int
    inserted: int
    lost: int
    repeated: int


class Churn:
    """Changes a collection in small steps, spread evenly over the reading of it.

    Positions are random over the whole order, and the same at every run. Inserted documents are spread over
    the order too, as late messages are; in natural order they come last.
    """

    def __init__(self, collection: Collection[dict[str, Any]], size: int, steps: int, mode: Mode) -> None:
        rng = random.Random(1)
        count = int(size * SHARE)
        self._collection, self._steps, self._step = collection, steps, 0
        self._doomed = [] if mode is Mode.INSERTS else rng.sample(range(size), count)
        places = [] if mode is Mode.DELETES else rng.sample(range(size), count)
        self._new = [document(size + at, place) for at, place in enumerate(places)]
        self.deleted: set[int] = set()
        self.inserted = 0

    def step(self) -> None:
        """Makes the next share of the changes, until all are made."""
        doomed, new = self._share(self._doomed), self._share(self._new)
        self._step += 1
        if doomed:
            self._collection.delete_many({"_id": {"$in": [id_of(number) for number in doomed]}})
            self.deleted.update(doomed)
        if new:
            self._collection.insert_many(new)
            self.inserted += len(new)

    def _share(self, changes: list[Any]) -> list[Any]:
        first, last = (len(changes) * step // self._steps for step in (self._step, self._step + 1))
        return changes[first:last]


async def read_under_churn(reader: PageReader, page: int, churn: Churn, size: int) -> ChurnResult:
    """Reads everything, and makes a step of the changes after each page."""
    seen = ReadCounter(size + int(size * SHARE))
    async for found in reader.pages(page):
        seen.add(reader.ids(found))
        churn.step()
    stayed = [number for number in range(size) if number not in churn.deleted]
    return ChurnResult(len(churn.deleted), churn.inserted, seen.lost(stayed), seen.repeated(stayed))


def churn_row(reader: str, size: int, page: int, mode: Mode, result: ChurnResult) -> dict[str, Any]:
    """Makes the row for the result file."""
    return {"reader": reader, "size": size, "page": page, "mode": mode.value, **asdict(result)}
