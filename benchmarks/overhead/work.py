"""The work that `overhead.py` measures: how many documents, in which ranges, at which service."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.stub.service import Service

SLOTS = 2
"""Ranges at once: slots of the pool, or the engine's `range_concurrency`."""

IN_FLIGHT = 8
"""Requests of one range at once, where the service takes its time; in one process they are shared."""

_TEXTS = 8
_ROOM = 1024


@dataclass(frozen=True, slots=True)
class Work:
    """Documents, ranges, and a service.

    Attributes:
        name: what stands in the tables.
        batch_texts: texts a request.
        in_flight: most requests of a range at once.
        range_s: what a range should take; None if nothing is meant to take time.
    """

    name: str
    documents: int
    ranges: int
    service: Service
    batch_texts: int = 32
    in_flight: int = 64
    range_s: float | None = None

    @property
    def range_documents(self) -> int:
        """Documents a range."""
        return -(-self.documents // self.ranges)


def at_once(documents: int, ranges: int) -> Work:
    """A service that answers at once: all that is left is what the machinery costs."""
    return Work(f"at once, {ranges} ranges", documents, ranges, Service(slots=None))


def in_seconds(documents: int, ranges: int, range_s: float) -> Work:
    """A service whose every request takes so long that a range takes `range_s` seconds.

    `in_flight` requests at once, each of `batch_texts` documents, never queued: a range of n documents takes
    `n / batch_texts / in_flight` times the latency.
    """
    name = f"{range_s:.0f} s a range, {ranges} ranges"
    work = Work(name, documents, ranges, Service(), _TEXTS, IN_FLIGHT, range_s)
    rounds = work.range_documents / work.batch_texts / work.in_flight
    return replace(work, service=Service(slots=_ROOM, base_s=range_s / rounds, text_s=0.0))
