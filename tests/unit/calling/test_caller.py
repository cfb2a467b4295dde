"""The caller tells bad texts from a service that does not work."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ConfigError, ExtractionError, Failure, Settings, Tuning
from engine.calling.caller import Caller, Refusal
from engine.calling.endpoint import PROBE_TEXT, Endpoint
from engine.calling.retry import EffortCounter
from engine.calling.retry_quota import COSTS, RetryQuota
from engine.errors import ServiceDown
from engine.model import Effort

QUICK = Settings(max_attempts=2, max_outage_s=0, tuning=Tuning(retry_base_s=0, retry_max_s=0))


class Service:
    """Fails every request that holds a poison text, and every request while it is down."""

    def __init__(self, poison=(), *, error=None, down=False):
        self.poison, self.error, self.down = set(poison), error or ValueError("bad text"), down
        self.requests = []

    async def extract(self, texts):
        """Answers with no entities."""
        self.requests.append(list(texts))
        if self.down or self.poison & set(texts):
            raise self.error
        return [[] for _ in texts]


def caller_of(service, settings=QUICK):
    """A caller that never waits, with an endpoint of its own."""
    return Caller(service, Endpoint(settings), settings)


@given(st.sets(st.integers(0, 31), max_size=8))
def test_trap_23_exactly_the_bad_texts_are_refused(bad):
    """Any set of bad texts is found; outcomes are in the order of the texts."""
    texts = [f"text {n}" for n in range(32)]
    outcomes = asyncio.run(caller_of(Service(f"text {n}" for n in bad)).extract(texts))
    assert {n for n, outcome in enumerate(outcomes) if isinstance(outcome, Refusal)} == bad


@pytest.mark.asyncio
async def test_a_refusal_says_why():
    """It holds class, status, message, attempts and times."""
    error = ExtractionError("HTTP 500: boom", failure=Failure.TRANSIENT, status=500)
    (refusal,) = await caller_of(Service(["bad"], error=error)).extract(["bad"])
    assert (refusal.kind, refusal.status, refusal.message) == (Failure.TRANSIENT, 500, "HTTP 500: boom")
    assert refusal.attempts == 2
    assert refusal.first_at <= refusal.last_at


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [Failure.TRANSIENT, Failure.PERMANENT])
async def test_trap_24_an_outage_blames_no_text(kind):
    """This holds for failures that look transient (no answer) and permanent (a wrong address)."""
    service = Service(error=ExtractionError("HTTP 404", failure=kind), down=True)
    with pytest.raises(
        (ExtractionError, ServiceDown), match="the service does not work.*run again to resume"
    ):
        await caller_of(service).extract(["a", "b"])
    assert service.requests[-1] == [PROBE_TEXT]


@pytest.mark.asyncio
async def test_trap_24_the_probe_is_a_text_that_went_through():
    """So a function that knows only its own texts can be probed too."""
    service = Service(["bad"])
    caller = caller_of(service)
    await caller.extract(["good"])
    await caller.extract(["bad"])
    assert service.requests[-1] == ["good"]


@pytest.mark.asyncio
async def test_trap_24_sustained_throttling_blames_no_text():
    """A batch that is throttled for longer than allowed ends the range; its documents are not blamed."""
    settings = Settings(tuning=Tuning(max_throttled_s=0, retry_base_s=0))
    service = Service(error=ExtractionError("HTTP 429", failure=Failure.THROTTLED), down=True)
    with pytest.raises(ServiceDown, match="does not work"):
        await caller_of(service, settings).extract(["a"])


@pytest.mark.asyncio
async def test_a_configuration_error_blames_no_text():
    """It is raised at once."""
    with pytest.raises(ConfigError):
        await caller_of(Service(error=ConfigError("no"), down=True)).extract(["a", "b"])


@pytest.mark.asyncio
async def test_no_texts_need_no_request():
    """A batch of unchanged documents has none."""
    service = Service(down=True)
    assert await caller_of(service).extract([]) == []
    assert service.requests == []


def no_answer():
    """The error that HttpExtractor raises when an attempt takes too long."""
    error = ExtractionError("no answer within 1 s", failure=Failure.TRANSIENT)
    error.__cause__ = TimeoutError()
    return error


class Once:
    """Fails the first request with the given error."""

    def __init__(self, error):
        self.errors = [error]

    async def extract(self, texts):
        """Answers later requests with no entities."""
        if self.errors:
            raise self.errors.pop()
        return [[] for _ in texts]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "charged"),
    [(TimeoutError(), 1), (no_answer(), 1), (ConnectionResetError(), 0)],
    ids=["of a function", "over HTTP", "a reset"],
)
async def test_trap_22_an_attempt_that_timed_out_keeps_its_slot(error, charged):
    """The aborted call may still occupy the service; a connection that was reset does not."""
    endpoint = Endpoint(QUICK)
    outcomes = await Caller(Once(error), endpoint, QUICK).extract(["a"])
    assert (outcomes, endpoint.slots.charged, endpoint.slots.in_flight) == ([()], charged, 0)


@pytest.mark.asyncio
async def test_what_prepares_an_attempt_holds_no_slot():
    """Otherwise the time of a canary would count as latency of the service."""
    endpoint, taken = Endpoint(QUICK), []

    class WithCanary(Service):
        ready = False

        async def prepare(self):
            taken.append(endpoint.slots.taken)
            self.ready = True

    assert await Caller(WithCanary(), endpoint, QUICK).extract(["a"]) == [()]
    assert taken == [0]


def test_repeats_are_counted_by_the_class_of_the_failure():
    """Retries that were neither throttled nor refused are transient."""
    counter = EffortCounter()
    for failure in (Failure.THROTTLED, Failure.TRANSIENT, Failure.PERMANENT, Failure.THROTTLED):
        counter.count_retry(failure)
    assert counter.effort == Effort(0, retries=4, throttled=2, refused=1)


@pytest.mark.asyncio
async def test_trap_60_one_poison_text_among_64_pays_for_the_retries_it_makes(monkeypatch):
    """Two of the whole, one for each of six halvings, five of the text alone; none is paid for twice."""
    paid = []
    take = RetryQuota.take
    monkeypatch.setattr(
        RetryQuota, "take", lambda quota, failure: paid.append(failure) or take(quota, failure)
    )
    settings = Settings(tuning=Tuning(retry_base_s=0, retry_max_s=0, circuit_failures=1000))
    service = Service(["text 7"], error=ExtractionError("HTTP 500", failure=Failure.TRANSIENT, status=500))
    caller = caller_of(service, settings)
    outcomes = await caller.extract([f"text {n}" for n in range(64)])
    assert [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Refusal)] == [7]
    assert caller.counter.retries == 2 + 6 + 5
    assert sum(COSTS[failure] for failure in paid) == 13 * 14 == 182


@pytest.mark.asyncio
async def test_trap_32_an_extractor_that_is_cancelled_from_within_has_failed():
    """It does not end the task that calls it in silence, which nobody would notice."""
    assert await Caller(Once(asyncio.CancelledError()), Endpoint(QUICK), QUICK).extract(["a"]) == [()]


@pytest.mark.asyncio
async def test_a_cancelled_call_is_cancelled():
    """A cancellation from outside is no failure of the extractor."""

    class Silent:
        async def extract(self, texts):
            await asyncio.sleep(3600)

    call = asyncio.create_task(Caller(Silent(), Endpoint(QUICK), QUICK).extract(["a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
