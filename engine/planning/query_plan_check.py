"""The explain gate: no range is read before the server says that it reads it from the order's index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey
from pymongo.errors import OperationFailure

from engine.errors import PlanError
from engine.keys.key import Key
from engine.model import QueryForm
from engine.mongo import driver
from engine.reading.filters import range_filter
from engine.reading.scan import Scan, missing_index

FORBIDDEN = {"COLLSCAN": "would scan the whole collection", "SORT": "would sort in memory"}
"""Stages that no query of a range may have."""

LEAVES_OUT = {
    "isPartial": "is partial and leaves documents out",
    "isSparse": "is sparse and leaves documents out",
}
"""What no stage may say of the index it reads; that of a view shows here only."""

NO_SUCH_INDEX = 2
"""Server code BadValue: the hint names no index."""


async def refuse_time_series(collection: driver.Collection) -> None:
    """A time series is refused: its `_id`s repeat, and can neither break ties nor name one result.

    Raises:
        PlanError: says what to do instead.
    """
    if "timeseries" in await driver.options(collection):
        raise PlanError(
            f"{driver.namespace(collection)} is a time series: its _ids are neither unique nor indexed, no "
            "plan could promise each document once. Copy it to a collection with _ids of their own "
            '([{"$unset": "_id"}, {"$out": ...}]) and read that'
        )


async def stages_of_page(scan: Scan) -> list[Mapping[str, Any]]:
    """The stages by which the server would read a page, as the ranges will ask for it.

    Raises:
        PlanError: there is no such index; the message holds the `createIndex` to run.
    """
    return list(_stages(await _explain(scan)))


def check_query_plan(scan: Scan, stages: Iterable[Mapping[str, Any]]) -> None:
    """Judges the stages of a page.

    Raises:
        PlanError: it would scan or sort the collection, or read an index that leaves documents out; the
            message holds the `createIndex` to run.
    """
    for stage in stages:
        reasons = [f"reading a page {does}" for name, does in FORBIDDEN.items() if stage["stage"] == name]
        reasons += [f"its index {does}" for name, does in LEAVES_OUT.items() if stage.get(name)]
        if reasons:
            raise PlanError(missing_index(scan.collection, scan.order, reasons))


def is_multikey(stages: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the index holds more than one key for some document."""
    return any(stage.get("isMultiKey") for stage in stages)


async def _explain(scan: Scan) -> Any:
    """The server's plan for a page; nothing where there is no explain (mongomock)."""
    try:
        return await scan.command({"explain": _page_query(scan)})
    except NotImplementedError:
        return {}
    except OperationFailure as error:
        if error.code == NO_SUCH_INDEX and "hint" in str(error):
            raise PlanError(missing_index(scan.collection, scan.order, [])) from error
        raise


def _page_query(scan: Scan) -> dict[str, Any]:
    fields = scan.order.fields
    query: dict[str, Any] = {"find": scan.collection.name, "sort": dict(scan.spec), "limit": 1000}
    if scan.form is QueryForm.INDEX_BOUNDS:
        bounds = {"min": dict.fromkeys(fields, MinKey()), "max": dict.fromkeys(fields, MaxKey())}
        return {**query, "filter": scan.filter, "hint": scan.index, **bounds}
    ends = [Key((value,) * len(fields)) for value in (0, 1)]
    if scan.form is QueryForm.WHOLE_TIES:
        ends = [scan.order.first(key.values[0]) for key in ends]
    middle = range_filter(scan.order, *ends)
    condition = {"$and": [scan.filter, middle]} if scan.filter else middle
    return {**query, "filter": condition, "hint": dict(scan.spec)}


def _stages(explained: Any) -> Iterator[Mapping[str, Any]]:
    """Every stage of the winning plans, however deep (a view's and a shard's lie deeper)."""
    if isinstance(explained, list):
        for item in explained:
            yield from _stages(item)
    elif isinstance(explained, Mapping):
        if isinstance(explained.get("stage"), str):
            yield explained
        if "$sort" in explained:  # a view's pipeline sorts where no index can
            yield {"stage": "SORT"}
        for name, value in explained.items():
            if name not in ("rejectedPlans", "command", "parsedQuery"):
                yield from _stages(value)
