"""The Checkpoint of a range, the protocol of its store, and a store that keeps checkpoints in memory."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from engine.errors import ConfigError, Interrupted
from engine.keys.key import Key, KeyRange
from engine.model import Counts, Effort, Status
from engine.mongo.collection_info import is_replaced
from engine.observing.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The stored progress of a range: its position, the counts up to there, and the effort so far.

    Attributes:
        position: the Key up to which every document is finished; None at the start.
        fingerprint: what the position depends on: order, collation, filter.
        attempts: how often the range was begun, this attempt included.
        active_s: seconds spent on the range in all attempts.
        problem: why the last attempt ended early, for people; `reason` is its class, such as `ServiceDown`.
        owner: token of the attempt that may save the checkpoint; a later claim replaces it.
        timeline: the course of the range over time, over all attempts.
        notes: what the attempts noticed that is no failure, for people.
        collections: what `source`, `entities` and `dead_letters` were when the range last used them
            (`collection_info.identity_of`).
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
    notes: tuple[str, ...] = ()
    collections: Mapping[str, str] = field(default_factory=dict)


class CheckpointStore(Protocol):
    """Keeps the checkpoints of ranges."""

    async def claim(self, key_range: KeyRange, fingerprint: Mapping[str, str] | None = None) -> Checkpoint:
        """Begins an attempt: returns the checkpoint to resume from, which the caller now owns.

        A range that has succeeded starts over, and finds everything unchanged. So does a range whose stored
        checkpoint has other bounds, from a plan that was not kept (trap 17, docs/traps.md).

        Args:
            fingerprint: what a position depends on (`engine.reading.scan.Scan.fingerprint`).

        Raises:
            ConfigError: the range was begun with another fingerprint; the message names what changed.
        """
        ...

    async def save(self, checkpoint: Checkpoint) -> None:
        """Makes the checkpoint durable.

        Raises:
            Interrupted: another attempt has claimed the range since.
        """
        ...


class MemoryCheckpoints:
    """Keeps checkpoints in memory, for scripts and for runs that are never resumed."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._kept: dict[str, Checkpoint] = {}
        self._now = now

    async def claim(self, key_range: KeyRange, fingerprint: Mapping[str, str] | None = None) -> Checkpoint:
        """See `CheckpointStore.claim`."""
        begun = begin_attempt(self._kept.get(checkpoint_id(key_range)), key_range, fingerprint, self._now())
        self._kept[checkpoint_id(key_range)] = begun
        return begun

    async def save(self, checkpoint: Checkpoint) -> None:
        """See `CheckpointStore.save`."""
        if self._kept[checkpoint_id(checkpoint.key_range)].owner != checkpoint.owner:
            raise taken_over(checkpoint.key_range)
        self._kept[checkpoint_id(checkpoint.key_range)] = replace(checkpoint, updated_at=self._now())


def checkpoint_id(key_range: KeyRange) -> str:
    """The identity of a range's checkpoint: `<run id>/<range id>`."""
    return f"{key_range.run_id}/{key_range.range_id}"


def begin_attempt(
    stored: Checkpoint | None, key_range: KeyRange, fingerprint: Mapping[str, str] | None, now: datetime
) -> Checkpoint:
    """The checkpoint of the next attempt. A range that was begun before is no longer `fresh`.

    Raises:
        ConfigError: the range was begun with another fingerprint.
    """
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
            f"range {stored.key_range.range_id} cannot resume ({'; '.join(changed)}): go back to the "
            "settings that it was begun with, or choose another run_id",
            range_id=stored.key_range.range_id,
        )


def on_collections(claimed: Checkpoint, now: Mapping[str, str]) -> Checkpoint:
    """The claimed checkpoint on the collections that there are now.

    If one of them is another than before, what the range has done is not there any more: it starts over.
    """
    if not any(is_replaced(was, now.get(name)) for name, was in claimed.collections.items()):
        return replace(claimed, collections=dict(now))
    return replace(claimed, collections=dict(now), position=None, counts=Counts())


def taken_over(key_range: KeyRange) -> Interrupted:
    """The error for an attempt that may no longer save, because another attempt has claimed its range."""
    return Interrupted(
        f"range {key_range.range_id} was taken over by another attempt; this one stops",
        range_id=key_range.range_id,
    )
