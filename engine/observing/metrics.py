"""Counters, histograms and gauges of running ranges, through OpenTelemetry's API.

The engine has no exporter. Until the application sets a MeterProvider, before or during a run, the API's own
no-op instruments are used. Names, units and attributes follow OpenTelemetry's semantic conventions: durations
are in seconds, `error.type` is set only on failures, and units of counted things are in braces. No text, no
`_id` and no run id becomes an attribute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Protocol

from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter

from engine.errors import classify
from engine.model import Counts

METER = "keyset_batch"
"""Name of the meter, and the first part of each metric's name."""

DURATIONS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of the histograms: those that the conventions advise for databases and HTTP clients. Two are added,
because `request_timeout_s` is 30 s or more."""

OUTCOME = f"{METER}.outcome"
QUEUE = f"{METER}.queue"


class Limiter(Protocol):
    """The part of a process's concurrency limiter that the gauges read."""

    @property
    def in_flight(self) -> int:
        """Requests in flight now."""

    @property
    def limit(self) -> int:
        """The current limit of requests in flight."""


@dataclass(frozen=True, slots=True)
class QueueDepths:
    """The numbers of batches of one range that are between reading and the checkpoint.

    Attributes:
        to_extract: read, and waiting to be sent.
        to_write: extracted, and waiting to be written.
        ahead: read, but not yet covered by the checkpoint.
    """

    to_extract: int
    to_write: int
    ahead: int


GetDepths = Callable[[], QueueDepths]


@cache
def current() -> Metrics:
    """Returns the metrics of this process; their instruments are created at the first call."""
    return Metrics(get_meter(METER))


class Metrics:
    """Records into the instruments of an OpenTelemetry meter.

    The gauges cover a range while it runs, and forget it afterwards. A limiter that several ranges share is
    counted once.
    """

    def __init__(self, meter: Meter, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._at_work: tuple[tuple[Limiter, GetDepths], ...] = ()
        self._create_instruments(meter)
        self._create_gauges(meter)

    def _create_instruments(self, meter: Meter) -> None:
        def seconds(name: str, of: str) -> Callable[..., None]:
            bounds = list(DURATIONS_S)
            named = f"{METER}.{name}.duration"
            return meter.create_histogram(named, "s", of, explicit_bucket_boundaries_advisory=bounds).record

        def number(name: str, unit: str, of: str) -> Callable[..., None]:
            return meter.create_counter(f"{METER}.{name}", unit, of).add

        self._requests = seconds("request", "Attempts of requests, by class of failure.")
        self._texts = number("request.texts", "{text}", "Texts sent, including those sent again.")
        self._characters = number("request.characters", "{character}", "Code points of the texts sent.")
        self._pages = seconds("page", "Pages fetched from the source.")
        self._read = number("page.documents", "{document}", "Documents fetched.")
        self._bytes = number("page.text.size", "By", "Memory taken by the fetched texts.")
        self._writes = seconds("write", "Writes of results.")
        self._repeats = number("command.repeats", "{repeat}", "Commands sent to MongoDB again, by reason.")
        self._documents = number("documents", "{document}", "Documents that are durable, by outcome.")

    def _create_gauges(self, meter: Meter) -> None:
        def gauge(name: str, unit: str, of: str, read: Callable[[], dict[str, int]]) -> None:
            def observations(_: CallbackOptions) -> list[Observation]:
                return [Observation(n, {QUEUE: queue} if queue else None) for queue, n in read().items()]

            meter.create_observable_up_down_counter(f"{METER}.{name}", [observations], unit, of)

        gauge("request.active", "{request}", "Requests in flight now.", self._active)
        gauge("request.limit", "{request}", "Current limit of requests in flight.", self._limit)
        gauge("batch.queued", "{batch}", "Batches waiting between two stages, by queue.", self._queued)
        gauge("batch.ahead", "{batch}", "Batches read and not yet covered by the checkpoint.", self._ahead)

    # --- recorded as it happens ---

    def request(self, texts: Sequence[str]) -> AbstractContextManager[None]:
        """Returns a context manager that measures one attempt of a request with these texts."""
        self._texts(len(texts))
        self._characters(sum(map(len, texts)))
        return _Timed(self._requests, self._clock, _class_of)

    def write(self) -> AbstractContextManager[None]:
        """Returns a context manager that measures one write of results."""
        return _Timed(self._writes, self._clock, _name_of)

    def page(self, documents: int, text_bytes: int, seconds: float) -> None:
        """Records a page that was fetched."""
        self._pages(seconds)
        self._read(documents)
        self._bytes(text_bytes)

    def command_repeated(self, reason: str) -> None:
        """Records that a command was sent to MongoDB again, with the reason."""
        self._repeats(1, {"error.type": reason})

    def committed(self, counts: Counts) -> None:
        """Records documents that are durable now, by outcome."""
        for outcome in ("written", "unchanged", "dead_lettered"):
            if number := getattr(counts, outcome):
                self._documents(number, {OUTCOME: outcome})

    # --- observed when the application's reader collects ---

    @contextmanager
    def observing(self, limiter: Limiter, depths: GetDepths) -> Iterator[None]:
        """Includes a range in the gauges inside the block. `depths` may be called from any thread."""
        observed = (limiter, depths)
        self._at_work = (
            *self._at_work,
            observed,
        )  # a new tuple: another thread may be iterating over the old
        try:
            yield
        finally:
            self._at_work = tuple(other for other in self._at_work if other is not observed)

    def _limiters(self) -> list[Limiter]:
        return list({id(limiter): limiter for limiter, _ in self._at_work}.values())

    def _depths(self) -> list[QueueDepths]:
        return [depths() for _, depths in self._at_work]

    def _active(self) -> dict[str, int]:
        return {"": sum(limiter.in_flight for limiter in self._limiters())}

    def _limit(self) -> dict[str, int]:
        return {"": sum(limiter.limit for limiter in self._limiters())}

    def _queued(self) -> dict[str, int]:
        depths = self._depths()
        return {
            "to_extract": sum(depth.to_extract for depth in depths),
            "to_write": sum(depth.to_write for depth in depths),
        }

    def _ahead(self) -> dict[str, int]:
        return {"": sum(depth.ahead for depth in self._depths())}


class _Timed:
    """Records the seconds spent inside the block and, if it failed, the `error.type`.

    A class, because a generator-based context manager would cost more and every request goes through it.
    """

    __slots__ = ("_began", "_clock", "_failure", "_record")

    def __init__(
        self, record: Callable[..., None], clock: Callable[[], float], failure: Callable[[BaseException], str]
    ) -> None:
        self._record, self._clock, self._failure = record, clock, failure
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = self._clock()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = self._clock() - self._began
        if error is None:
            self._record(seconds)
        else:
            self._record(seconds, {"error.type": self._failure(error)})


def _class_of(error: BaseException) -> str:
    return classify(error).value if isinstance(error, Exception) else "cancelled"


def _name_of(error: BaseException) -> str:
    return type(error).__name__
