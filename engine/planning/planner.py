"""Window -> Plan: ranges of keys that tile the window exactly, each counted."""

from __future__ import annotations

from collections.abc import Sequence

from bson.max_key import MaxKey
from pymongo.errors import PyMongoError

from engine.errors import ConfigError, SourceError
from engine.keys.bson_values import successor
from engine.keys.key import Key, KeyRange
from engine.keys.window import Window, window_bound
from engine.mongo import driver
from engine.planning import explain, type_census
from engine.planning.cutting import Cut, Piece, cut_window
from engine.planning.plan import Plan, Proof, parameters_of
from engine.planning.snapshot_count import prove
from engine.reading.index_choice import open_scan
from engine.reading.scan import Scan
from engine.settings import Settings


async def make_plan(collection: driver.Collection, window: Window, settings: Settings, run_id: str) -> Plan:
    """Plans the window: checks and counts what stands outside it, pins its ends, and cuts it into ranges.

    Raises:
        ConfigError: the window's ends are of the wrong type or in the wrong order.
        PlanError: the order has no full index, an array in it, or values of another type than the window's;
            the collection is a time series; or the counts of the ranges are not those of the window.
        SourceError: the server could not be read.
    """
    try:
        await explain.refuse_time_series(collection)
        scan = await open_scan(collection, settings)
        kind = _window_type(scan, window, settings)
        stages = await explain.explained_stages(scan)
        await type_census.refuse_arrays(scan, multikey=explain.is_multikey(stages))
        explain.check_index_use(scan, stages)
        least, most = await _ends(scan, kind, window)
        outside = await type_census.outside(scan, kind)
        bounds = await _pinned(type_census.of_type(scan, kind), window, least, most)
        cut = await cut_window(scan, *bounds, settings) if bounds else Cut((), "exact")
        pieces, proof = await _proven(type_census.of_type(scan, kind), cut.pieces, settings)
    except PyMongoError as error:
        raise SourceError(f"{driver.namespace(collection)} could not be planned: {error}") from error
    return Plan(
        run_id=run_id,
        namespace=driver.namespace(collection),
        order=scan.order.fields,
        parameters=parameters_of(driver.namespace(collection), window, settings),
        ranges=tuple(_key_range(piece, at, run_id) for at, piece in enumerate(pieces)),
        documents=sum(piece.documents for piece in pieces),
        outside=outside,
        form=scan.form,
        index=scan.index,
        strategy=cut.strategy,
        estimate=cut.estimate,
        proof=proof,
    )


async def _proven(scan: Scan, pieces: Sequence[Piece], settings: Settings) -> tuple[Sequence[Piece], Proof]:
    """The pieces, their counts compared with that of the window where all were counted and they are few."""
    counted = sum(piece.documents for piece in pieces) if all(piece.exact for piece in pieces) else 0
    return await prove(scan, pieces) if 0 < counted <= settings.max_proven_documents else (pieces, Proof.NONE)


def _key_range(piece: Piece, at: int, run_id: str) -> KeyRange:
    counted, estimated = (piece.documents, None) if piece.exact else (None, piece.documents)
    return KeyRange(piece.start, piece.stop, f"{at:04d}", run_id, counted, estimated)


def _window_type(scan: Scan, window: Window, settings: Settings) -> str | None:
    """The type bracket that the window is in; None where everything is asked for, of any type."""
    if scan.order.fields != ("_id",):
        return settings.order_type
    return None if window.start is None and window.end is None else "objectId"


async def _ends(scan: Scan, kind: str | None, window: Window) -> tuple[Key, Key]:
    """The window's ends as Keys with `_id` MinKey; those of its type where the window is open."""
    least, most = type_census.bracket_bounds(scan, kind)
    if kind and window.start is not None:
        least = scan.order.first(window_bound(window.start, kind, "start"))
    if kind and window.end is not None:
        most = scan.order.first(window_bound(window.end, kind, "end"))
    if window.start is None or window.end is None:
        return least, most
    order = await scan.compare(least.values[0], most.values[0])
    if order > 0:
        raise ConfigError(f"window start={window.start!r} is after end={window.end!r}")
    return least, most if order else least  # other bytes may be the same string: no bounds of a query


async def _pinned(scan: Scan, window: Window, least: Key, most: Key) -> tuple[Key, Key] | None:
    """The window's ends with the open ones pinned to what is there now; None if nothing is.

    An open end stands just after the last document: later ones belong to the next run (TRAPS 11). Where it
    is not known what comes just after (a string under a collation), it stays open.
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
