"""Sends a batch to the service; when the batch fails for good, bisects it to find the texts at fault.

A failing batch is halved until single texts fail alone (trap 23, docs/traps.md). Before anything is blamed,
the service must be shown to work: by another call that succeeded meanwhile, or by a text that went through
before (trap 24). While it does not work, everything waits and nothing is counted (`circuit_breaker.py`).

What one bad text among n costs, in requests: `batch_attempts`, two halves a level, `max_attempts` alone and
one probe: 3 + 2 log2(n) + 5 + 1, which is 19 for 32 texts. Halves do not wait for each other's backoff.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from engine.calling.blame.put_off import PutOff
from engine.calling.blame.refusal import LOGIN_REFUSED, Outcome, Refusal, unusable
from engine.calling.endpoint import Endpoint
from engine.calling.retry import Call, EffortCounter
from engine.errors import (
    NO_ANSWER,
    ConfigError,
    ExtractionError,
    Failure,
    Interrupted,
    ServiceDown,
    ServiceUnusable,
    classify,
)
from engine.extractors.extractor import Extractor, Preparable
from engine.extractors.functions.faults import Ask, answer_of
from engine.extractors.http.sent_again import SENT_AGAIN
from engine.extractors.redaction import described
from engine.model import Entity
from engine.observing import metrics
from engine.settings import Settings

MAX_OUTAGES_BATCH = 2
MAX_OUTAGES_TEXT = 5
"""How many outages a batch, or a single text, may meet before it is taken for their cause. Without a limit, a
text that crashes the service would be sent forever, since each crash looks like an outage."""


@dataclass
class _Attempts:
    """The attempts at one set of texts, and how things stood when the last one began.

    Attributes:
        successes_before, outages_before: those of the endpoint then.
        count: attempts that count; those during an outage do not.
        outages_met: how often an outage was the cause of the failure.
        put_off: how long the service has put them off.
    """

    first_at: datetime
    successes_before: int
    outages_before: int
    count: int = 0
    outages_met: int = 0
    put_off: PutOff = field(default_factory=PutOff)


class Caller:
    """Sends the texts of one range to the service.

    Attributes:
        counter: what the calls have taken so far.
    """

    def __init__(
        self,
        extractor: Extractor,
        endpoint: Endpoint,
        settings: Settings,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.counter = EffortCounter()
        self._extractor, self._endpoint, self._settings, self._now = extractor, endpoint, settings, now
        self._preparable = extractor if isinstance(extractor, Preparable) else None
        self._metrics = metrics.current()

    async def extract(self, texts: Sequence[str]) -> list[Outcome]:
        """The entities of each text, or why it failed for good.

        Raises:
            ServiceDown: the service did not work for too long; nothing is blamed on these texts.
            ServiceUnusable: it has never worked, and does not look as if it will; or it refuses the login; or
                one's own function is at fault.
        """
        return await self._in_requests(texts, self._settings.tuning.batch_attempts)

    async def _in_requests(
        self, texts: Sequence[str], attempts: int, *, searching: bool = False, whole: PutOff | None = None
    ) -> list[Outcome]:
        """The outcomes of the texts, in as many requests as their size needs.

        A size that has not passed yet is tried by one request at a time, once one was refused for its size.

        Args:
            searching: whether this call holds `endpoint.size.search`.
            whole: how long a request that held these texts was put off.
        """
        size, outcomes = self._endpoint.size, list[Outcome]()
        while len(outcomes) < len(texts):
            left = texts[len(outcomes) :]
            part = left[: size.fitting(left, searching=searching)]
            if searching or not size.needs_search(part):
                outcomes += await self._outcomes(part, attempts, searching=searching, whole=whole)
                continue
            async with size.search:  # meanwhile another request may have found out
                part = left[: size.fitting(left, searching=True)]
                if size.needs_search(part):
                    outcomes += await self._outcomes(part, attempts, searching=True, whole=whole)
        return outcomes

    async def _outcomes(
        self, texts: Sequence[str], attempts: int, *, searching: bool, whole: PutOff | None
    ) -> list[Outcome]:
        """The outcomes of the texts of one request; a single text gets `max_attempts`, others `attempts`."""
        endpoint, most = self._endpoint, self._settings.max_attempts
        made = _Attempts(self._now(), endpoint.successes, endpoint.circuit.outages)
        made.put_off = whole.of_part() if whole else made.put_off
        attempt = partial(self._try, texts, made)
        call = Call(attempt, endpoint.clock, most if len(texts) == 1 else min(attempts, most), self.counter)
        call.is_clear = partial(made.put_off.is_clear, texts, endpoint, self._settings)
        while True:
            try:
                return list(await endpoint.retries.call(call))
            except (ConfigError, Interrupted, ServiceUnusable):
                raise
            except Exception as error:  # noqa: BLE001  (an extractor may raise anything)
                failed = error
            halves_tell = searching and endpoint.size.halves_proven(texts)  # whether the service works
            if halves_tell and classify(failed) is Failure.PERMANENT:
                break
            if not await self._outage_to_blame(failed, texts, made):
                break
        if len(texts) == 1:
            return [self._refusal(failed, texts[0], made)]
        if (kind := classify(failed)) is not Failure.PERMANENT:
            await endpoint.retries.pay(call, kind)
            large = kind is Failure.THROTTLED and not endpoint.size.proven(texts)
            return await self._bisect(texts, searching=searching, refused=large, whole=made.put_off)
        if searching or endpoint.size.proven(texts):
            return await self._bisect(texts, searching=searching, refused=True)
        return await self._searched(texts)

    async def _searched(self, texts: Sequence[str]) -> list[Outcome]:
        """The outcomes of texts whose request was refused for good, and larger than any that has passed."""
        async with self._endpoint.size.search:
            if self._endpoint.size.fitting(texts) < len(texts):  # another request has found out meanwhile
                return await self._in_requests(texts, 1, searching=True)
            return await self._bisect(texts, searching=True, refused=True)

    async def _bisect(
        self, texts: Sequence[str], *, searching: bool, refused: bool = False, whole: PutOff | None = None
    ) -> list[Outcome]:
        """The outcomes of both halves. Each gets one attempt as a whole, because it repeats what failed.

        Args:
            refused: whether they were refused for good, so that their number may be the reason.
        """
        middle, outages = (len(texts) + 1) // 2, self._endpoint.circuit.outages
        send = partial(self._in_requests, attempts=1, searching=searching, whole=whole)
        outcomes = await send(texts[:middle]) + await send(texts[middle:])
        all_passed = not any(isinstance(outcome, Refusal) for outcome in outcomes)
        if refused and all_passed and outages == self._endpoint.circuit.outages:
            self._endpoint.size.refused(texts, texts[:middle])
        return outcomes

    async def _try(self, texts: Sequence[str], made: _Attempts, call: Call[Any]) -> list[tuple[Entity, ...]]:
        """Makes one attempt, as soon as the endpoint lets it start."""
        endpoint, began = self._endpoint, None
        if self._preparable is not None and not self._preparable.ready:
            await endpoint.wait_until_ready(self._preparable)
        try:
            async with endpoint.attempt(texts, self._probe, retried=made.count > 0):
                if made.outages_before != endpoint.circuit.outages:  # the first one after an outage
                    call.forgive()
                    made.count = 0
                made.count += 1
                # Only what succeeds from here on shows that the service works now.
                made.successes_before, made.outages_before = endpoint.successes, endpoint.circuit.outages
                began = endpoint.clock()
                return await self._request(texts, self._extractor.extract)
        except Exception as error:
            if began is not None:
                call.spent_s += endpoint.clock() - began
            if classify(error) is Failure.THROTTLED:
                made.put_off.record(endpoint)
            raise

    async def _request(self, texts: Sequence[str], ask: Ask) -> list[tuple[Entity, ...]]:
        """Makes one request and keeps its time. Only a cancellation of this task ends the range."""
        self.counter.requests += 1
        SENT_AGAIN.set(self.counter.count_sent_again)
        limit_s = self._settings.request_timeout_s + self._settings.text_timeout_s * len(texts)
        try:
            with self._metrics.request(texts):
                async with asyncio.timeout(limit_s) as timeout:
                    found = await answer_of(self._extractor, texts, ask)
                    return self._endpoint.learn_from(texts, found)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            why = "the extractor was cancelled"
            raise ExtractionError(why, failure=Failure.TRANSIENT, reason=why) from error
        except TimeoutError as error:
            if not timeout.expired():
                raise
            message = f"no answer within {limit_s:g} s"
            raise ExtractionError(message, failure=Failure.TRANSIENT, reason=NO_ANSWER) from error

    async def _outage_to_blame(self, error: Exception, texts: Sequence[str], made: _Attempts) -> bool:
        """Whether the service was down, so that the attempts do not count; then it is waited for.

        A batch may be halved if another call succeeded since its last attempt began. Before a text is blamed,
        the service must be shown to work after its last failure.
        """
        endpoint = self._endpoint
        if classify(error) is Failure.THROTTLED:
            to_blame = await made.put_off.depends_on_request(texts, endpoint, self._settings, self._probe)
            if to_blame is None:
                self.counter.count_retry(Failure.THROTTLED)
            if to_blame is not False:
                return not to_blame
            raise ServiceDown(
                f"the service does not work ({described(error, texts)}): it throttled a request for "
                "longer than tuning.max_throttled_s; no document is blamed, run again to resume"
            ) from error
        if len(texts) == 1 or endpoint.successes <= made.successes_before:
            endpoint.circuit.open()
            await endpoint.circuit.wait_until_closed(self._probe)
        if made.outages_before == endpoint.circuit.outages:
            return False
        made.outages_met += 1
        if made.outages_met > (MAX_OUTAGES_TEXT if len(texts) == 1 else MAX_OUTAGES_BATCH):
            return False
        self.counter.count_retry(classify(error))
        return True

    async def _probe(self) -> Exception | None:
        """Why the service does not work; None if it does.

        Raises:
            ServiceUnusable: it refuses for good, and nothing has ever gone through: a wrong address; or it
                refuses the login, which may have expired.
        """
        text = self._endpoint.probe_text
        try:
            async with self._endpoint.attempt([text], retried=True):
                await self._request([text], getattr(self._extractor, "probe", self._extractor.extract))
        except (ConfigError, Interrupted, ServiceUnusable):
            raise
        except Exception as error:
            problem = described(error, [text])
            hopeless = problem.status in LOGIN_REFUSED or not self._endpoint.successes
            if hopeless and problem.failure is Failure.PERMANENT:
                raise unusable(problem, error) from error
            return problem
        return None

    def _refusal(self, error: Exception, text: str, made: _Attempts) -> Refusal:
        told = described(error, [text])
        return Refusal(
            told.failure,
            str(told),
            told.reason or "",
            told.status,
            made.count,
            made.first_at,
            self._now(),
            len(text),
            text if self._settings.keep_failed_text else None,
        )
