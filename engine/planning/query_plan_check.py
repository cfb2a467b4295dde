"""Checks by `explain`, before any work, that pages are read from the order's index: no COLLSCAN, no SORT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.errors import PlanError
from engine.keys.key import Key
from engine.keys.order_index import missing_index
from engine.model import QueryForm
from engine.mongo import driver
from engine.reading.filters import range_filter
from engine.reading.scan import Scan

FORBIDDEN = {"COLLSCAN": "would scan the whole collection", "SORT": "would sort in memory"}
"""Stages that the query of a page must not have."""

LEAVES_OUT = {
    "isPartial": "is partial and leaves documents out",
    "isSparse": "is sparse and leaves documents out",
}
"""Properties of an index that would lose documents. The index behind a view can be seen only here."""


async def stages_of_page(scan: Scan) -> list[Mapping[str, Any]]:
    """The stages by which the server would read a page of a range; empty without a server.

    Raises:
        PlanError: the index is gone; the message holds the `createIndex` to run.
    """
    return list(_stages(await _explain(scan)))


def check_query_plan(scan: Scan, stages: Iterable[Mapping[str, Any]]) -> None:
    """Checks the stages by which a page would be read (trap 7, docs/traps.md).

    Raises:
        PlanError: the server would scan or sort the collection, or read an index that leaves documents out;
            the message holds the `createIndex` to run.
    """
    for stage in stages:
        reasons = [f"reading a page {does}" for name, does in FORBIDDEN.items() if stage["stage"] == name]
        if reasons and scan.of_view and scan.index.name:
            behind = scan.index.collection
            raise PlanError(
                f"{driver.namespace(scan.collection)} is a view that does more than filter: {reasons[0]}, "
                f"although {behind} has the index {scan.index.name!r}. Read {behind} with the setting "
                "filter, or write the view to a collection by $merge"
            )
        reasons += [f"its index {does}" for name, does in LEAVES_OUT.items() if stage.get(name)]
        if reasons:
            where, behind = driver.namespace(scan.collection), scan.index.collection
            raise PlanError(missing_index(where, scan.order, reasons, behind=behind))


def is_multikey(scan: Scan, stages: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the index holds, or once held, several values of the order field of one document.

    Arrays in other fields of the index do no harm: the server gives each document once.
    """
    name = scan.order.fields[0]
    return any(
        stage.get("isMultiKey") and stage.get("multiKeyPaths", {}).get(name, [name]) for stage in stages
    )


async def _explain(scan: Scan) -> Any:
    if not driver.has_server(scan.collection):
        return {}
    return await scan.command({"explain": _page_query(scan)})


def _page_query(scan: Scan) -> dict[str, Any]:
    fields = scan.order.fields
    query: dict[str, Any] = {"find": scan.collection.name, "sort": dict(scan.spec), "limit": 1000}
    if scan.form is QueryForm.INDEX_BOUNDS:
        low, high = (dict(scan.index.bound(Key((end,) * len(fields)))) for end in (MinKey(), MaxKey()))
        bounds = {"min": high, "max": low} if scan.index.descending else {"min": low, "max": high}
        return {**query, "filter": scan.filter, "hint": scan.index.hint, **bounds}
    ends = [Key((value,) * len(fields)) for value in (0, 1)]
    if scan.form is QueryForm.WHOLE_TIES:
        ends = [scan.order.first(key.values[0]) for key in ends]
    middle = range_filter(scan.order, *ends)
    condition = {"$and": [scan.filter, middle]} if scan.filter else middle
    return {**query, "filter": condition, "hint": scan.index.hint}


def _stages(explained: Any) -> Iterator[Mapping[str, Any]]:
    """Every stage of the winning plans, at any depth; those of views and shards are nested deeper."""
    if isinstance(explained, list):
        for item in explained:
            yield from _stages(item)
    elif isinstance(explained, Mapping):
        if isinstance(explained.get("stage"), str):
            yield explained
        if "$sort" in explained:  # the pipeline of a view, which sorts by itself
            yield {"stage": "SORT"}
        for name, value in explained.items():
            if name not in ("rejectedPlans", "command", "parsedQuery"):
                yield from _stages(value)
