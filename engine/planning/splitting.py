"""Splits a range that keeps failing, or is far slower than the others, into two halves."""

from __future__ import annotations

import math
from dataclasses import replace

from engine.errors import PlanError
from engine.keys.key import Key, KeyRange
from engine.keys.window import Window
from engine.model import Status
from engine.mongo import driver
from engine.observing.events import Events
from engine.planning.partitioning import Sizes, walk
from engine.planning.plan import Plan, check_parameters, parameters_of
from engine.reading.index_choice import choose_scan
from engine.reading.scan import Scan
from engine.settings import Settings
from engine.storing.mongo_checkpoints import MongoCheckpoints
from engine.storing.plan_store import PlanStore
from engine.storing.target import target_of
from engine.storing.target_options import STATE, check_options


async def split_range(
    run_id: str,
    range_id: str,
    *,
    source: driver.AnyCollection,
    target: driver.AnyDatabase,
    settings: Settings | None = None,
) -> Plan:
    """Splits one range of a stored plan into two halves at an existing key; returns and stores the new plan.

    The halves cover exactly what the range covered. They start from their beginning, and find the results
    that the range has already written unchanged.

    Raises:
        ConfigError: the settings are not those that the run was planned with.
        PlanError: there is no such plan or range; the range is running or has succeeded; it holds fewer than
            two documents; or the plan was changed meanwhile.
        SourceError: the collection that the run was planned on was dropped or renamed.
    """
    settings = settings or Settings()
    places = target_of(target, source, settings)
    await check_options(places, source, STATE)
    store = PlanStore(places.plans)
    stored = await store.load(run_id)
    if stored is None:
        raise PlanError(f"no plan is kept for run {run_id!r} in {settings.plans_collection}")
    plan = Plan.from_document(stored)
    parameters = parameters_of(driver.namespace(source), Window(), settings)
    check_parameters(plan, {name: parameters[name] for name in ("source", "order", "filter")})
    at = _position(plan, range_id)
    await _refuse_if_in_use(plan.ranges[at], MongoCheckpoints(places.checkpoints))
    order = settings.order_field, settings.filter, settings.tuning.max_tied_documents
    halves = await _halves(plan.ranges[at], await choose_scan(source, *order, plan.source_uuid))
    ranges = (*plan.ranges[:at], *halves, *plan.ranges[at + 1 :])
    documents = sum(r.expected if r.expected is not None else r.about or 0 for r in ranges)
    changed = replace(plan, ranges=ranges, documents=documents)
    if not await store.replace_ranges(stored, changed.to_document()):
        raise PlanError(f"the plan of run {run_id!r} was changed meanwhile: try again", range_id=range_id)
    Events(run=run_id, range=range_id).info("range_split", documents=[half.expected for half in halves])
    return changed


def _position(plan: Plan, range_id: str) -> int:
    at = next((n for n, r in enumerate(plan.ranges) if r.range_id == range_id), None)
    if at is None:
        known = ", ".join(r.range_id for r in plan.ranges[:10])
        raise PlanError(f"run {plan.run_id!r} has no range {range_id!r}; it has {known} ...")
    return at


async def _refuse_if_in_use(key_range: KeyRange, checkpoints: MongoCheckpoints) -> None:
    for checkpoint in await checkpoints.of_run(key_range.run_id):
        if checkpoint.key_range.range_id != key_range.range_id:
            continue
        if checkpoint.status in (Status.RUNNING, Status.SUCCEEDED):
            raise PlanError(
                f"range {key_range.range_id} is {checkpoint.status}: only a range that is neither running "
                "nor succeeded can be split",
                range_id=key_range.range_id,
            )


async def _halves(whole: KeyRange, scan: Scan) -> list[KeyRange]:
    documents = await scan.count(whole.start, whole.stop)
    size = max(1, math.ceil(documents / 2))
    segments = await walk(scan, whole.start, whole.stop, Sizes(size, most=3))
    await scan.refuse_replaced()
    if len(segments) < 2:  # noqa: PLR2004
        raise PlanError(f"range {whole.range_id} holds {documents} documents: nothing to split")
    first = segments[0]
    # The rest is more than half if the boundary was moved to before a group of ties.
    rest = sum(segment.documents for segment in segments[1:])
    return [
        _half(whole, ".0", first.start, first.stop, first.documents),
        _half(whole, ".1", first.stop, whole.stop, rest),
    ]


def _half(whole: KeyRange, suffix: str, start: Key, stop: Key, documents: int) -> KeyRange:
    range_id = whole.range_id + suffix
    return KeyRange(start, stop, range_id, whole.run_id, documents, source_uuid=whole.source_uuid)
