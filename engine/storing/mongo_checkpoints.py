"""Stores checkpoints in a MongoDB collection."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from engine.errors import WriteError
from engine.keys.key import Key, KeyRange
from engine.model import Counts, Effort, Status
from engine.mongo import calls, driver
from engine.observing.timeline import Timeline
from engine.storing.checkpoint import Checkpoint, begin_attempt, checkpoint_id, taken_over


class MongoCheckpoints:
    """Stores checkpoints in the target's `checkpoints`, under `<run id>/<range id>`."""

    def __init__(
        self, checkpoints: driver.Collection, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._collection = checkpoints
        self._now = now

    async def claim(self, key_range: KeyRange, fingerprint: Mapping[str, str] | None = None) -> Checkpoint:
        """See `CheckpointStore.claim`."""
        collection, this = self._collection, {"_id": checkpoint_id(key_range)}
        stored = await calls.read_target(collection, lambda: collection.find_one(this))
        begun = begin_attempt(_decode(stored) if stored else None, key_range, fingerprint, self._now())
        claimed = _encode(begun)
        await calls.write_target(collection, lambda: collection.replace_one(this, claimed, upsert=True))
        return begun

    async def save(self, checkpoint: Checkpoint) -> None:
        """See `CheckpointStore.save`."""
        mine = {"_id": checkpoint_id(checkpoint.key_range), "owner": checkpoint.owner}
        stored = _encode(replace(checkpoint, updated_at=self._now()))
        del stored["_id"]
        collection = self._collection
        outcome = await calls.write_target(collection, lambda: collection.update_one(mine, {"$set": stored}))
        if outcome.matched_count == 0:
            there = await calls.read_target(
                collection, lambda: collection.find_one({"_id": mine["_id"]}, {"_id": 1})
            )
            raise taken_over(checkpoint.key_range) if there else self._gone(checkpoint.key_range)

    def _gone(self, key_range: KeyRange) -> WriteError:
        """The error of an attempt whose checkpoint is not there any more; the next one starts over."""
        return WriteError(
            f"the checkpoint of range {key_range.range_id} is gone: {driver.namespace(self._collection)} was "
            "dropped, renamed or cleared meanwhile; run it again",
            range_id=key_range.range_id,
        )

    async def of_run(self, run_id: str) -> list[Checkpoint]:
        """All checkpoints of a run, in the order of their range ids."""
        collection = self._collection
        stored = await calls.read_target(
            collection, lambda: collection.find(_of_run(run_id)).sort([("_id", 1)]).to_list(length=None)
        )
        return [_decode(document) for document in stored]

    async def forget(self, run_id: str) -> None:
        """Removes the checkpoints of a run, before the run is planned again."""
        await calls.write_target(self._collection, lambda: self._collection.delete_many(_of_run(run_id)))


def _of_run(run_id: str) -> dict[str, Any]:
    return {"_id": {"$regex": f"^{re.escape(run_id)}/"}, "run_id": run_id}


def _encode(checkpoint: Checkpoint) -> dict[str, Any]:
    """The stored document: flat, so that people can query it.

    Keys are text, because not all BSON may be nested in a document.
    """
    key_range = checkpoint.key_range
    return {
        "_id": checkpoint_id(key_range),
        "run_id": key_range.run_id,
        "range_id": key_range.range_id,
        "key_range": json.dumps(key_range.to_json()),
        "label": key_range.label,
        "expected": key_range.expected,
        "status": checkpoint.status.value,
        "position": json.dumps(checkpoint.position.to_json()) if checkpoint.position else None,
        **checkpoint.counts.to_document(),
        **asdict(checkpoint.effort),
        "attempts": checkpoint.attempts,
        "active_s": checkpoint.active_s,
        "started_at": checkpoint.started_at,
        "updated_at": checkpoint.updated_at,
        "problem": checkpoint.problem,
        "owner": checkpoint.owner,
        "fingerprint": dict(checkpoint.fingerprint),
        "reason": checkpoint.reason,
        "timeline": checkpoint.timeline.to_document(),
        "notes": list(checkpoint.notes),
        "collections": dict(checkpoint.collections),
    }


_AS_STORED = ("attempts", "active_s", "started_at", "updated_at", "problem", "owner", "fingerprint")


def _decode(stored: Mapping[str, Any]) -> Checkpoint:
    position = stored["position"]
    return Checkpoint(
        KeyRange.from_json(json.loads(stored["key_range"])),
        Status(stored["status"]),
        Key.from_json(json.loads(position)) if position else None,
        Counts.from_document(stored),
        Effort(*(stored.get(name, 0) for name in ("requests", "retries", "throttled", "refused"))),
        **{name: stored[name] for name in _AS_STORED},
        reason=stored.get("reason"),
        timeline=Timeline.from_document(stored.get("timeline")),
        notes=tuple(stored.get("notes", ())),
        collections=stored.get("collections", {}),
    )
