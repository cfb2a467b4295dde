"""Bad texts and outages, on virtual time: many calls to a service that fails by script or by chance."""

from __future__ import annotations

import asyncio
import random

import pytest

from engine import ExtractionError, Failure
from engine.calling.caller import Caller, Refusal
from engine.calling.endpoint import Endpoint
from engine.errors import ServiceDown
from tests.support.settings import settings_with
from tests.support.virtual_time import now_s, run_virtually

CRASH = ExtractionError("HTTP 500: crash", failure=Failure.TRANSIENT, status=500)
DOWN = ExtractionError("HTTP 503", failure=Failure.TRANSIENT, status=503)


class Service:
    """Takes 20 ms a request; crashes on poison, fails by chance, is down at times.

    Attributes:
        down: (from, to) in seconds.
        looks: what an outage looks like.
        restart_s: how long it is down after each poison text.
        requests: the moment of each, and its texts.
    """

    def __init__(self, poison=(), *, flaky=0.0, down=(0.0, 0.0), restart_s=0.0, error=CRASH, looks=DOWN):
        self.poison, self.flaky, self.down = set(poison), flaky, down
        self.restart_s, self.error, self.looks = restart_s, error, looks
        self.rng = random.Random(1)
        self.requests, self.answered = [], []

    async def extract(self, texts):
        """Answers with no entities."""
        self.requests.append((now_s(), list(texts)))
        await asyncio.sleep(0.02)
        if self.down[0] <= now_s() < self.down[1] or self.rng.random() < self.flaky:
            raise self.looks
        if self.poison & set(texts):
            if self.restart_s:
                self.down = (now_s(), now_s() + self.restart_s)
            raise self.error
        self.answered += texts
        return [[] for _ in texts]


def caller_of(service, **settings):
    """A caller on the clock of the running loop."""
    values = settings_with(**settings)
    return Caller(service, Endpoint(values, clock=now_s, rng=random.Random(3)), values)


async def outcomes_of(service, texts, *, callers=16, caller=None, **settings):
    """Sends the texts, 32 a batch, in the given number of calls at once; returns the outcome of each text."""
    caller = caller or caller_of(service, **settings)
    batches = [texts[at : at + 32] for at in range(0, len(texts), 32)]
    found = {}

    async def work():
        while batches:
            batch = batches.pop(0)
            found.update(zip(batch, await caller.extract(batch), strict=True))

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(work())
    return found


def refused(outcomes):
    """The texts that were refused."""
    return {text for text, outcome in outcomes.items() if isinstance(outcome, Refusal)}


TEXTS = [f"text {n}" for n in range(20_000)]
POISON = {f"text {n}" for n in range(7, 20_000, 2_000)}


def test_trap_23_ten_poison_texts_among_many_are_ten_refusals():
    """Each fails its whole batch with a 500, which looks transient; exactly these texts are refused."""
    service = Service(POISON)
    outcomes = run_virtually(outcomes_of(service, TEXTS))
    assert refused(outcomes) == POISON
    assert {outcome.attempts for outcome in outcomes.values() if isinstance(outcome, Refusal)} == {6}
    assert len(service.requests) <= 625 + 10 * (19 + 3)  # a few probes while nothing else is left to succeed
    texts = [text for text in service.answered if not text.startswith("Ada")]
    probes = sum(len(asked) == 1 for _, asked in service.requests)
    assert set(texts) == set(TEXTS) - POISON
    assert len(texts) <= len(set(texts)) + probes


def test_trap_23_poison_in_a_flaky_service_is_told_from_chance():
    """Another 5% of the requests fail by chance: the same ten texts are refused and no others."""
    outcomes = run_virtually(outcomes_of(Service(POISON, flaky=0.05), TEXTS))
    assert refused(outcomes) == POISON


def test_trap_20_faults_by_chance_cost_few_requests():
    """6% of the requests fail: every text succeeds, with at most 1.2 times the requests needed."""
    service = Service(flaky=0.06)
    outcomes = run_virtually(outcomes_of(service, TEXTS))
    assert refused(outcomes) == set()
    assert len(service.requests) <= 1.2 * 625


LOOKS = {
    "503": ExtractionError("HTTP 503", failure=Failure.TRANSIENT, status=503),
    "404": ExtractionError("HTTP 404", status=404),
    "wrong answers": ExtractionError("the service returned 0 results for 32 texts"),
}


