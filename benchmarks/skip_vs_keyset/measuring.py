"""Measures all readers at all sizes and page sizes, and while the collection changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from pymongo.database import Database

from benchmarks.common.documents import ReadCounter, fill
from benchmarks.common.mongo import Driver, connected
from benchmarks.common.profiler import Profile, profiled
from benchmarks.common.progress import Steps
from benchmarks.skip_vs_keyset.churn import Churn, Mode, churn_row, read_under_churn
from benchmarks.skip_vs_keyset.readers import READERS, PageReader, SkipReader
from benchmarks.skip_vs_keyset.timing import (
    Reading,
    median_pages,
    read_sampled,
    read_whole,
    sampled_offsets,
    sampled_pages,
    skipped_documents,
)

PLOTTED_PAGES = 40


@dataclass(frozen=True)
class Setup:
    """The sizes and pages to measure, and how often.

    Attributes:
        samples: the number of depths at which pages are read if the total is estimated.
        most_skipped: the total is estimated if a whole read would skip more documents than this.
        settings: settings of the engine, besides the page size.
    """

    sizes: tuple[int, ...] = (100_000, 300_000, 1_000_000)
    pages: tuple[int, ...] = (1_000, 10_000)
    repetitions: int = 3
    samples: int = 40
    most_skipped: int = 50_000_000
    driver: Driver = Driver.MOTOR
    settings: Mapping[str, Any] = field(default_factory=dict)


class Comparison:
    """The measurements of one setup on one server.

    Attributes:
        reads: one row per reader, size and page.
        churn: one row per reader, page and mode, at the smallest size.
    """

    def __init__(self, uri: str, database: Database[dict[str, Any]], setup: Setup, shown: Steps) -> None:
        self._uri, self._database, self._setup, self._shown = uri, database, setup, shown
        self.reads: list[dict[str, Any]] = []
        self.churn: list[dict[str, Any]] = []

    @staticmethod
    def step_count(setup: Setup) -> int:
        """The number of steps, for the progress bar."""
        reads = len(READERS) * len(setup.pages) * len(setup.sizes) * (1 + setup.repetitions)
        return reads + len(READERS) * len(setup.pages) * len(Mode)

    def run(self) -> None:
        """Measures everything."""
        for size in self._setup.sizes:
            self._shown.at(f"filling {size:,}")
            fill(self._database[_name(size)], size)
            for page in self._setup.pages:
                self._compare(size, page)
            self._database.drop_collection(_name(size))
        for page in self._setup.pages:
            for mode in Mode:
                for reader in READERS:
                    self._step(reader, min(self._setup.sizes), page, f"with {mode}")
                    self.churn.append(self._read_under_churn(reader, page, mode))
                    self._shown.done()

    # --- time and work ---

    def _compare(self, size: int, page: int) -> None:
        """Runs all readers: once with the profiler, which also warms the cache, then interleaved for time."""
        rows = {}
        for reader in READERS:
            self._step(reader, size, page, "profiled")
            rows[reader] = self._examine(reader, size, page)
            self._shown.done()
        readings: dict[str, list[Reading]] = {reader: [] for reader in READERS}
        for repetition in range(self._setup.repetitions):
            for reader in READERS:
                self._step(reader, size, page, f"repetition {repetition + 1}")
                readings[reader].append(asyncio.run(self._time(reader, size, page)))
                self._shown.done()
        for reader, repeated in readings.items():
            self.reads.append({**rows[reader], **self._times(repeated, rows[reader]["pages"])})

    def _examine(self, reader: str, size: int, page: int) -> dict[str, Any]:
        """Measures what the server examines in total, and whether each document is read exactly once.

        The cost of a skip is linear in its depth, so sampled depths give the total.
        """
        seen = ReadCounter(size)
        with profiled(self._database, _name(size)) as profile:
            reading = asyncio.run(self._read_once(reader, size, page, seen))
        sampled = reading.estimated
        pages = reading.planned or len(reading.pages)
        scale = pages / len(reading.pages)
        numbers = range(size)
        counted = {} if sampled else {"lost": seen.lost(numbers), "repeated": seen.repeated(numbers)}
        return {
            "reader": reader,
            "size": size,
            "page": page,
            "pages": pages,
            "keys_examined": round(profile.keys * scale),
            "documents_examined": round(profile.documents * scale),
            "plans": sorted(profile.plans),
            "examined_at": self._examined_at(profile, [p.depth for p in reading.pages] if sampled else []),
            **counted,
        }

    def _examined_at(self, profile: Profile, skipped: list[int]) -> list[dict[str, int]]:
        """Returns what some operations examined, and at which depth."""
        chosen = sampled_pages(len(profile.operations), self._setup.samples)
        rows = [asdict(profile.operations[at]) for at in chosen]
        return [{**row, "after": at} for row, at in zip(rows, skipped, strict=True)] if skipped else rows

    async def _read_once(self, reader: str, size: int, page: int, seen: ReadCounter) -> Reading:
        async with self._reader(reader, size) as opened:
            if isinstance(opened, SkipReader):
                return await read_sampled(opened, page, sampled_offsets(size, page, self._setup.samples))
            return await read_whole(opened, page, seen)

    async def _time(self, reader: str, size: int, page: int) -> Reading:
        async with self._reader(reader, size) as opened:
            long = skipped_documents(size, page) > self._setup.most_skipped
            if isinstance(opened, SkipReader) and long:
                return await read_sampled(opened, page, sampled_offsets(size, page, self._setup.samples))
            return await read_whole(opened, page)

    def _times(self, readings: list[Reading], pages: int) -> dict[str, Any]:
        whole = not readings[0].estimated and pages > self._setup.samples
        ratios = [reading.estimate_ratio(self._setup.samples) for reading in readings] if whole else []
        return {
            "seconds": median(reading.seconds for reading in readings),
            "repetitions": [round(reading.seconds, 4) for reading in readings],
            "estimated": readings[0].estimated,
            "documents": sum(timed.documents for timed in readings[0].pages),
            "estimate_ratio": median(ratios) if ratios else None,
            "depths": [asdict(timed) for timed in median_pages(readings, PLOTTED_PAGES)],
        }

    # --- what is lost ---

    def _read_under_churn(self, reader: str, page: int, mode: Mode) -> dict[str, Any]:
        """Reads a new collection each time, so that no reader finds the changes of another."""
        size = min(self._setup.sizes)
        collection = self._database[_name(size)]
        collection.drop()
        fill(collection, size)
        churn = Churn(collection, size, -(-size // page), mode)

        async def read() -> dict[str, Any]:
            async with self._reader(reader, size) as opened:
                result = await read_under_churn(opened, page, churn, size)
            return churn_row(reader, size, page, mode, result)

        return asyncio.run(read())

    @asynccontextmanager
    async def _reader(self, reader: str, size: int) -> AsyncIterator[PageReader]:
        async with connected(self._uri, self._setup.driver) as client:
            collection = client[self._database.name][_name(size)]
            yield READERS[reader](collection, size, self._setup.settings)

    def _step(self, reader: str, size: int, page: int, what: str) -> None:
        self._shown.at(f"{reader}, {size:,} by {page:,}, {what}")


def _name(size: int) -> str:
    return f"messages_{size}"
