"""Turns a Window into a Plan: ranges of keys that cover the window exactly, each counted or estimated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bson.max_key import MaxKey

from engine.errors import PlanError
from engine.keys.bson_values import successor
from engine.keys.key import Key, KeyRange
from engine.keys.window import Window
from engine.mongo import calls, driver, privileges
from engine.mongo.collection_info import current_identity, is_replaced, source_replaced
from engine.observing.events import Events
from engine.planning import query_plan_check, type_counts
from engine.planning.cross_check import cross_check
from engine.planning.partitioning import WALKED_DOCUMENTS, Partition, Sizes, partition_window
from engine.planning.plan import Plan, Proof, check_parameters, parameters_of, run_id_of
from engine.planning.segments import Segment
from engine.planning.shards import check_shards
from engine.reading.index_choice import choose_scan
from engine.reading.scan import Scan
from engine.settings import Settings
from engine.storing.mongo_checkpoints import MongoCheckpoints
from engine.storing.plan_store import PlanStore
from engine.storing.target import Target, plans_of, target_of
from engine.storing.target_options import check_options


async def make_plan(
    collection: driver.AnyCollection, window: Window, settings: Settings, run_id: str
) -> Plan:
    """Plans a window: chooses the index, checks the collection, fixes open ends, divides it into ranges.

    Raises:
        ConfigError: the window's ends are of the wrong type or in the wrong order.
        PlanError: the order field has no full index, or it holds an array, or only values of another type
            than the window's; the collection is a time series, or a view whose `_id`s may repeat; or the
            cross-check of the counts failed.
        SourceError: the server could not be read, or the collection was dropped or renamed meanwhile.
    """
    tuning = settings.tuning
    scan = await choose_scan(collection, settings.order_field, settings.filter, tuning.max_tied_documents)
    stages = await query_plan_check.stages_of_page(scan)
    await type_counts.refuse_inexact_ids(scan, WALKED_DOCUMENTS)
    await type_counts.refuse_arrays(scan, multikey=query_plan_check.is_multikey(scan, stages))
    query_plan_check.check_query_plan(scan, stages)
    ends = await type_counts.window_ends(scan, window, settings.order_type, settings.order_unit)
    outside = await type_counts.count_outside(scan, ends.kind)
    typed = type_counts.of_type(scan, ends.kind)
    bounds = await _pinned(typed, window, *_bounds(scan, ends))
    sharding = await check_shards(typed, *bounds) if bounds else None
    partition = await _partition(scan, bounds, settings)
    segments, proof = await _cross_checked(typed, partition.segments, tuning.max_proven_documents)
    await scan.refuse_replaced()
    return Plan(
        run_id=run_id,
        namespace=driver.namespace(collection),
        order=scan.order.fields,
        parameters=parameters_of(driver.namespace(collection), window, settings),
        ranges=tuple(_key_range(segment, at, run_id, scan) for at, segment in enumerate(segments)),
        documents=sum(segment.documents for segment in segments),
        outside=outside,
        form=scan.form,
        index=None if scan.of_view else scan.index.name,
        strategy=partition.strategy,
        estimate=partition.estimate,
        proof=proof,
        sharding=sharding,
        empty=None if bounds else await _what_there_is(scan, ends.kind),
        source_uuid=scan.source_uuid,
    )


async def _what_there_is(scan: Scan, kind: str | None) -> str | None:
    """Says what a collection holds, of which the window holds nothing; None if it has nothing of the type."""
    everything = type_counts.of_type(replace(scan, filter={}), kind)
    whole = type_counts.bracket_bounds(scan, kind)
    first, last = [await everything.key_at(*whole, backward=backward) for backward in (False, True)]
    if first is None or last is None:
        return None
    chosen = "the window and the filter hold" if scan.filter else "the window holds"
    # Counting a view would read it as a whole.
    of = "the documents" if scan.of_view else f"about {await scan.estimated_total():,} documents"
    return f"{chosen} none of {of}; their keys go from {first.label} to {last.label}"


async def _partition(scan: Scan, bounds: tuple[Key, Key] | None, settings: Settings) -> Partition:
    if bounds is None:
        return Partition((), "exact")
    sizes, tuning = Sizes(settings.range_documents, settings.max_ranges), settings.tuning
    return await partition_window(scan, *bounds, sizes, tuning.strategy, tuning.max_counted_documents)


async def _cross_checked(
    scan: Scan, segments: Sequence[Segment], most_documents: int
) -> tuple[Sequence[Segment], Proof]:
    """The segments after the cross-check, which needs counts of all of them and a small window."""
    exact = all(segment.exact for segment in segments)
    documents = sum(segment.documents for segment in segments)
    if exact and 0 < documents <= most_documents:
        return await cross_check(scan, segments)
    return segments, Proof.NONE


def _key_range(segment: Segment, at: int, run_id: str, scan: Scan) -> KeyRange:
    counted, estimated = (segment.documents, None) if segment.exact else (None, segment.documents)
    bounds = segment.start, segment.stop
    return KeyRange(*bounds, f"{at:04d}", run_id, counted, estimated, source_uuid=scan.source_uuid)


def _bounds(scan: Scan, ends: type_counts.WindowEnds) -> tuple[Key, Key]:
    """The window's ends as Keys with `_id` MinKey; for an open end, the end of its type bracket."""
    least, most = type_counts.bracket_bounds(scan, ends.kind)
    return (
        least if ends.start is None else scan.order.first(ends.start),
        most if ends.end is None else scan.order.first(ends.end),
    )


