"""Plans, checkpoints and reports: in MongoDB, or in memory for a script that keeps nothing."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from pymongo.errors import DuplicateKeyError, PyMongoError

from engine.errors import ConfigError, Interrupted, WriteError
from engine.keys.key import Key, KeyRange
from engine.model import Counts, Effort, Status
from engine.mongo import driver
from engine.observing.timeline import Timeline
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a range is, durably: its position, what became of everything before it, and what it took.

    Attributes:
        position: the last Key finished with everything before it; None at the start.
        fingerprint: what the position depends on: order, collation, filter.
        attempts: how often the range was begun, this time included.
        active_s: seconds spent on it, over all attempts.
        problem: what ended the last attempt early, for people; `reason` is its class, such as `ServiceDown`.
        owner: token of the attempt that may move it; a later claim takes it away.
        timeline: its course over time, all attempts together.
    """

    key_range: KeyRange
    status: Status = Status.PENDING
    position: Key | None = None
    counts: Counts = field(default_factory=Counts)
    effort: Effort = field(default_factory=Effort)
    attempts: int = 0
    active_s: float = 0.0
    started_at: datetime | None = None
    updated_at: datetime | None = None
    problem: str | None = None
    owner: str = ""
    fingerprint: Mapping[str, str] = field(default_factory=dict)
    reason: str | None = None
    timeline: Timeline = field(default_factory=Timeline)


class CheckpointStore(Protocol):
    """Keeps the checkpoints of ranges."""

    async def claim(self, key_range: KeyRange, fingerprint: Mapping[str, str] | None = None) -> Checkpoint:
        """Begins an attempt: the checkpoint to go on from, now owned by the caller.

        A range that has succeeded starts over: asked again, it reads again and finds everything unchanged. So
        does one whose checkpoint is of other bounds, from a plan that was not kept (TRAPS 17).

        Args:
            fingerprint: what positions depend on (`engine.scan.Scan.fingerprint`).

        Raises:
            ConfigError: the range was begun under another fingerprint; the message names what changed.
        """
        ...

    async def save(self, checkpoint: Checkpoint) -> None:
        """Makes the checkpoint durable.

        Raises:
            Interrupted: another attempt has claimed the range since.
        """
        ...


