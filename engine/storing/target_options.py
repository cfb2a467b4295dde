"""Looks, before any work, at the options and indexes of the collections that a run writes.

A capped collection, a time series or a view accepts the writes and keeps something else, or nothing (trap 48,
docs/traps.md). What can lose a result without a word is refused. What may stop a run with an error, or
deletes results later, is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from engine.errors import ConfigError, WriteError
from engine.model import DeadLetter
from engine.mongo import calls, driver
from engine.mongo.collection_info import CollectionInfo, infos_of
from engine.observing.events import Events
from engine.storing.target import Target

Indexes = Mapping[str, Mapping[str, Any]]
"""Indexes by name, as the driver describes them."""

RESULTS = ("entities", "dead_letters")
STATE = ("plans", "checkpoints")
ALL = (*RESULTS, *STATE)

_REFUSED = {
    "timeseries": "a time series, which keeps several documents of one _id",
    "view": "a view, which cannot be written",
}
_CAPPED = "a capped collection, which drops its oldest documents"
_WAY_OUT = "choose another {part}_collection, or copy its documents into an ordinary collection"

_WRITTEN = {
    "entities": {"entities", "text_hash", "extractor", "run_id", "extracted_at"},
    "dead_letters": {field.name for field in fields(DeadLetter)} | {"run_id", "extractor", "resolved_at"},
}
"""The fields that documents of results have, apart from `_id`. An index takes a missing one for null."""

_IDENTIFYING = {"plans": {"run_id"}, "checkpoints": {"run_id", "range_id"}}
"""Fields that together differ from document to document, as `_id` does."""

_CASE_STRENGTH = 3
"""A collation of a lower strength takes "a" and "A" for one `_id`."""


async def check_options(
    target: Target, source: driver.AnyCollection, parts: Iterable[str] = ALL
) -> list[str]:
    """Refuses collections that would not keep what is written; tells what may become of it later.

    A login that may not list collections or indexes is not asked for more: then nothing is known, and the run
    goes on.

    Args:
        parts: the collections that will be written.

    Returns:
        What was told, in words.

    Raises:
        ConfigError: one would lose documents without a word, or refuse nearly all; names setting and way out.
    """
    collections = {part: getattr(target, part) for part in parts}
    database = target.plans.database
    names = {collection.name for collection in collections.values()}
    infos = await _if_permitted(database, lambda: infos_of(database, names)) or {}
    notes = []
    for part, collection in collections.items():
        if (info := infos.get(collection.name)) is None:
            continue
        place = f"{part.replace('_', ' ')} cannot be written into {driver.namespace(collection)}"
        if (fault := await _fault_of(info, source)) is not None:
            raise ConfigError(f"{place}: it is {fault}; {_WAY_OUT.format(part=part)}")
        indexes = await _indexes(collection)
        for name, absent in _refusing(part, indexes):
            raise ConfigError(
                f"{place}: its unique index {name!r} takes one document without {absent}, and none has it; "
                f"choose another {part}_collection, or drop the index"
            )
        notes += [f"{driver.namespace(collection)}: {note}" for note in _notes(part, info, indexes)]
    for note in notes:
        Events().warning("target_noted", note=note)
    return notes


async def _indexes(collection: driver.Collection) -> Indexes:
    return await _if_permitted(collection, lambda: driver.indexes(collection)) or {}


async def _if_permitted(where: driver.Place, command: calls.Command[Any]) -> Any:
    try:
        return await calls.read_target(where, command)
    except WriteError as error:
        if error.code is None:
            raise
        return None


async def _fault_of(info: CollectionInfo, source: driver.AnyCollection) -> str | None:
    """Why a collection loses documents without a word; None if it does not."""
    if info.kind in _REFUSED:
        return _REFUSED[info.kind]
    if info.options.get("capped"):
        return _CAPPED
    collation = info.options.get("collation", {})
    loose = (
        collation.get("strength", _CASE_STRENGTH) < _CASE_STRENGTH or collation.get("alternate") == "shifted"
    )
    if not loose:
        return None
    read = driver.exact(source)
    if collation == await calls.read_source(read, lambda: driver.default_collation(read)):
        return None
    strength = f"{collation['locale']}, strength {collation.get('strength', _CASE_STRENGTH)}"
    return f"a collection whose collation ({strength}) takes different _ids for one"


def _refusing(part: str, indexes: Indexes) -> Iterator[tuple[str, str]]:
    """The unique indexes of whose fields the documents have none, so that there can be only one document."""
    for name, names in _unique(part, indexes):
        if not _has_any(part, names):
            yield name, ", ".join(names)


def _unique(part: str, indexes: Indexes) -> Iterator[tuple[str, list[str]]]:
    """The unique indexes in which two documents could be equal, with their fields."""
    for name, index in indexes.items():
        names = [field for field, _ in index["key"]]
        holds_all = not (index.get("sparse") or "partialFilterExpression" in index)
        identifying = "_id" in names or _IDENTIFYING.get(part, {"_id"}) <= set(names)
        if index.get("unique") and not identifying and (holds_all or _has_any(part, names)):
            yield name, names


def _has_any(part: str, names: list[str]) -> bool:
    """Whether documents have one of the fields; of plans and checkpoints it is taken for granted."""
    return part not in _WRITTEN or any(name.partition(".")[0] in _WRITTEN[part] for name in names)


def _notes(part: str, info: CollectionInfo, indexes: Indexes) -> Iterator[str]:
    """What becomes of documents later, or may refuse them, in words."""
    for name, index in indexes.items():
        if (after_s := index.get("expireAfterSeconds")) is not None:
            field = index["key"][0][0]
            yield f"index {name!r} deletes documents {after_s:g} s after the time in {field} (TTL)"
    if (after_s := info.options.get("expireAfterSeconds")) is not None:
        yield f"it deletes documents {after_s:g} s after the time in their _id (TTL)"
    for name, names in _unique(part, indexes):
        yield f"unique index {name!r} refuses documents with equal {', '.join(names)}"
    if info.options.get("validator") and info.options.get("validationAction", "error") == "error":
        yield "its validator refuses documents that do not fit it"
    if "collation" in info.options:
        locale = info.options["collation"]["locale"]
        yield f"its collation ({locale}) decides which texts are equal as _ids"
