"""The endpoint: what the service tells one call holds for all calls of the process."""

from __future__ import annotations

import asyncio
import random

import pytest

from engine import ExtractionError, Failure, HttpExtractor, Settings, Tuning
from engine.calling.adaptive_limit import AttemptResult, AttemptStart
from engine.calling.concurrency import Slots
from engine.calling.endpoint import Endpoint, Pause, endpoint_of
from engine.extractors.extractor import as_extractor
from tests.support.virtual_time import now_s, run_virtually


class Recorder:
    """A limiter that records how attempts ended."""

    limit = 1

    def __init__(self):
        self.results = []

    def begin(self, in_flight):
        """Records nothing."""
        return AttemptStart(1, in_flight, 0.0)

    def end(self, _start, result):
        """Records the result."""
        self.results.append(result)


async def works():
    """A probe that succeeds."""


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (ExtractionError("no", failure=Failure.THROTTLED), AttemptResult.THROTTLED),
        (ExtractionError("no", failure=Failure.TRANSIENT), AttemptResult.DROPPED),
        (ExtractionError("no"), AttemptResult.IGNORED),
        (TimeoutError(), AttemptResult.DROPPED),
        (ConnectionResetError(), AttemptResult.DROPPED),
        (ValueError(), AttemptResult.IGNORED),
        (asyncio.CancelledError(), AttemptResult.IGNORED),
    ],
)
@pytest.mark.asyncio
async def test_the_end_of_an_attempt_determines_its_result(error, result):
    """The class of a failure decides; the error is raised unchanged."""
    limiter = Recorder()
    endpoint = Endpoint(Settings(tuning=Tuning(timeout_charge_s=0)), slots=Slots(limiter))
    with pytest.raises(type(error)):
        async with endpoint.attempt(["text"], works):
            raise error
    assert (limiter.results, endpoint.slots.taken) == ([result], 0)


@pytest.mark.asyncio
async def test_trap_25_a_success_that_needed_a_retry_is_told_as_such():
    """It is no evidence of capacity."""
    limiter = Recorder()
    endpoint = Endpoint(Settings(), slots=Slots(limiter))
    async with endpoint.attempt(["text"], works):
        pass
    async with endpoint.attempt(["text"], works, retried=True):
        pass
    assert limiter.results == [AttemptResult.SUCCESS, AttemptResult.RETRIED]


def test_trap_39_a_pause_that_was_told_to_one_call_holds_for_all():
    """No attempt begins before its end, probes included."""

    async def main():
        endpoint = Endpoint(Settings(), clock=now_s, rng=random.Random(1))
        error = ExtractionError("HTTP 429", failure=Failure.THROTTLED, retry_after_s=3.0)
        with pytest.raises(ExtractionError):
            async with endpoint.attempt(["told"], works):
                raise error
        begun = []

        async def attempt(probe):
            async with endpoint.attempt(["other"], probe):
                begun.append(now_s())

        await asyncio.gather(attempt(works), attempt(None), attempt(works))
        assert 3.0 <= min(begun) <= max(begun) <= 3.0 * 1.1 + 0.2

    run_virtually(main())


@pytest.mark.asyncio
async def test_trap_39_who_calls_the_same_extractor_shares_its_endpoint():
    """Whether it is an Extractor or a function; other settings of calling make another endpoint."""

    async def extract(texts):
        return [[] for _ in texts]

    http = HttpExtractor("http://127.0.0.1:9")
    for extractor in (extract, http):
        first = endpoint_of(as_extractor(extractor), Settings(run_id="a"))
        assert endpoint_of(as_extractor(extractor), Settings(run_id="b")) is first
        assert endpoint_of(as_extractor(extractor), Settings(max_concurrency=3)) is not first
    assert endpoint_of(as_extractor(extract), Settings()) is not endpoint_of(http, Settings())


@pytest.mark.asyncio
async def test_an_extractor_that_cannot_be_a_key_gets_an_endpoint_all_the_same():
    """Such as a dataclass, which has no hash."""

    class Unhashable:
        __hash__ = None

        async def extract(self, texts):
            return [[] for _ in texts]

    assert isinstance(endpoint_of(Unhashable(), Settings()), Endpoint)


@pytest.mark.asyncio
async def test_a_format_that_takes_fewer_texts_cuts_smaller_requests():
    """The extractor says how many it takes."""
    corenlp = HttpExtractor("http://127.0.0.1:9", format="corenlp")
    assert endpoint_of(corenlp, Settings()).size.next_cut()[0] == 1


def test_trap_19_each_waiter_has_its_own_jitter_upward():
    """Twenty calls wait for the end of one pause: none returns early, and no two at the same time."""

    async def main():
        pause = Pause(now_s, asyncio.sleep, random.Random(1), 0.2)
        pause.extend(600.0)
        back = []

        async def call():
            await pause.wait()
            back.append(now_s())

        async with asyncio.TaskGroup() as calls:
            for _ in range(20):
                calls.create_task(call())
        return back

    back = run_virtually(main())
    assert len(set(back)) == 20
    assert 600 <= min(back) <= max(back) <= 600 * 1.1 + 1


def test_trap_19_a_pause_that_is_extended_meanwhile_is_kept():
    """A call that wakes before the new end goes on waiting."""

    async def main():
        pause = Pause(now_s, asyncio.sleep, random.Random(1), 0.2)
        pause.extend(10.0)
        waiting = asyncio.create_task(pause.wait())
        await asyncio.sleep(5)
        pause.extend(60.0)
        await waiting
        assert now_s() >= 65

    run_virtually(main())
