"""The kinds of work that are measured: how many documents, in which ranges, with which service."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.stub.service import Service

SLOTS = 2
"""Ranges that are processed at once: the slots of the pool, and the engine's `range_concurrency`."""

IN_FLIGHT = 8
"""Requests of one range at once, where the service takes its time. Ranges of one process share them."""

_TEXTS = 8
_ROOM = 1024


@dataclass(frozen=True, slots=True)
class Work:
    """Some documents, the number of ranges, and the service.

    Attributes:
        name: the name in the tables.
        batch_texts: texts per request.
        in_flight: requests of a range at once, at most.
        range_s: seconds that a range should take; None if the service answers at once.
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
        """Documents per range."""
        return -(-self.documents // self.ranges)


def at_once(documents: int, ranges: int) -> Work:
    """Work with a service that answers at once, so that only the machinery takes time."""
    return Work(f"at once, {ranges} ranges", documents, ranges, Service(slots=None))


def in_seconds(documents: int, ranges: int, range_s: float) -> Work:
    """Work with a service whose requests take so long that a range takes `range_s` seconds.

    `in_flight` requests of `batch_texts` documents each are in flight at once, and none waits. So a range of
    n documents takes `n / batch_texts / in_flight` times the latency of a request.
    """
    name = f"{range_s:.0f} s a range, {ranges} ranges"
    work = Work(name, documents, ranges, Service(), _TEXTS, IN_FLIGHT, range_s)
    rounds = work.range_documents / work.batch_texts / work.in_flight
    return replace(work, service=Service(slots=_ROOM, base_s=range_s / rounds, text_s=0.0))