async def _pinned(scan: Scan, window: Window, least: Key, most: Key) -> tuple[Key, Key] | None:
    """The window's bounds, with open ends fixed at the first and the last document; None if it is empty.

    An open end is fixed just after the last document, so later documents belong to the next run (trap 11,
    docs/traps.md). It stays open if the next value is unknown, as for strings under a collation.
    """
    if least == most:
        return None
    first = await scan.key_at(least, most)
    last = await scan.key_at(least, most, backward=True)
    if first is None or last is None:
        return None
    collated = scan.collation is not None and isinstance(last.values[0], str)
    after = MaxKey() if collated else successor(last.values[0])
    start = least if window.start is not None else scan.order.first(first.values[0])
    return start, most if window.end is not None or isinstance(after, MaxKey) else scan.order.first(after)


async def plan_ranges(
    collection: driver.AnyCollection,
    window: Window,
    settings: Settings | None = None,
    target: driver.AnyDatabase | None = None,
) -> Plan:
    """Returns the plan of a run: makes it once and stores it in the target, where a restart finds it.

    A restart of an unfinished run keeps its ranges, whatever has happened to the documents since (trap 17,
    docs/traps.md). A run that was complete is planned again, and so is one whose collection is another one
    now, if none of its ranges has begun.

    Args:
        collection: the source, of Motor or of PyMongo's asynchronous API.
        target: the database that stores plans; without it the plan is not stored.

    Raises:
        ConfigError: a setting or an end of the window is wrong, the run was planned with other parameters, or
            a login lacks a privilege that the run needs.
        PlanError: the window cannot be planned safely.
        SourceError: the planned collection was dropped or renamed after a range had begun.
    """
    settings = settings or Settings()
    places = None if target is None else target_of(target, collection, settings)
    if places is not None:
        await check_options(places, collection)
    return await plan_into(places, collection, window, settings)


async def plan_into(
    target: Target | None, collection: driver.AnyCollection, window: Window, settings: Settings
) -> Plan:
    """Does as `plan_ranges`, with a target that is compared with the source."""
    parameters = parameters_of(driver.namespace(collection), window, settings)
    run_id = settings.run_id or run_id_of(parameters)
    await privileges.check_source(collection)
    if target is None:
        plan = await make_plan(collection, window, settings, run_id)
        _log_plan("planned", plan)
        return plan
    await target.check_plans()
    store = PlanStore(target.plans)
    stored = await store.load(run_id)
    if stored is not None and not stored.get("complete"):
        plan = Plan.from_document(stored)
        check_parameters(plan, parameters)
        if await _may_resume(plan, collection, target):
            _log_plan("plan_found", plan)
            return plan
    plan = await make_plan(collection, window, settings, run_id)
    entities = target.entities
    if await calls.read_target(entities, lambda: entities.find_one({}, {"_id": 1})) is None:
        plan = replace(plan, ranges=tuple(replace(r, fresh=True) for r in plan.ranges))
    if stored is not None:
        await MongoCheckpoints(target.checkpoints).forget(run_id)
        await store.remove(run_id)
    plan = Plan.from_document(await store.insert(plan.to_document()))
    _log_plan("planned", plan)
    return plan


async def _may_resume(plan: Plan, source: driver.AnyCollection, target: Target) -> bool:
    """Whether the collection is the planned one; False if it is another, and no range has begun.

    Raises:
        SourceError: it is another one, and ranges have begun: their results belong to the one before.
    """
    if not is_replaced(plan.source_uuid, await current_identity(source)):
        return True
    begun = await MongoCheckpoints(target.checkpoints).of_run(plan.run_id)
    if not begun:
        return False
    raise source_replaced(
        source,
        f"{len(begun)} of the {len(plan.ranges)} ranges of run {plan.run_id!r} have begun, so it is neither "
        "resumed nor planned again: if the collection was renamed, rename it back; otherwise choose another "
        f'run_id, or remove the plan: db.getCollection("{target.plans.name}")'
        f'.deleteOne({{_id: "{plan.run_id}"}})',
    )


def _log_plan(name: str, plan: Plan) -> None:
    Events(run=plan.run_id).info(name, ranges=len(plan.ranges), documents=plan.documents, form=plan.form)


async def load_plan(run_id: str, target: driver.AnyDatabase, settings: Settings) -> Plan:
    """Returns the stored plan of a run.

    Raises:
        PlanError: no plan is stored for this run.
    """
    stored: Mapping[str, Any] | None = await PlanStore(plans_of(target, settings)).load(run_id)
    if stored is None:
        raise PlanError(
            f"no plan is kept for run {run_id!r} in {settings.plans_collection}; plan the run first"
        )
    return Plan.from_document(stored)