@pytest.mark.parametrize("looks", LOOKS.values(), ids=LOOKS)
def test_trap_24_an_outage_of_a_minute_is_waited_out(looks):
    """In mid-run the service is down: no text is blamed, few requests are sent, and the work then goes on."""
    service = Service(down=(1.0, 61.0), looks=looks)
    outcomes = run_virtually(outcomes_of(service, TEXTS * 2))
    assert refused(outcomes) == set()
    assert set(service.answered) >= set(TEXTS)
    during = [moment for moment, _ in service.requests if 1.0 <= moment < 61.0]
    assert 0 < len(during) <= 50


def test_trap_24_attempts_during_an_outage_are_not_charged():
    """A bad text that meets an outage has all its attempts afterwards, and only these are reported."""

    async def main():
        service = Service({"bad"}, down=(0.0, 5.0))
        (refusal,) = await caller_of(service, max_attempts=3, circuit_failures=1).extract(["bad"])
        sent = [moment for moment, texts in service.requests if texts == ["bad"]]
        assert (len([moment for moment in sent if moment < 5.0]), len(sent)) == (1, 1 + 3)
        assert refusal.attempts == 3

    run_virtually(main())


def test_trap_24_a_call_that_met_the_end_of_an_outage_is_not_charged():
    """An attempt that begins before the circuit opens and times out after it has closed says nothing."""

    async def main():
        calls = []

        async def extract(texts):
            calls.append(texts)
            if len(calls) == 1:
                await asyncio.sleep(30.0)
                raise TimeoutError
            if now_s() < 10:
                raise ConnectionError
            return [[] for _ in texts]

        service = Service()
        service.extract = extract
        caller = caller_of(service, max_attempts=1, batch_attempts=1)
        slow = asyncio.create_task(caller.extract(["slow"]))
        await asyncio.sleep(0.1)
        assert await caller.extract(["other"]) == [()]
        assert await slow == [()]

    run_virtually(main())


def test_trap_24_an_outage_that_begins_under_a_text_alone_does_not_blame_it():
    """Other calls succeed while it is in flight, then the service goes down: the refusal proves nothing."""

    async def main():
        service = Service(looks=LOOKS["404"])
        caller = caller_of(service)
        alone = asyncio.create_task(caller.extract(["alone"]))
        await asyncio.sleep(0.01)
        service.down = (0.015, 20.0)
        others = asyncio.create_task(caller.extract(["other"]))
        caller._endpoint.record_success(["another"])  # as another call's answer would, meanwhile
        assert await alone == [()]
        assert await others == [()]

    run_virtually(main())


def test_trap_23_a_text_that_brings_the_service_down_is_found():
    """The service crashes each time it is sent, which looks like an outage: that text alone is blamed."""
    service = Service({"text 40"}, restart_s=2.0)
    outcomes = run_virtually(outcomes_of(service, TEXTS[:320], callers=4))
    assert refused(outcomes) == {"text 40"}


def test_trap_24_an_outage_without_end_interrupts():
    """After `max_outage_s` the range ends; no text is blamed, and few probes were sent."""
    service = Service(down=(0.0, 1e9))
    with pytest.raises(ExceptionGroup) as raised:
        run_virtually(outcomes_of(service, TEXTS, max_outage_s=900))
    assert raised.group_contains(ServiceDown, match="HTTP 503.*run again to resume")
    assert 890 <= service.requests[-1][0] <= 911
    assert len(service.requests) <= 16 + 160


def test_trap_25_bad_texts_alone_are_probed_for_one_at_a_time():
    """Sixteen calls fail for good at once: while the cause is in doubt, one request at a time is sent."""

    async def main():
        service = Service({f"bad {n}" for n in range(16)}, error=LOOKS["404"])
        caller = caller_of(service)
        await caller.extract(["good"])
        most, active = [], 0
        attempt, service.extract = service.extract, None

        async def probing(texts):
            nonlocal active
            active += 1
            if caller._endpoint.circuit.is_open:
                most.append(active)
            try:
                return await attempt(texts)
            finally:
                active -= 1

        service.extract = probing
        outcomes = await asyncio.gather(*(caller.extract([f"bad {n}"]) for n in range(16)))
        assert all(isinstance(outcome, Refusal) for (outcome,) in outcomes)
        assert set(most) == {1}

    run_virtually(main())


def test_the_text_is_kept_only_if_a_setting_says_so():
    """By default a refusal holds the length of the text and not the text itself."""

    async def refusal(**settings):
        caller = caller_of(Service({"bad"}), **settings)
        (outcome,) = await caller.extract(["bad"])
        return outcome

    assert run_virtually(refusal()).text is None
    assert run_virtually(refusal(keep_failed_text=True)).text == "bad"