class MongoCheckpoints:
    """Checkpoints in one collection of the target, `_id` = `<run id>/<range id>`."""

    def __init__(
        self,
        target: driver.Database,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._collection = driver.durable(target[settings.checkpoints_collection])
        self._now = now

    async def claim(self, key_range: KeyRange, fingerprint: Mapping[str, str] | None = None) -> Checkpoint:
        """See `CheckpointStore.claim`."""
        try:
            stored = await self._collection.find_one({"_id": _id(key_range)})
            begun = _begin(_decode(stored) if stored else None, key_range, fingerprint, self._now())
            await self._collection.replace_one({"_id": _id(key_range)}, _encode(begun), upsert=True)
        except PyMongoError as error:
            raise WriteError(f"range {key_range.range_id} could not be claimed: {error}") from error
        return begun

    async def save(self, checkpoint: Checkpoint) -> None:
        """See `CheckpointStore.save`."""
        mine = {"_id": _id(checkpoint.key_range), "owner": checkpoint.owner}
        stored = _encode(replace(checkpoint, updated_at=self._now()))
        del stored["_id"]
        try:
            outcome = await self._collection.update_one(mine, {"$set": stored})
        except PyMongoError as error:
            raise WriteError(
                f"checkpoint of range {checkpoint.key_range.range_id} could not be saved: {error}"
            ) from error
        if outcome.matched_count == 0:
            raise _taken_over(checkpoint.key_range)

    async def of_run(self, run_id: str) -> list[Checkpoint]:
        """All checkpoints of a run, by range id."""
        cursor = self._collection.find({"_id": {"$regex": f"^{re.escape(run_id)}/"}, "run_id": run_id})
        stored = await cursor.sort([("_id", 1)]).to_list(length=None)
        return [_decode(document) for document in stored]

    async def forget(self, run_id: str) -> None:
        """Removes the checkpoints of a run that is planned anew."""
        await self._collection.delete_many({"_id": {"$regex": f"^{re.escape(run_id)}/"}, "run_id": run_id})


class MemoryCheckpoints:
    """Checkpoints that end with the process."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._kept: dict[str, Checkpoint] = {}
        self._now = now

    async def claim(self, key_range: KeyRange, fingerprint: Mapping[str, str] | None = None) -> Checkpoint:
        """See `CheckpointStore.claim`."""
        begun = _begin(self._kept.get(_id(key_range)), key_range, fingerprint, self._now())
        self._kept[_id(key_range)] = begun
        return begun

    async def save(self, checkpoint: Checkpoint) -> None:
        """See `CheckpointStore.save`."""
        if self._kept[_id(checkpoint.key_range)].owner != checkpoint.owner:
            raise _taken_over(checkpoint.key_range)
        self._kept[_id(checkpoint.key_range)] = replace(checkpoint, updated_at=self._now())


class PlanStore:
    """Plans in one collection of the target, `_id` = the run's id; a run's report is kept with its plan."""

    def __init__(self, target: driver.Database, settings: Settings) -> None:
        self._collection = driver.durable(target[settings.plans_collection])

    async def load(self, run_id: str) -> dict[str, Any] | None:
        """The stored plan of a run, if it was planned."""
        found: dict[str, Any] | None = await self._collection.find_one({"_id": run_id})
        return found

    async def insert(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Stores a plan, unless another planner was faster; returns the one that is stored."""
        try:
            await self._collection.insert_one({"_id": plan["run_id"], **plan})
        except DuplicateKeyError:
            return await self.load(plan["run_id"]) or dict(plan)
        return dict(plan)

    async def replace_ranges(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Changes the ranges of a plan, unless somebody did since it was loaded; tells whether it did."""
        outcome = await self._collection.update_one(
            {"_id": before["_id"], "ranges": before["ranges"]},
            {"$set": {"ranges": after["ranges"], "documents": after["documents"]}},
        )
        return bool(outcome.matched_count)

    async def remove(self, run_id: str) -> None:
        """Forgets the plan of a run."""
        await self._collection.delete_one({"_id": run_id})

    async def finish(self, run_id: str, report: Mapping[str, Any], *, complete: bool) -> None:
        """Keeps the run's report; a complete run is planned anew when it is asked for again."""
        await self._collection.update_one(
            {"_id": run_id}, {"$set": {"report": dict(report), "complete": complete}}
        )


def _id(key_range: KeyRange) -> str:
    return f"{key_range.run_id}/{key_range.range_id}"


def _begin(
    stored: Checkpoint | None, key_range: KeyRange, fingerprint: Mapping[str, str] | None, now: datetime
) -> Checkpoint:
    """The checkpoint of the next attempt; a range that was begun before is fresh no more."""
    if stored is not None:
        key_range = replace(key_range, fresh=False)
    if stored is None or stored.status is Status.SUCCEEDED or not stored.key_range.covers_same(key_range):
        stored = Checkpoint(key_range, started_at=now)
    elif stored.position is not None:
        _refuse_changed(stored, fingerprint or {})
    return replace(
        stored,
        key_range=key_range,
        status=Status.RUNNING,
        attempts=stored.attempts + 1,
        owner=uuid.uuid4().hex,
        updated_at=now,
        problem=None,
        reason=None,
        fingerprint=dict(fingerprint or {}),
    )


def _refuse_changed(stored: Checkpoint, fingerprint: Mapping[str, str]) -> None:
    changed = [
        f"{name} was {was}, now {fingerprint.get(name)}"
        for name, was in stored.fingerprint.items()
        if fingerprint.get(name) != was
    ]
    if changed:
        raise ConfigError(
            f"range {stored.key_range.range_id} cannot resume ({'; '.join(changed)}): go back to what it was "
            "begun with, or take another run_id",
            range_id=stored.key_range.range_id,
        )


def _encode(checkpoint: Checkpoint) -> dict[str, Any]:
    """Flat, so that people can query it; Keys as text, because some BSON may not be nested in a document."""
    key_range = checkpoint.key_range
    return {
        "_id": _id(key_range),
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
    )


def _taken_over(key_range: KeyRange) -> Interrupted:
    return Interrupted(
        f"range {key_range.range_id} was taken over by another attempt; this one stops",
        range_id=key_range.range_id,
    )
