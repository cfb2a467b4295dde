"""The scenarios of the pipeline benchmark: which service, which candidates, how many documents, how often."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmarks.stub.service import Service

SWEPT = (8, 16, 24, 32, 64)
"""Numbers of workers to try. In the scenario `service`, the engine is compared with the best one."""

USUAL = 32
"""The number of workers where only one is tried."""

ALL = 258_145
"""The number of all messages of the chat history."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One candidate in one scenario.

    Attributes:
        documents: the number of messages, from the beginning of the history.
        concurrency: requests at once, for candidates whose user has to choose it; 0 for the others.
    """

    candidate: str
    documents: int
    concurrency: int = 0
    repetitions: int = 1


@dataclass(frozen=True, slots=True)
class Scenario:
    """A service, and the candidates that call it.

    Attributes:
        poisoned: the number of texts that make their whole request fail.
    """

    name: str
    label: str
    service: Service
    entries: tuple[Entry, ...]
    poisoned: int = 0


@dataclass(frozen=True, slots=True)
class Setup:
    """The sizes of all scenarios.

    Attributes:
        documents: messages for candidates that send batches.
        singles: messages for those that send one text per call; with 16 at once they are ten times as slow.
        looped: messages for the loop of the blog post, which is 200 times as slow.
        changed: messages while the capacity is halved and restored.
        halved_s, restored_s: when the capacity changes, in seconds.
        narrow: messages for a service with very little capacity.
        grown: messages whose peak memory is compared with that of `documents`.
        outage_s: the length of the outage; it begins `outage_at_s` after the first request.
        peers: whether Beam and Ray are measured too.
    """

    documents: int = 20_000
    singles: int = 5_000
    looped: int = 500
    everything: int = ALL
    changed: int = 170_000
    halved_s: float = 5.0
    restored_s: float = 15.0
    poisoned: int = 10
    narrow: int = 2_000
    grown: int = 1_000_000
    outage_at_s: float = 1.0
    outage_s: float = 60.0
    repetitions: int = 5
    swept: tuple[int, ...] = SWEPT
    service: Service = field(default_factory=Service)
    peers: bool = False


def scenarios_of(setup: Setup) -> tuple[Scenario, ...]:
    """Makes all scenarios, in the order of the tables."""
    makers = (_service, _client, _faulty, _halved, _poison, _outage, _narrow, _all, _memory, _loops)
    return tuple(make(setup) for make in makers)


def _service(setup: Setup) -> Scenario:
    documents, times = setup.documents, setup.repetitions
    entries = (
        Entry("bare", documents, USUAL, times),
        Entry("engine", documents, 0, times),
        *(Entry("workers", documents, number, times) for number in setup.swept),
        *(Entry("workers_wide", documents, number, times) for number in setup.swept),
        *_others(setup, setup.looped),
    )
    label = f"A: {setup.service.slots} at once, {setup.service.queue} queued"
    return Scenario("service", label, setup.service, entries)


def _others(setup: Setup, looped: int) -> tuple[Entry, ...]:
    """The candidates that send one text per call, and Beam and Ray if they are measured."""
    peers = [Entry(name, setup.documents) for name in ("beam", "ray")] if setup.peers else []
    return (
        Entry("gather", setup.singles),
        Entry("threads", setup.singles),
        Entry("blog", looped),
        *peers,
    )


def _client(setup: Setup) -> Scenario:
    documents, times = setup.documents, setup.repetitions
    entries = (
        Entry("bare", documents, USUAL),
        Entry("engine", documents, 0, times),
        Entry("workers", documents, USUAL, times),
        Entry("workers_wide", documents, USUAL, times),
    )
    at_once = replace(setup.service, slots=None)
    return Scenario("client", "B: answers at once", at_once, (*entries, *_others(setup, setup.singles // 5)))


def _faulty(setup: Setup) -> Scenario:
    documents, times = setup.documents, setup.repetitions
    faulty = replace(setup.service, failing=0.05, resetting=0.01)
    entries = (Entry("engine", documents, 0, times), Entry("workers", documents, USUAL, times))
    return Scenario(
        "faulty", "C: A with 5% 503, 1% resets", faulty, (*entries, *_others(setup, setup.looped))
    )


def _halved(setup: Setup) -> Scenario:
    slots = setup.service.slots or 0
    changes = ((setup.halved_s, slots // 2), (setup.restored_s, slots))
    entries = (Entry("engine", setup.changed), Entry("workers", setup.changed, USUAL))
    service = replace(setup.service, changes=changes)
    return Scenario("halved", "D: A with capacity halved, then restored", service, entries)


def _poison(setup: Setup) -> Scenario:
    entries = (Entry("engine", setup.documents), Entry("workers", setup.documents, USUAL))
    return Scenario(
        "poison", f"E: A with {setup.poisoned} poison texts", setup.service, entries, setup.poisoned
    )


def _outage(setup: Setup) -> Scenario:
    service = replace(setup.service, outage=(setup.outage_at_s, setup.outage_s))
    entries = (Entry("engine", setup.documents), Entry("workers", setup.documents, USUAL))
    return Scenario("outage", f"F: A with an outage of {setup.outage_s:g} s", service, entries)


def _narrow(setup: Setup) -> Scenario:
    narrow = replace(setup.service, slots=2, queue=4)
    entries = (Entry("engine", setup.narrow), Entry("workers", setup.narrow, USUAL))
    return Scenario("narrow", "G: 2 at once, 4 queued", narrow, entries)


def _all(setup: Setup) -> Scenario:
    times = min(3, setup.repetitions)
    entries = (
        Entry("engine", setup.everything, 0, times),
        Entry("workers", setup.everything, USUAL, times),
        Entry("workers_wide", setup.everything, USUAL, times),
        Entry("engine_on_pymongo", setup.everything, 0, times),
        Entry("workers_on_pymongo", setup.everything, USUAL, times),
    )
    at_once = replace(setup.service, slots=None)
    return Scenario("client_all", f"B: answers at once, {setup.everything:,} documents", at_once, entries)


def _memory(setup: Setup) -> Scenario:
    entries = tuple(Entry("engine", size) for size in (setup.documents, setup.grown))
    at_once = replace(setup.service, slots=None)
    return Scenario("memory", "B: answers at once, many documents", at_once, entries)


def _loops(setup: Setup) -> Scenario:
    """Shows what uvloop gains. Where it is not installed, both candidates are the same."""
    at_once = replace(setup.service, slots=None)
    names = ("engine", "engine_on_asyncio")
    entries = tuple(Entry(name, setup.documents, 0, setup.repetitions) for name in names)
    return Scenario("loops", "B: answers at once, uvloop and asyncio", at_once, entries)
