"""Calls the service for a batch, and when a batch fails for good, finds the documents to blame.

A failing batch is halved until single texts fail alone (TRAPS 23). Before anything is blamed, the service
must be shown to work: by another call that succeeded meanwhile, or by a text that went through before
(TRAPS 24). While it does not work, everything waits and nothing is charged (see `circuit_breaker`).

What one bad text among n costs, in requests: `batch_attempts`, two halves a level, `max_attempts` alone and
one probe: 3 + 2 log2(n) + 5 + 1, 19 of 32 texts. Halves do not wait for each other's backoff.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from engine.calling.adaptive_limit import Verdict
from engine.calling.circuit_breaker import Circuit
from engine.calling.concurrency import Slot, Slots
from engine.calling.retry import Charges, RetryPolicy
from engine.errors import ConfigError, ExtractionError, Failure, Interrupted, ServiceDown, classify
from engine.extractors.answer_check import check_answer
from engine.extractors.redaction import redact
from engine.model import DeadLetter, Effort, Entity
from engine.observing import metrics
from engine.observing.events import Events

PROBE_TEXT = "Ada Lovelace met Charles Babbage in London in 1833."
"""Sent to ask whether the service works at all, when no text has gone through yet."""

MOST_SPARED_BATCH = 2
MOST_SPARED_TEXT = 5
"""Outages that a batch, or a text alone, may meet before it is taken for their cause: a text that crashes the
service looks like an outage each time, and would be sent for ever."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one text failed for good; it holds the text only if `keep_failed_text` says so."""

    kind: Failure
    message: str
    status: int | None
    attempts: int
    first_at: datetime
    last_at: datetime
    text_length: int
    text: str | None = None

    def dead_letter(self, document_id: Any, text_hash: str, range_id: str) -> DeadLetter:
        """The dead letter of a document whose text this was."""
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


@dataclass
class _Tries:
    """The attempts at one set of texts, and how things stood when the last one began.

    Attributes:
        attempts: those that count; none made during an outage does.
        spared: how often an outage was to blame.
    """

    charges: Charges
    first_at: datetime
    successes_before: int
    outages_before: int
    attempts: int = 0
    spared: int = 0

    def begin(self, successes: int, outages: int) -> None:
        """The next attempt; the first one after an outage begins anew."""
        if outages != self.outages_before:
            self.charges.forgive()
            self.attempts = 0
        self.attempts += 1
        # Only what succeeds from here on shows that the service works now.
        self.successes_before, self.outages_before = successes, outages


