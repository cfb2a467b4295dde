"""Sends a batch to the service; when the batch fails for good, bisects it to find the texts at fault.

A failing batch is halved until single texts fail alone (trap 23, docs/traps.md). Before a text is blamed, the
service must have been shown to work: by another call that succeeded meanwhile, or by a probe with a text that
succeeded before (trap 24). While the service does not work, all calls wait and no attempt counts
(`circuit_breaker.py`).

The cost of one bad text among n, in requests: `batch_attempts` for the batch, two halves at each level,
`max_attempts` for the text alone, and one probe. That is 3 + 2 log2(n) + 5 + 1, or 19 for 32 texts. Halves do
not wait for each other's backoff.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from engine.calling.adaptive_limit import AttemptResult
from engine.calling.circuit_breaker import CircuitBreaker
from engine.calling.concurrency import Slot, Slots
from engine.calling.retry import RetryPolicy, RetryState
from engine.errors import ConfigError, ExtractionError, Failure, Interrupted, ServiceDown, classify
from engine.extractors.answer_check import check_answer
from engine.extractors.redaction import redact
from engine.model import DeadLetter, Effort, Entity
from engine.observing import metrics
from engine.observing.events import Events

PROBE_TEXT = "Ada Lovelace met Charles Babbage in London in 1833."
"""The text of a probe as long as no other text has succeeded."""

MAX_OUTAGES_BATCH = 2
MAX_OUTAGES_TEXT = 5
"""How many outages a batch, or a single text, may meet before it is taken for their cause. Without a limit, a
text that crashes the service would be sent forever, since each crash looks like an outage."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one text failed for good. It holds the text only if the setting `keep_failed_text` is on."""

    kind: Failure
    message: str
    status: int | None
    attempts: int
    first_at: datetime
    last_at: datetime
    text_length: int
    text: str | None = None

    def dead_letter(self, document_id: Any, text_hash: str, range_id: str) -> DeadLetter:
        """Makes the dead letter of a document that has this text."""
        return DeadLetter(
            document_id,
            self.kind.value,
            self.message,
            range_id,
            status=self.status,
            attempts=self.attempts,
            first_at=self.first_at,
            last_at=self.last_at,
            text_length=self.text_length,
            text_hash=text_hash,
            text=self.text,
        )


Outcome: TypeAlias = tuple[Entity, ...] | Refusal
"""What became of a text: its entities, or why it failed for good."""


@dataclass
class _Attempts:
    """The attempts to send one list of texts, and the state of the service when the last one began.

    Attributes:
        count: attempts that count; those attempts during an outage do not.
        outages_met: how often an outage was the cause of the failure.
    """

    state: RetryState
    first_at: datetime
    successes_before: int
    outages_before: int
    count: int = 0
    outages_met: int = 0

    def begin(self, successes: int, outages: int) -> None:
        """Begins the next attempt; after an outage the count starts again from zero."""
        if outages != self.outages_before:
            self.state.reset()
            self.count = 0
        self.count += 1
        # Only a success after this point shows that the service works now.
        self.successes_before, self.outages_before = successes, outages


