"""Queries the data of a run's HTML report, in a bounded time, and renders the report.

No index serves these queries, and none is created for them. So the dead letters are counted for at most
`QUERY_S`, and entities are counted in the documents written last. If a query fails or takes too long, the
report says so and is made all the same.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from engine.errors import EngineError
from engine.keys.bson_values import to_relaxed_json
from engine.mongo import calls, driver
from engine.observing.timeline import Timeline
from engine.planning.plan import Plan
from engine.report import RunReport
from engine.reporting.page import render
from engine.reporting.report_data import DeadLetterRow, DeadLetters, ReportData, TopEntities
from engine.settings import Settings
from engine.storing.mongo_checkpoints import MongoCheckpoints
from engine.storing.target import Target

QUERY_S = 10.0
"""Time limit of each query, for the server as for waiting."""

MOST_COUNTED = 50_000
"""Documents whose entities are counted at most; this takes about a second and some megabytes of traffic."""

ENTITY_CHARS = 200
"""Characters of a label and a text that are kept; longer ones that begin alike are counted together."""


async def report_html(
    plan: Plan,
    report: RunReport,
    target: driver.AnyDatabase,
    settings: Settings,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> str:
    """Returns a run's report as the text of one self-contained HTML file, to be written in UTF-8.

    Args:
        plan: the plan of the run.
        report: the report of the run, finished or not (from `engine.run` or `engine.conclude`).
        target: database with its results, checkpoints and dead letters.
    """
    places, most = Target.of(target, plan.namespace, settings), settings.tuning.report_entities
    data = ReportData(
        report,
        plan,
        now(),
        await _timelines(plan, MongoCheckpoints(places.checkpoints)),
        await _letters(places.dead_letters, plan.run_id, settings.tuning.report_dead_letters),
        await _top_entities(places.entities, report, most) if most else None,
    )
    return render(data)


async def _timelines(plan: Plan, checkpoints: MongoCheckpoints) -> dict[str, Timeline]:
    try:
        async with asyncio.timeout(QUERY_S):
            kept = await checkpoints.of_run(plan.run_id)
    except (EngineError, TimeoutError):
        return {}
    return {checkpoint.key_range.range_id: checkpoint.timeline for checkpoint in kept}


# --- dead letters ---


async def _letters(collection: driver.Collection, run_id: str, most: int) -> DeadLetters:
    """Returns the dead letters that this run was the last to write."""
    try:
        async with asyncio.timeout(2 * QUERY_S):
            counted = await _count_by_kind(collection, run_id)
            first = await _first_rows(collection, run_id, most) if most else ()
    except (EngineError, TimeoutError) as error:
        return DeadLetters(problem=_problem(error))
    by_kind: Counter[str] = Counter()
    for (kind, _), count in counted.items():
        by_kind[kind] += count
    resolved = sum(count for (_, resolved), count in counted.items() if resolved)
    return DeadLetters(by_kind, resolved, first)


async def _count_by_kind(collection: driver.Collection, run_id: str) -> dict[tuple[str, bool], int]:
    """Counts them by class and by whether they are resolved."""
    group = {"kind": "$kind", "resolved": {"$gt": ["$resolved_at", None]}}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"run_id": run_id}},
        {"$group": {"_id": group, "count": {"$sum": 1}}},
    ]
    found = await calls.read_target(
        collection, lambda: driver.aggregate(collection, pipeline, maxTimeMS=int(QUERY_S * 1000))
    )
    return {(str(row["_id"]["kind"]), row["_id"]["resolved"]): row["count"] for row in found}


async def _first_rows(collection: driver.Collection, run_id: str, most: int) -> tuple[DeadLetterRow, ...]:
    fields = ("kind", "status", "attempts", "range_id", "last_at", "resolved_at")

    def find() -> Awaitable[list[dict[str, Any]]]:
        cursor = collection.find({"run_id": run_id}, dict.fromkeys(fields, 1)).sort([("_id", 1)]).limit(most)
        return cursor.max_time_ms(int(QUERY_S * 1000)).to_list(length=None)

    found = await calls.read_target(collection, find)
    return tuple(
        DeadLetterRow(
            to_relaxed_json(letter["_id"]),
            str(letter["kind"]),
            letter.get("status"),
            letter.get("attempts", 0),
            str(letter.get("range_id", "")),
            letter.get("last_at"),
            letter.get("resolved_at") is not None,
        )
        for letter in found
    )


# --- entities ---


async def _top_entities(collection: driver.Collection, report: RunReport, most: int) -> TopEntities:
    """Counts the entities of the documents written last, which are at the end of the collection."""
    if not report.written:
        return TopEntities()
    counts: Counter[tuple[str, str]] = Counter()
    documents, problem = 0, None

    async def count() -> None:
        nonlocal documents
        counts.clear()
        documents = 0
        async for found in _written(collection, report.run_id, min(MOST_COUNTED, report.written)):
            documents += 1
            counts.update((e["label"][:ENTITY_CHARS], e["text"][:ENTITY_CHARS]) for e in found["entities"])

    try:
        async with asyncio.timeout(QUERY_S):
            await calls.read_target(collection, count)
    except (EngineError, TimeoutError) as error:
        problem = _problem(error)
    top = tuple((label, text, count) for (label, text), count in counts.most_common(most))
    return TopEntities(top, documents, max(documents, report.written), problem)


def _written(collection: driver.Collection, run_id: str, most: int) -> Any:
    fields = {"_id": 0, "entities.label": 1, "entities.text": 1}
    cursor = collection.find({"run_id": run_id}, fields).sort([("$natural", -1)])
    return cursor.limit(most).batch_size(1000).max_time_ms(int(QUERY_S * 1000))


def _problem(error: Exception) -> str:
    """Says why a query failed. A server's message may quote the query, which contains no text."""
    if isinstance(error, TimeoutError) or getattr(error, "code", None) == calls.EXECUTION_TIMEOUT:
        return f"The query took longer than {QUERY_S:.0f} s, so this is incomplete."
    return f"The query failed, so this is incomplete: {error}"
