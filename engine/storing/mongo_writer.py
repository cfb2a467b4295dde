"""Writes extractions and dead letters into MongoDB, idempotently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from engine.errors import Unstorable, WriteError
from engine.keys.bson_values import lookup_key
from engine.model import DeadLetter, Extraction
from engine.mongo import bulk, calls, driver
from engine.mongo.collection_info import refuse_replaced_target, target_identity, target_replaced
from engine.storing.storable import problem_of, problems_of
from engine.storing.target import Target

T = TypeVar("T")


class MongoWriter:
    """Writes extractions and dead letters to two collections, each under the `_id` of its source document.

    It inserts first, because most documents are new and inserts are far faster than upserts. A document that
    comes back as a duplicate key is compared with the stored one, and replaced only if it differs
    (docs/decisions/0004-insert-first.md).

    Attributes:
        collections: the identities of `entities` and `dead_letters` as first seen, of those that exist.

    Args:
        target: made by `target_of`.
        extractor: `name@version`, stored with each result (`Settings.extractor_label`).
        force: replaces all documents without comparing.
    """

    def __init__(
        self,
        target: Target,
        run_id: str,
        *,
        extractor: str,
        force: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._entities, self._dead_letters = target.entities, target.dead_letters
        self._extractor = extractor
        self._force = force
        self._run_id = run_id
        self._now = now
        self._may_resolve: bool | None = None
        self.collections: dict[str, str] = {}
        self._watching, self._creating = False, asyncio.Lock()

    async def look(self) -> Mapping[str, str]:
        """Notes which collections there are, and from now on each new one; returns what is noted."""
        self._watching = True
        for name, collection in self._places:
            if (now := await target_identity(collection)) is not None:
                self.collections[name] = now
        return self.collections

    async def refuse_replaced(self) -> None:
        """Refuses to call anything written that may have been dropped with its collection.

        Raises:
            WriteError: a collection was dropped or renamed since it was first looked at or written to.
        """
        for name, collection in self._places:
            await refuse_replaced_target(collection, self.collections.get(name))

    @property
    def _places(self) -> Sequence[tuple[str, driver.Collection]]:
        return ("entities", self._entities), ("dead_letters", self._dead_letters)

    async def _noting(self, name: str, write: Callable[[], Awaitable[T]]) -> T:
        """Writes. The first write alone creates the collection and notes which one it is, then others go on.

        Raises:
            WriteError: the collection was dropped or renamed right after this.
        """
        if not self._watching or name in self.collections:
            return await write()
        async with self._creating:
            written, collection = await write(), dict(self._places)[name]
            now = await target_identity(collection)
            if now is None:
                raise target_replaced(collection)
            self.collections.setdefault(name, now)
        return written

    async def known(self, ids: Sequence[Any]) -> Mapping[Any, str]:
        """The text hashes of stored extractions of the same extractor, by `lookup_key` of the `_id`."""
        wanted = {"_id": {"$in": list(ids)}, "extractor": self._extractor}
        there = await self._find(wanted, {"text_hash": 1})
        return {lookup_key(found["_id"]): found["text_hash"] for found in there}

    async def write(
        self, extractions: Sequence[Extraction], dead_letters: Sequence[DeadLetter]
    ) -> frozenset[Any]:
        """Writes the extractions, resolves older dead letters of their documents, and records new ones.

        Raises:
            Unstorable: some extractions can never be stored. Everything else is.
            WriteError: something could not be written.
        """
        documents = self._stored(extractions)
        unchanged: frozenset[Any] = frozenset()
        try:
            if documents:
                unchanged = await self._noting("entities", lambda: self._store(documents))
        except WriteError:
            problems = problems_of(documents)
            if not problems:
                raise
            storable = [e for e in extractions if lookup_key(e.document_id) not in problems]
            raise Unstorable(problems, await self.write(storable, dead_letters)) from None
        await self._resolve(extractions)
        for letter in dead_letters:
            await self._noting("dead_letters", partial(self._record, letter))
        return unchanged

    async def _find(self, condition: Mapping[str, Any], fields: Mapping[str, int]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await calls.read_target(
            self._entities, lambda: self._entities.find(condition, fields).to_list(length=None)
        )
        return found

    def _stored(self, extractions: Sequence[Extraction]) -> list[dict[str, Any]]:
        now = self._now().astimezone(UTC).replace(tzinfo=None)  # a zone takes a third of the encoding
        return [
            {
                "_id": document_id,
                "entities": [
                    {"start": start, "end": end, "label": label, "text": text, "score": score}
                    for start, end, label, text, score in entities
                ]
                if entities
                else [],
                "text_hash": text_hash,
                "extractor": self._extractor,
                "run_id": self._run_id,
                "extracted_at": now,
            }
            for document_id, entities, text_hash in extractions
        ]

    async def _store(self, documents: list[dict[str, Any]]) -> frozenset[Any]:
        """Inserts or replaces the documents; returns the look-up keys of those found unchanged."""
        if self._force:
            await self._replace(documents)
            return frozenset()
        return await self._insert(documents)

    async def _insert(self, documents: list[dict[str, Any]]) -> frozenset[Any]:
        there = await bulk.insert(self._entities, documents)
        return await self._replace_changed(there) if there else frozenset()

    async def _replace_changed(self, documents: list[dict[str, Any]]) -> frozenset[Any]:
        """Replaces the stored extractions that differ; returns the look-up keys of the others."""
        wanted = {"_id": {"$in": [d["_id"] for d in documents]}}
        found = await self._find(wanted, {"text_hash": 1, "extractor": 1})
        stored = {lookup_key(d["_id"]): d for d in found}
        unchanged = frozenset(
            key
            for d in documents
            if (key := lookup_key(d["_id"])) in stored
            and (stored[key]["text_hash"], stored[key]["extractor"]) == (d["text_hash"], d["extractor"])
        )
        await self._replace([d for d in documents if lookup_key(d["_id"]) not in unchanged])
        return unchanged

    async def _replace(self, documents: list[dict[str, Any]]) -> None:
        if documents:
            await bulk.replace(self._entities, documents)

    async def _resolve(self, extractions: Sequence[Extraction]) -> None:
        """Marks the dead letters of documents that have now succeeded as resolved. They are not removed."""
        letters = self._dead_letters
        if self._may_resolve is None:
            first = await calls.read_target(letters, lambda: letters.find_one({}, {"_id": 1}))
            self._may_resolve = first is not None
        if self._may_resolve and extractions:
            theirs = {"_id": {"$in": [e.document_id for e in extractions]}, "resolved_at": None}
            change = {"$set": {"resolved_at": self._now(), "resolved_by": self._run_id}}
            await calls.write_target(letters, lambda: letters.update_many(theirs, change))

    async def _record(self, letter: DeadLetter) -> None:
        """Records a dead letter; without its text, if it cannot be stored with it."""
        if letter.text is not None and (problem := problem_of(letter.to_document())):
            letter = replace(
                letter, text=None, message=f"{letter.message} (the text is not kept: it {problem})"
            )
        fields = letter.to_document()
        first_at = fields.pop("first_at") or self._now()
        fields["last_at"] = fields["last_at"] or self._now()
        letters, this = self._dead_letters, {"_id": letter.document_id}
        change = {
            "$set": {**fields, "run_id": self._run_id, "extractor": self._extractor, "resolved_at": None},
            "$setOnInsert": {"first_at": first_at},
            "$unset": {"resolution": ""},  # of an earlier failure
        }
        await calls.write_target(letters, lambda: letters.update_one(this, change, upsert=True))