class Caller:
    """Sends the texts of one range to the service.

    Args:
        slots: limit the attempts in flight; other ranges may share them.
        prepare: awaited before each attempt. It is no part of the attempt, so that its time does not count as
            latency of the service.
    """

    def __init__(
        self,
        extract: Callable[[Sequence[str]], Awaitable[Sequence[Any]]],
        policy: RetryPolicy,
        slots: Slots,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        events: Events | None = None,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._slots, self._prepare = slots, prepare
        self._extract = extract
        self._policy, self._settings = policy, policy.settings
        self._now = now
        self._metrics = metrics.current()
        self._requests = self._successes = 0
        self._known_good = PROBE_TEXT
        time = policy.pause
        self._circuit = CircuitBreaker(
            policy.settings, self._probe, clock=time.clock, sleep=time.sleep, rng=policy.rng, events=events
        )

    @property
    def requests(self) -> int:
        """How many requests were sent so far."""
        return self._requests

    async def extract(self, texts: Sequence[str]) -> list[Outcome]:
        """Returns the entities of each text, or why it failed for good.

        Raises:
            ServiceDown: the service did not work for too long; the texts are not blamed.
            ExtractionError: the service has never worked and refuses even a probe for good.
        """
        return await self._outcomes(texts, self._settings.batch_attempts) if texts else []

    async def _outcomes(self, texts: Sequence[str], most: int) -> list[Outcome]:
        """Sends the texts up to `most` times; a single text up to `max_attempts` times."""
        max_attempts = self._settings.max_attempts
        state = RetryState(max_attempts if len(texts) == 1 else min(most, max_attempts))
        attempts = _Attempts(state, self._now(), self._successes, self._circuit.outages)
        while True:
            try:
                return list(await self._policy.call(partial(self._try, texts, attempts), state))
            except (ConfigError, Interrupted):
                raise
            except Exception as error:  # noqa: BLE001  (an extractor may raise anything)
                failed = error
            if not await self._outage_to_blame(failed, texts, attempts):
                break
        if len(texts) == 1:
            return [self._refusal(failed, texts[0], attempts)]
        return await self._bisect(texts, failed)

    async def _bisect(self, texts: Sequence[str], error: Exception) -> list[Outcome]:
        if classify(error) is Failure.TRANSIENT:
            await self._policy.repeat(Failure.TRANSIENT)
        middle = len(texts) // 2  # one attempt each, since the halves repeat what failed
        return [*await self._outcomes(texts[:middle], 1), *await self._outcomes(texts[middle:], 1)]

    async def _try(self, texts: Sequence[str], attempts: _Attempts) -> list[tuple[Entity, ...]]:
        """Makes one attempt, once a slot is free, the circuit is closed and no pause is on."""
        while True:
            if self._prepare is not None:
                await self._prepare()
            await self._policy.pause.wait()
            await self._circuit.wait_until_closed()
            async with self._slots.slot(retried=attempts.count > 0) as slot:
                # Either may have changed while this call waited for the slot.
                if self._circuit.is_open or self._policy.pause.remaining:
                    slot.result = AttemptResult.IGNORED
                    continue
                attempts.begin(self._successes, self._circuit.outages)
                return await self._attempt(texts, slot)

    async def _attempt(self, texts: Sequence[str], slot: Slot) -> list[tuple[Entity, ...]]:
        """Sends one request. Every call of the service, probes included, happens here, after all waits."""
        self._requests += 1
        try:
            with self._metrics.request(texts):
                answer = check_answer(texts, await self._extract(texts))
        except Exception as error:
            if classify(error) is not Failure.THROTTLED:  # a service that throttles does work
                self._circuit.record_failure()
            if _is_timeout(error):
                slot.charge_for(self._settings.timeout_charge_s)
            raise
        self._circuit.record_success()
        self._successes += 1
        self._known_good = texts[0]
        return answer

    async def _outage_to_blame(self, error: Exception, texts: Sequence[str], attempts: _Attempts) -> bool:
        """Returns whether an outage explains the failure, after its end; the attempts do not count then.

        A batch may be halved without a probe if another call succeeded since the batch's last attempt began.
        Before a single text is blamed, a probe must show that the service works after the last failure.
        """
        if classify(error) is Failure.THROTTLED:
            raise ServiceDown(
                f"the service does not work ({redact(_reason(error), texts)}): it throttled a request for "
                "longer than max_throttled_s; no document is blamed, run again to resume"
            ) from error
        if len(texts) == 1 or self._successes <= attempts.successes_before:
            self._circuit.open()
            await self._circuit.wait_until_closed()
        if attempts.outages_before == self._circuit.outages:
            return False
        attempts.outages_met += 1
        if attempts.outages_met > (MAX_OUTAGES_TEXT if len(texts) == 1 else MAX_OUTAGES_BATCH):
            return False
        self._policy.on_retry(classify(error))
        return True

    async def _probe(self) -> Exception | None:
        """Sends a probe; returns the error if the service does not work, else None.

        Raises:
            ExtractionError: it refuses for good and no text has succeeded yet: a wrong address or token.
        """
        text = self._known_good
        try:
            async with self._slots.slot(retried=True) as slot:
                await self._attempt([text], slot)
        except (ConfigError, Interrupted):
            raise
        except Exception as error:
            problem = _described(error, text)
            if problem.failure is Failure.PERMANENT and not self._successes:
                raise ExtractionError(
                    f"the service does not work ({problem}); no document is blamed, run again to resume",
                    failure=problem.failure,
                    status=problem.status,
                ) from error
            return problem
        return None

    def _refusal(self, error: Exception, text: str, attempts: _Attempts) -> Refusal:
        described = _described(error, text)
        return Refusal(
            described.failure,
            str(described)[:500],
            described.status,
            attempts.count,
            attempts.first_at,
            self._now(),
            len(text),
            text if self._settings.keep_failed_text else None,
        )


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


def _described(error: Exception, text: str) -> ExtractionError:
    """Converts an error to an ExtractionError of the same class, status and hint, without the text in it."""
    return ExtractionError(
        redact(_reason(error), [text]),
        failure=classify(error),
        status=getattr(error, "status", None),
        retry_after_s=getattr(error, "retry_after_s", None),
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ExtractionError) else f"{type(error).__name__}: {error}"


def effort_of(caller: Caller, failures: Sequence[Failure]) -> Effort:
    """Sums what the calls of a range took, given the failures that were tried again."""
    by_class = (failures.count(Failure.THROTTLED), failures.count(Failure.PERMANENT))
    return Effort(caller.requests, len(failures), *by_class)
