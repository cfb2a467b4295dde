"""What a service is to this process: one object, which all ranges, repairs and replays that call it share.

What the service tells one of them holds for all: how long to wait (`Retry-After`), how many requests at once
it takes, how large they may be, and whether it works at all. `Endpoint.attempt` is one request: it waits
until the request may be made, and records how it ended.

    async with endpoint.attempt(texts, probe) as attempt:
        ...one request...
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

from engine.calling.adaptive_limit import AdaptiveLimit, AttemptResult, AttemptStart
from engine.calling.circuit_breaker import CircuitBreaker, Probe
from engine.calling.concurrency import RESULTS, Slots
from engine.calling.request_size import RequestSize
from engine.calling.retry import RetryPolicy
from engine.calling.retry_quota import RetryQuota
from engine.errors import ConfigError, ExtractionError, Failure, Interrupted, WrongAnswer, classify
from engine.extractors.extractor import Extractor, FunctionExtractor, Preparable
from engine.extractors.offsets import PROBE_TEXT
from engine.model import Entity, Sleep
from engine.observing.events import Events
from engine.settings import Settings


@dataclass
class Pause:
    """The wait that the service asked for, kept by every call to it (trap 19).

    Each call that waits adds a jitter of its own, upward: uniform in [0, `spread_s` + a tenth of the wait].
    Otherwise all of them would be back in the same instant.
    """

    clock: Callable[[], float]
    sleep: Sleep
    rng: random.Random
    spread_s: float
    until: float = 0.0

    @property
    def remaining(self) -> float:
        """Seconds until calls may start again."""
        return max(0.0, self.until - self.clock())

    def extend(self, seconds: float) -> None:
        """Lets no call start before `seconds` from now."""
        self.until = max(self.until, self.clock() + seconds)

    async def wait(self) -> None:
        """Waits until no pause is on."""
        while (remaining := self.remaining) > 0:
            await self.sleep(remaining + self.rng.uniform(0, self.spread_s + remaining / 10))


class Endpoint:
    """The state of one service: its pause, its circuit breaker, and what it takes.

    Attributes:
        slots: bound the attempts in flight.
        size: how large a request may be.
        retries: repeats calls that failed; its quota is shared by all calls.
        circuit: tells whether the service works.
        successes: attempts that have succeeded.

    Args:
        most_texts: texts a request at most; by default `batch_texts`.
        clock, sleep: in seconds; `rng` draws all random waits.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        most_texts: int | None = None,
        slots: Slots | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        rng = rng or random.Random()  # noqa: S311  (spreads load; nothing secret)
        self.clock, self._settings, self._events = clock, settings, Events()
        self.slots = slots or Slots(AdaptiveLimit(settings.min_concurrency, settings.max_concurrency))
        self.pause = Pause(clock, sleep, rng, settings.tuning.retry_base_s)
        self.circuit = CircuitBreaker(settings, clock=clock, sleep=sleep, rng=rng)
        texts = min(settings.batch_texts, most_texts or settings.batch_texts)
        self.size = RequestSize(texts, settings.batch_chars, clock=clock)
        self.retries = RetryPolicy(
            RetryQuota(settings.tuning.retry_tokens, clock),
            max_retry_s=settings.tuning.max_retry_s,
            max_throttled_s=settings.max_throttled_s,
            base_s=settings.tuning.retry_base_s,
            most_s=settings.tuning.retry_max_s,
            sleep=sleep,
            rng=rng,
        )
        self.successes = 0
        self._passed = self._with_entities = ""
        self._answers_wrongly = False

    def serves(self, settings: Settings) -> bool:
        """Whether these settings call the service as the endpoint's own do."""
        return settings.model_dump(include=_CALLING) == self._settings.model_dump(include=_CALLING)

    def attempt(self, texts: Sequence[str], probe: Probe | None = None, *, retried: bool = False) -> Attempt:
        """One request with these texts, as an asynchronous context manager.

        Args:
            probe: asks whether the service works, where that is in doubt. Without it the attempt is a probe
                itself, and does not wait for the circuit breaker.
            retried: the same was tried before, so that its success is no evidence of capacity.
        """
        return Attempt(self, texts, probe, retried=retried)

    def record_success(self, texts: Sequence[str]) -> None:
        """Records a request that was answered, and whose answer is right."""
        self.circuit.record_success()
        self.size.passed(texts)
        self.successes += 1
        self._passed = texts[0]

    def learn_from(self, texts: Sequence[str], found: list[tuple[Entity, ...]]) -> list[tuple[Entity, ...]]:
        """Remembers a text with entities, for probes; returns what was found."""
        if not self._with_entities:
            with_entities = (text for text, entities in zip(texts, found, strict=True) if entities)
            self._with_entities = next(with_entities, "")
        return found

    @property
    def probe_text(self) -> str:
        """The text that shows whether the service works: one that has passed, best one with entities.

        A service may give entities in a wrong way, and answer texts without entities rightly. So if a wrong
        answer was seen, and nothing with entities has passed, it is a text known to have some.
        """
        if self._with_entities:
            return self._with_entities
        return PROBE_TEXT if self._answers_wrongly else self._passed or PROBE_TEXT

    async def wait_until_ready(self, extractor: Preparable) -> None:
        """Waits until the extractor may send texts. What it asks for that is repeated as probes are.

        Raises:
            ConfigError: the service cannot be used as it is set up.
            ServiceDown: it did not work for `max_outage_s`.
        """

        async def prepared() -> Exception | None:
            try:
                await extractor.prepare()
            except (ConfigError, Interrupted):
                raise
            except Exception as error:  # noqa: BLE001  (an extractor may raise anything)
                return error
            return None

        self.circuit.open()
        await self.circuit.wait_until_closed(prepared)

    def record_failure(self, error: Exception) -> None:
        """Records a request that failed, and the wait that the service asked for."""
        if classify(error) is Failure.PERMANENT:  # if a probe is refused otherwise, another text is better
            self._answers_wrongly = isinstance(error, WrongAnswer)
        if classify(error) is not Failure.THROTTLED:  # a busy service works
            self.circuit.record_failure()
            return
        hint = error.retry_after_s if isinstance(error, ExtractionError) else None
        if seconds := min(hint or 0.0, self._settings.tuning.retry_after_max_s):
            if not self.pause.remaining:
                self._events.warning("service_throttled", pause_s=seconds)
            self.pause.extend(seconds)

    def occupied_s(self, error: Exception) -> float:
        """Seconds for which the service may still be at work on an attempt that has failed (trap 22)."""
        timed_out = isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)
        return self._settings.tuning.timeout_charge_s if timed_out else 0.0


