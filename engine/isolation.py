"""Calls the service for a batch, and when a batch fails for good, finds the documents to blame.

A failing batch is halved until single texts fail alone (TRAPS 23). Before anything is blamed, the service
must be shown to work: by another call that succeeded meanwhile, or by a text that went through before
(TRAPS 24). If it does not work, nothing is blamed and the range ends, to be resumed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from engine.errors import ConfigError, ExtractionError, Failure
from engine.formats import check_answer
from engine.model import DeadLetter, Document, Effort, Entity
from engine.redaction import redact
from engine.retry import RetryPolicy, classify

PROBE_TEXT = "Ada Lovelace met Charles Babbage in London in 1833."
"""Sent to ask whether the service works at all, when no text has gone through yet."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one text failed for good."""

    kind: Failure
    message: str
    status: int | None
    attempts: int
    first_at: datetime
    last_at: datetime

    def dead_letter(self, document: Document, text_hash: str, range_id: str) -> DeadLetter:
        """The dead letter of the document whose text this was."""
        return DeadLetter(
            document.id,
            self.kind.value,
            self.message,
            range_id,
            status=self.status,
            attempts=self.attempts,
            first_at=self.first_at,
            last_at=self.last_at,
            text_length=len(document.text),
            text_hash=text_hash,
        )


Outcome: TypeAlias = list[Entity] | Refusal


@dataclass
class _Tries:
    """The attempts of one call."""

    first_at: datetime
    successes_before: int = 0
    attempts: int = 0


class Caller:
    """The service as one range sees it.

    Attributes:
        in_flight: requests at the service now.
    """

    def __init__(
        self,
        extract: Callable[[Sequence[str]], Awaitable[Sequence[Any]]],
        policy: RetryPolicy,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.in_flight = 0
        self._extract = extract
        self._policy = policy
        self._now = now
        self._requests = self._successes = 0
        self._known_good = PROBE_TEXT

    @property
    def requests(self) -> int:
        """Attempts made so far."""
        return self._requests

    async def extract(self, texts: Sequence[str]) -> list[Outcome]:
        """The entities of each text, or why it failed for good.

        Raises:
            ExtractionError: the service does not work; nothing is to be blamed on these texts.
        """
        if not texts:
            return []
        tries = _Tries(self._now())
        try:
            return list(await self._policy.call(partial(self._attempt, texts, tries)))
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001  (an extractor may raise anything)
            reason = redact(_reason(error), texts)
            await self._check_service(error, reason, tries)
            if len(texts) == 1:
                return [self._refusal(error, reason, tries)]
        middle = len(texts) // 2
        return [*await self.extract(texts[:middle]), *await self.extract(texts[middle:])]

    async def _attempt(self, texts: Sequence[str], tries: _Tries) -> list[list[Entity]]:
        tries.attempts += 1
        # Only what succeeds from here on shows that the service works now.
        tries.successes_before = self._successes
        self._requests += 1
        self.in_flight += 1
        try:
            answer = check_answer(texts, await self._extract(texts))
        finally:
            self.in_flight -= 1
        self._successes += 1
        self._known_good = texts[0]
        return answer

    async def _check_service(self, error: Exception, reason: str, tries: _Tries) -> None:
        """Raises unless the service is shown to work.

        A call that was only put off, for as long as is allowed, says nothing about its texts either.
        """
        if classify(error) is not Failure.THROTTLED:
            if self._successes > tries.successes_before:
                return
            probe = _Tries(self._now())
            with suppress(Exception):  # whatever it is, the service is not shown to work
                await self._policy.call(partial(self._attempt, [self._known_good], probe))
                return
        raise ExtractionError(
            f"the service does not work ({reason}); no document is blamed, run again to resume",
            failure=classify(error),
            status=getattr(error, "status", None),
        ) from error

    def _refusal(self, error: Exception, reason: str, tries: _Tries) -> Refusal:
        status = error.status if isinstance(error, ExtractionError) else None
        return Refusal(classify(error), reason[:500], status, tries.attempts, tries.first_at, self._now())


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ExtractionError) else f"{type(error).__name__}: {error}"


def effort_of(caller: Caller, failures: Sequence[Failure]) -> Effort:
    """What the calls took, given the failures that were tried again."""
    return Effort(caller.requests, len(failures), sum(f is Failure.THROTTLED for f in failures))
