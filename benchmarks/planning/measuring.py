"""Measures all ways of planning at all sizes, and counts what each loses of mixed types."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, pairwise
from statistics import median
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from benchmarks.common.documents import fill
from benchmarks.common.mongo import Driver, connected
from benchmarks.common.progress import Steps
from benchmarks.planning.counts import COUNTERS, YARDSTICK, count_range, count_stages, skew_of, whole_window
from benchmarks.planning.mixed_types import CASES, DOCUMENTS, READERS, TARGET, fill_case, read_ranges
from benchmarks.planning.splitters import ENGINE, SPLITTERS, NotAllowedError, Split, SplitTask
from engine.errors import EngineError

WAYS = (*SPLITTERS, *COUNTERS)


@dataclass(frozen=True)
class Setup:
    """The sizes to measure, the approximate number of ranges, and how often."""

    sizes: tuple[int, ...] = (100_000, 300_000, 1_000_000)
    ranges: int = 100
    repetitions: int = 5
    driver: Driver = Driver.MOTOR


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a way. A count has no split; a way that was not allowed has only the reason."""

    seconds: float
    split: Split | None = None
    refused: str | None = None


class Planning:
    """The measurements of one setup on one server.

    Attributes:
        times: one row per way and size.
        mixed: one row per case of mixed types, way, and way of reading.
    """

    def __init__(self, uri: str, database: Database[dict[str, Any]], setup: Setup, shown: Steps) -> None:
        self._uri, self._database, self._setup, self._shown = uri, database, setup, shown
        self.times: list[dict[str, Any]] = []
        self.mixed: list[dict[str, Any]] = []

    @staticmethod
    def step_count(setup: Setup) -> int:
        """The number of steps, for the progress bar."""
        return len(setup.sizes) * len(WAYS) * (1 + setup.repetitions) + len(CASES) * len(SPLITTERS)

    def run(self) -> None:
        """Measures everything."""
        for size in self._setup.sizes:
            self._shown.at(f"filling {size:,}")
            fill(self._database["messages"], size)
            self._flush()
            asyncio.run(self._compare(size))
            self._database.drop_collection("messages")
        for case in CASES:
            fill_case(self._database[case], CASES[case])
            asyncio.run(self._read_mixed(case))

    def _flush(self) -> None:
        """Writes the documents to disk, which the server would otherwise do during a measurement."""
        with suppress(OperationFailure):  # the user may lack the privilege
            self._database.client.admin.command("fsync")

    # --- time and skew ---

    async def _compare(self, size: int) -> None:
        """Runs each way once to warm up, then all in turn; counts the documents of the ranges afterwards."""
        runs: dict[str, list[Run]] = {way: [] for way in WAYS}
        async with connected(self._uri, self._setup.driver) as client:
            task = SplitTask(
                client[self._database.name]["messages"], size, max(1, size // self._setup.ranges)
            )
            for repetition in range(1 + self._setup.repetitions):
                for way in WAYS:
                    self._shown.at(f"{way}, {size:,}, repetition {repetition} of {self._setup.repetitions}")
                    runs[way].append(await _timed(way, task))
                    self._shown.done()
            yardstick = median(run.seconds for run in runs[YARDSTICK][1:])
            for way in WAYS:
                self._shown.at(f"{way}, {size:,}, counting its ranges")
                self.times.append(await _row(way, task, runs[way][1:], yardstick))

    # --- what is lost ---

    async def _read_mixed(self, case: str) -> None:
        async with connected(self._uri, self._setup.driver) as client:
            collection = client[self._database.name][case]
            task = SplitTask(collection, DOCUMENTS, TARGET, CASES[case].order_field)
            for way in SPLITTERS:
                self._shown.at(f"{way}, {CASES[case].label}")
                self.mixed += await _read_each_way(case, way, task)
                self._shown.done()


async def _timed(way: str, task: SplitTask) -> Run:
    """Runs a way once, and times it as its caller sees it.

    Raises:
        RuntimeError: a count did not find all documents.
    """
    began = time.perf_counter()
    if way in COUNTERS:
        counted = await COUNTERS[way](task.collection, whole_window(task.documents))
        if counted != task.documents:
            raise RuntimeError(f"{way} found {counted} of {task.documents} documents")
        return Run(time.perf_counter() - began)
    try:
        split = await SPLITTERS[way](task)
    except NotAllowedError as error:
        return Run(time.perf_counter() - began, refused=str(error))
    return Run(time.perf_counter() - began, split)


async def _row(way: str, task: SplitTask, runs: Sequence[Run], yardstick: float) -> dict[str, Any]:
    row: dict[str, Any] = {"way": way, "size": task.documents, "target": task.target}
    refused = next((run.refused for run in runs if run.refused), None)
    if refused:
        return {**row, "refused": refused}
    seconds = median(run.seconds for run in runs)
    row |= {"seconds": seconds, "ratio": seconds / yardstick}
    row["repetitions"] = [round(run.seconds, 4) for run in runs]
    if way == YARDSTICK:
        row["stages"] = await count_stages(task.collection, whole_window(task.documents))
    splits = [run.split for run in runs if run.split]
    return {**row, **(await _skew(task, splits) if splits else {})}


async def _skew(task: SplitTask, splits: Sequence[Split]) -> dict[str, Any]:
    """Computes the skew over all repetitions, and whether the ranges cover the collection exactly."""
    holds = [[await count_range(task.collection, one) for one in split.ranges] for split in splits]
    pairs = [pair for split in splits for pair in pairwise(split.ranges)]
    counted = list(zip(chain(*holds), chain(*(split.ranges for split in splits)), strict=True))
    return {
        "ranges": round(median(len(sizes) for sizes in holds)),
        **asdict(skew_of(list(chain(*holds)), task.target)),
        "unaccounted": max(abs(task.documents - sum(sizes)) for sizes in holds),
        "gaps": sum(before.stop != after.start for before, after in pairs),
        "miscounted": sum(r.expected not in (None, held) for held, r in counted),
    }


async def _read_each_way(case: str, way: str, task: SplitTask) -> list[dict[str, Any]]:
    """Counts what each way of reading these ranges loses; if they cannot be made, gives the reason."""
    row = {"case": case, "way": way}
    try:
        split = await SPLITTERS[way](task)
    except (NotAllowedError, EngineError) as error:
        return [{**row, "reading": reading, "refused": str(error)} for reading in READERS]
    results = {reading: await read_ranges(task, split, read) for reading, read in READERS.items()}
    return [{**row, "reading": reading, **asdict(result)} for reading, result in results.items()]


def complete(times: Sequence[dict[str, Any]], mixed: Sequence[dict[str, Any]]) -> bool:
    """Whether the engine's ways neither lost nor repeated a document, and counted correctly."""
    tiled = [row for row in times if row["way"] in ENGINE]
    read = [row for row in mixed if row["way"] in ENGINE and row["reading"] == "engine"]
    wrong = any(row["unaccounted"] or row["gaps"] or row["miscounted"] for row in tiled)
    return not wrong and not any("refused" in row or row["lost"] or row["repeated"] for row in read)
