"""Counters and histograms through OpenTelemetry's API, if that is installed (extra `telemetry`); else none.

The engine brings no exporter: the application sets a MeterProvider, before a run or after. Names, units
and attributes follow OpenTelemetry's semantic conventions: durations in seconds, `error.type` only where
something failed, units in braces for what is counted. No text, `_id` or run ever becomes an attribute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from engine.errors import classify
from engine.model import Counts

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation

METER = "keyset_batch"
"""Name of the meter, and the first part of each metric's name."""

DURATIONS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Bounds of the histograms: those that the conventions advise for databases and HTTP clients, and two beyond,
for `request_timeout_s` is 30 s and more."""

OUTCOME = f"{METER}.outcome"
QUEUE = f"{METER}.queue"


class SlotsAtWork(Protocol):
    """What is asked of the slots of a process."""

    @property
    def in_flight(self) -> int:
        """Attempts at the service now."""

    @property
    def limit(self) -> int:
        """Most attempts at once, now."""


@dataclass(frozen=True, slots=True)
class Depths:
    """Batches of one range on their way.

    Attributes:
        to_extract: read, and waiting for a caller.
        to_write: extracted, and waiting for a write.
        ahead: read and beyond the checkpoint, wherever they are.
    """

    to_extract: int
    to_write: int
    ahead: int


AskDepths = Callable[[], Depths]


class Telemetry(Protocol):
    """What is told of ranges at work."""

    def request(self, texts: Sequence[str]) -> AbstractContextManager[None]:
        """Around one attempt at the service."""

    def write(self) -> AbstractContextManager[None]:
        """Around one write."""

    def page(self, documents: int, text_bytes: int, seconds: float) -> None:
        """A page was fetched."""

    def settled(self, counts: Counts) -> None:
        """These documents are durable."""

    def watching(self, slots: SlotsAtWork, depths: AskDepths) -> AbstractContextManager[None]:
        """Around a range at work: meanwhile these may be asked, from any thread."""


class NoTelemetry:
    """Tells nobody."""

    _NOTHING = nullcontext()

    def request(self, texts: Sequence[str]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Measures nothing."""
        return self._NOTHING

    def write(self) -> AbstractContextManager[None]:
        """Measures nothing."""
        return self._NOTHING

    def page(self, documents: int, text_bytes: int, seconds: float) -> None:
        """Counts nothing."""

    def settled(self, counts: Counts) -> None:
        """Counts nothing."""

    def watching(self, slots: SlotsAtWork, depths: AskDepths) -> AbstractContextManager[None]:  # noqa: ARG002
        """Keeps nothing."""
        return self._NOTHING


@cache
def current() -> Telemetry:
    """The telemetry of this process."""
    try:
        from opentelemetry.metrics import get_meter  # noqa: PLC0415  (an extra)
    except ImportError:
        return NoTelemetry()
    return MeterTelemetry(get_meter(METER))


class MeterTelemetry:
    """Tells a meter of OpenTelemetry.

    A range is observed while it is at work, when somebody collects; afterwards it is not kept. Slots that
    ranges share are observed once.
    """

    def __init__(self, meter: Meter, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._at_work: tuple[tuple[SlotsAtWork, AskDepths], ...] = ()
        self._count(meter)
        self._observe(meter)

    def _count(self, meter: Meter) -> None:
        def seconds(name: str, of: str) -> Callable[..., None]:
            bounds = list(DURATIONS_S)
            named = f"{METER}.{name}.duration"
            return meter.create_histogram(named, "s", of, explicit_bucket_boundaries_advisory=bounds).record

        def number(name: str, unit: str, of: str) -> Callable[..., None]:
            return meter.create_counter(f"{METER}.{name}", unit, of).add

        self._requests = seconds("request", "Attempts at the service, by class of failure.")
        self._texts = number("request.texts", "{text}", "Texts sent, again or for the first time.")
        self._characters = number("request.characters", "{character}", "Code points of the texts sent.")
        self._pages = seconds("page", "Pages fetched from the source.")
        self._read = number("page.documents", "{document}", "Documents fetched.")
        self._bytes = number("page.text.size", "By", "Memory that the texts fetched take.")
        self._writes = seconds("write", "Writes of results.")
        self._documents = number("documents", "{document}", "Documents done and durable, by outcome.")

    def _observe(self, meter: Meter) -> None:
        from opentelemetry.metrics import Observation  # noqa: PLC0415  (an extra)

        def now(name: str, unit: str, of: str, ask: Callable[[], dict[str, int]]) -> None:
            def observations(_: CallbackOptions) -> list[Observation]:
                return [Observation(n, {QUEUE: queue} if queue else None) for queue, n in ask().items()]

            meter.create_observable_up_down_counter(f"{METER}.{name}", [observations], unit, of)

        now("request.active", "{request}", "Attempts at the service now.", self._active)
        now("request.limit", "{request}", "Most attempts at once, now.", self._limit)
        now("batch.queued", "{batch}", "Batches waiting between two stages, by queue.", self._queued)
        now("batch.ahead", "{batch}", "Batches read and beyond the checkpoint.", self._ahead)

    # --- counted as it happens ---

    def request(self, texts: Sequence[str]) -> AbstractContextManager[None]:
        """Around one attempt at the service."""
        self._texts(len(texts))
        self._characters(sum(map(len, texts)))
        return _Timed(self._requests, self._clock, _class_of)

    def write(self) -> AbstractContextManager[None]:
        """Around one write."""
        return _Timed(self._writes, self._clock, _name_of)

    def page(self, documents: int, text_bytes: int, seconds: float) -> None:
        """A page was fetched."""
        self._pages(seconds)
        self._read(documents)
        self._bytes(text_bytes)

    def settled(self, counts: Counts) -> None:
        """These documents are durable."""
        for outcome in ("written", "unchanged", "dead_lettered"):
            if number := getattr(counts, outcome):
                self._documents(number, {OUTCOME: outcome})

    # --- observed when somebody asks ---

    @contextmanager
    def watching(self, slots: SlotsAtWork, depths: AskDepths) -> Iterator[None]:
        """Around a range at work: meanwhile these may be asked, from any thread."""
        watched = (slots, depths)
        self._at_work = (*self._at_work, watched)  # a new tuple: a thread may be walking through the old one
        try:
            yield
        finally:
            self._at_work = tuple(other for other in self._at_work if other is not watched)

    def _all_slots(self) -> list[SlotsAtWork]:
        return list({id(slots): slots for slots, _ in self._at_work}.values())

    def _all_depths(self) -> list[Depths]:
        return [ask() for _, ask in self._at_work]

    def _active(self) -> dict[str, int]:
        return {"": sum(slots.in_flight for slots in self._all_slots())}

    def _limit(self) -> dict[str, int]:
        return {"": sum(slots.limit for slots in self._all_slots())}

    def _queued(self) -> dict[str, int]:
        depths = self._all_depths()
        return {
            "to_extract": sum(depth.to_extract for depth in depths),
            "to_write": sum(depth.to_write for depth in depths),
        }

    def _ahead(self) -> dict[str, int]:
        return {"": sum(depth.ahead for depth in self._all_depths())}


class _Timed:
    """Records the time inside `with`, and by what it failed. No generator: this surrounds every request."""

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
