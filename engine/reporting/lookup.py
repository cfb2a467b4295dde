"""Looks up what the HTML report of a run needs, in a bounded time, and makes it.

No index serves these questions, and none is made for them: the dead letters are counted as long as
`LOOK_S` allows, and entities are counted in what was written last. What could not be looked up is said
there, and fails nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError

from engine.keys.bson_values import to_relaxed_json
from engine.mongo import driver
from engine.observing.timeline import Timeline
from engine.planning.plan import Plan
from engine.report import Report
from engine.reporting.findings import Findings, Letter, Letters, TopEntities
from engine.reporting.page import render
from engine.settings import Settings
from engine.storing.mongo_checkpoints import MongoCheckpoints

LOOK_S = 10.0
"""For each question, of the server and of waiting for it."""

MOST_COUNTED = 50_000
"""Documents whose entities are counted: about a second, and some megabytes of traffic."""

ENTITY_CHARS = 200
"""Of an entity's text; longer ones that begin alike are counted together."""


async def report_html(
    plan: Plan,
    report: Report,
    target: driver.Database,
    settings: Settings,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> str:
    """A run's report as one HTML file that needs nothing else; to be written in UTF-8.

    Args:
        report: of the run, whatever became of it (`engine.run`, `engine.conclude`).
        target: database of its results, checkpoints and dead letters.
    """
    source_name = plan.namespace.partition(".")[2]
    letters = driver.durable(target[settings.dead_letters_of(source_name)])
    entities = driver.durable(target[settings.entities_of(source_name)])
    found = Findings(
        report,
        plan,
        now(),
        await _timelines(plan, target, settings),
        await _letters(letters, plan.run_id, settings.report_dead_letters),
        await _top_entities(entities, report, settings.report_entities) if settings.report_entities else None,
    )
    return render(found)


async def _timelines(plan: Plan, target: driver.Database, settings: Settings) -> dict[str, Timeline]:
    try:
        kept = await MongoCheckpoints(target, settings).of_run(plan.run_id)
    except PyMongoError:
        return {}
    return {checkpoint.key_range.range_id: checkpoint.timeline for checkpoint in kept}


# --- dead letters ---


async def _letters(collection: driver.Collection, run_id: str, most: int) -> Letters:
    """Those that this run was the last to write."""
    try:
        async with asyncio.timeout(2 * LOOK_S):
            counted = await _counted(collection, run_id)
            first = await _first(collection, run_id, most) if most else ()
    except (PyMongoError, TimeoutError) as error:
        return Letters(problem=_why(error))
    by_kind: Counter[str] = Counter()
    for (kind, _), count in counted.items():
        by_kind[kind] += count
    resolved = sum(count for (_, resolved), count in counted.items() if resolved)
    return Letters(by_kind, resolved, first)


async def _counted(collection: driver.Collection, run_id: str) -> dict[tuple[str, bool], int]:
    """How many, by class and whether they are resolved."""
    group = {"kind": "$kind", "resolved": {"$gt": ["$resolved_at", None]}}
    pipeline: list[dict[str, Any]] = [
        {"$match": {"run_id": run_id}},
        {"$group": {"_id": group, "count": {"$sum": 1}}},
    ]
    found = await driver.aggregate(collection, pipeline, maxTimeMS=int(LOOK_S * 1000))
    return {(str(row["_id"]["kind"]), row["_id"]["resolved"]): row["count"] for row in found}


async def _first(collection: driver.Collection, run_id: str, most: int) -> tuple[Letter, ...]:
    fields = ("kind", "status", "attempts", "range_id", "last_at", "resolved_at")
    cursor = collection.find({"run_id": run_id}, dict.fromkeys(fields, 1)).sort([("_id", 1)]).limit(most)
    found = await cursor.max_time_ms(int(LOOK_S * 1000)).to_list(length=None)
    return tuple(
        Letter(
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


async def _top_entities(collection: driver.Collection, report: Report, most: int) -> TopEntities:
    """Counted in what the run wrote, the latest first: on disk that is the end of the collection."""
    if not report.written:
        return TopEntities()
    counts: Counter[tuple[str, str]] = Counter()
    documents, problem = 0, None
    try:
        async with asyncio.timeout(LOOK_S):
            async for found in _written(collection, report.run_id, min(MOST_COUNTED, report.written)):
                documents += 1
                counts.update((e["label"], e["text"][:ENTITY_CHARS]) for e in found["entities"])
    except (PyMongoError, TimeoutError) as error:
        problem = _why(error)
    top = tuple((label, text, count) for (label, text), count in counts.most_common(most))
    return TopEntities(top, documents, max(documents, report.written), problem)


def _written(collection: driver.Collection, run_id: str, most: int) -> Any:
    fields = {"_id": 0, "entities.label": 1, "entities.text": 1}
    cursor = collection.find({"run_id": run_id}, fields).sort([("$natural", -1)])
    return cursor.limit(most).batch_size(1000).max_time_ms(int(LOOK_S * 1000))


def _why(error: Exception) -> str:
    """For people; a server's message may quote what it was asked, and that is no text of a document."""
    if isinstance(error, TimeoutError) or getattr(error, "timeout", False):
        return f"Not all could be looked up in {LOOK_S:.0f} s."
    return f"Not all could be looked up: {error}"