class Attempt:
    """One request, made inside `async with`."""

    __slots__ = ("_endpoint", "_probe", "_retried", "_start", "_texts")

    def __init__(
        self, endpoint: Endpoint, texts: Sequence[str], probe: Probe | None, *, retried: bool
    ) -> None:
        self._endpoint, self._texts, self._probe, self._retried = endpoint, texts, probe, retried
        self._start: AttemptStart | None = None

    async def __aenter__(self) -> Self:
        """Waits for the pause, the circuit breaker and a slot, in this order."""
        endpoint, slots = self._endpoint, self._endpoint.slots
        while True:
            await endpoint.pause.wait()
            if self._probe is not None:
                await endpoint.circuit.wait_until_closed(self._probe)
            if not slots.try_take():
                await slots.take()
            in_doubt = endpoint.circuit.is_open and self._probe is not None
            if not (in_doubt or endpoint.pause.remaining):
                break
            slots.give_back()  # the service was found down, or asked to wait, while this attempt waited
        self._start = slots.limiter.begin(slots.taken)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Records how the request ended, and gives the slot back."""
        if self._start is None:
            raise RuntimeError("the attempt was never begun")
        endpoint, result, occupied_s = self._endpoint, AttemptResult.IGNORED, 0.0
        if error is None:
            endpoint.record_success(self._texts)
            result = AttemptResult.RETRIED if self._retried else AttemptResult.SUCCESS
        elif isinstance(error, Exception):
            endpoint.record_failure(error)
            result, occupied_s = RESULTS[classify(error)], endpoint.occupied_s(error)
        endpoint.slots.limiter.end(self._start, result)
        endpoint.slots.give_back(occupied_s)


_CALLING = {"min_concurrency", "max_concurrency", "batch_texts", "batch_chars", "max_outage_s", "tuning"}
"""The settings that an Endpoint is made from."""

_SHARED: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Any, Endpoint]] = WeakKeyDictionary()
"""The endpoints of each event loop, by their extractors. An Endpoint holds no reference to its extractor."""


def endpoint_of(extractor: Extractor, settings: Settings) -> Endpoint:
    """The endpoint of an extractor, or of the function in it: the same one for all who call it in this loop.

    It is another one where the settings would call the service in another way.
    """
    most_texts: int | None = getattr(extractor, "batch_texts", None)
    called = extractor.function if isinstance(extractor, FunctionExtractor) else extractor
    shared = _SHARED.setdefault(asyncio.get_running_loop(), WeakKeyDictionary())
    try:
        found = shared.get(called)
        if found is None or not found.serves(settings):
            found = shared[called] = Endpoint(settings, most_texts=most_texts)
    except TypeError:  # it cannot be a key: it has no hash, or takes no weak references
        return Endpoint(settings, most_texts=most_texts)
    return found