class Caller:
    """The service as one range sees it.

    Args:
        slots: bound the attempts in flight; other ranges may share them.
        prepare: what has to be done before an attempt and is no part of it: its time would be taken for the
            service's latency.
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
        self._circuit = Circuit(
            policy.settings, self._probe, clock=time.clock, sleep=time.sleep, rng=policy.rng, events=events
        )

    @property
    def requests(self) -> int:
        """Attempts made so far."""
        return self._requests

    async def extract(self, texts: Sequence[str]) -> list[Outcome]:
        """The entities of each text, or why it failed for good.

        Raises:
            ServiceDown: the service did not work for too long; nothing is blamed on these texts.
            ExtractionError: it has never worked, and does not look as if it will.
        """
        return await self._outcomes(texts, self._settings.batch_attempts) if texts else []

    async def _outcomes(self, texts: Sequence[str], attempts: int) -> list[Outcome]:
        """Halves get one attempt each, for they repeat what failed; a single text gets `max_attempts`."""
        most = self._settings.max_attempts
        charges = Charges(most if len(texts) == 1 else min(attempts, most))
        tries = _Tries(charges, self._now(), self._successes, self._circuit.outages)
        while True:
            try:
                return list(await self._policy.call(partial(self._try, texts, tries), charges))
            except (ConfigError, Interrupted):
                raise
            except Exception as error:  # noqa: BLE001  (an extractor may raise anything)
                failed = error
            if not await self._spared(failed, texts, tries):
                break
        if len(texts) == 1:
            return [self._refusal(failed, texts[0], tries)]
        return await self._halves(texts, failed)

    async def _halves(self, texts: Sequence[str], error: Exception) -> list[Outcome]:
        if classify(error) is Failure.TRANSIENT:
            await self._policy.repeat(Failure.TRANSIENT)
        middle = len(texts) // 2
        return [*await self._outcomes(texts[:middle], 1), *await self._outcomes(texts[middle:], 1)]

    async def _try(self, texts: Sequence[str], tries: _Tries) -> list[tuple[Entity, ...]]:
        """One attempt, once there is a slot and the service is neither in doubt nor to be left alone."""
        while True:
            if self._prepare is not None:
                await self._prepare()
            await self._policy.pause.passed()
            await self._circuit.passed()
            async with self._slots.slot(retried=tries.attempts > 0) as slot:
                if self._circuit.is_open or self._policy.pause.remaining:  # since this call began to wait
                    slot.verdict = Verdict.IGNORED
                    continue
                tries.begin(self._successes, self._circuit.outages)
                return await self._attempt(texts, slot)

    async def _attempt(self, texts: Sequence[str], slot: Slot) -> list[tuple[Entity, ...]]:
        """One request. Here and nowhere else the service is called, after all waits, probes included."""
        self._requests += 1
        try:
            with self._metrics.request(texts):
                answer = check_answer(texts, await self._extract(texts))
        except Exception as error:
            if classify(error) is not Failure.THROTTLED:  # a busy service works
                self._circuit.failed()
            if _is_timeout(error):
                slot.charge_for(self._settings.timeout_charge_s)
            raise
        self._circuit.succeeded()
        self._successes += 1
        self._known_good = texts[0]
        return answer

    async def _spared(self, error: Exception, texts: Sequence[str], tries: _Tries) -> bool:
        """Whether the service was down, so that the attempts count for nothing; waits until it is up.

        A batch may be halved if another call succeeded since its last attempt began. Before a document is
        blamed, the service must be shown to work after its last failure.
        """
        if classify(error) is Failure.THROTTLED:
            raise ServiceDown(
                f"the service does not work ({redact(_reason(error), texts)}): it put a request off for "
                "longer than max_throttled_s; no document is blamed, run again to resume"
            ) from error
        if len(texts) == 1 or self._successes <= tries.successes_before:
            self._circuit.open()
            await self._circuit.passed()
        if tries.outages_before == self._circuit.outages:
            return False
        tries.spared += 1
        if tries.spared > (MOST_SPARED_TEXT if len(texts) == 1 else MOST_SPARED_BATCH):
            return False
        self._policy.on_retry(classify(error))
        return True

    async def _probe(self) -> Exception | None:
        """Why the service does not work, if it does not.

        Raises:
            ExtractionError: it refuses for good, and nothing has ever gone through: a wrong address or token.
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

    def _refusal(self, error: Exception, text: str, tries: _Tries) -> Refusal:
        described = _described(error, text)
        return Refusal(
            described.failure,
            str(described)[:500],
            described.status,
            tries.attempts,
            tries.first_at,
            self._now(),
            len(text),
            text if self._settings.keep_failed_text else None,
        )


def _is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)


def _described(error: Exception, text: str) -> ExtractionError:
    """The error as ours, its class, status and hint kept, without the text in its message."""
    return ExtractionError(
        redact(_reason(error), [text]),
        failure=classify(error),
        status=getattr(error, "status", None),
        retry_after_s=getattr(error, "retry_after_s", None),
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ExtractionError) else f"{type(error).__name__}: {error}"


def effort_of(caller: Caller, failures: Sequence[Failure]) -> Effort:
    """What the calls took, given the failures that were tried again."""
    by_class = (failures.count(Failure.THROTTLED), failures.count(Failure.PERMANENT))
    return Effort(caller.requests, len(failures), *by_class)
