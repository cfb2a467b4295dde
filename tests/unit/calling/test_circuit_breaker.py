"""The circuit breaker, on virtual time: one probe at a time waits for the end of an outage."""

from __future__ import annotations

import asyncio
import random
from functools import partial

import pytest

from engine import ExtractionError, Failure
from engine.calling.circuit_breaker import CircuitBreaker
from engine.errors import ServiceDown
from tests.support.settings import settings_with
from tests.support.virtual_time import now_s, run_virtually

DOWN = ExtractionError("HTTP 503", failure=Failure.TRANSIENT)


class Probes:
    """Fails until a moment, then works; each probe takes a while."""

    def __init__(self, until_s=0.0, problem=DOWN, takes_s=0.05):
        self.until_s, self.problem, self.takes_s = until_s, problem, takes_s
        self.at, self.now, self.most_at_once = [], 0, 0

    async def __call__(self):
        """Sends one probe."""
        self.at.append(now_s())
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        await asyncio.sleep(self.takes_s)
        self.now -= 1
        return self.problem if now_s() < self.until_s else None


def circuit_of(probes, seed=1, **values):
    """A circuit on the running loop's time."""
    circuit = CircuitBreaker(
        settings_with(**values), clock=now_s, sleep=asyncio.sleep, rng=random.Random(seed)
    )
    circuit.wait_until_closed = partial(circuit.wait_until_closed, probes)
    return circuit


def test_trap_24_failures_in_a_row_open_the_circuit():
    """`circuit_failures` of them, not one fewer; a success between them starts the count again."""

    async def main():
        circuit = circuit_of(Probes(), circuit_failures=3)
        fails = circuit.record_failure
        for event in (fails, fails, circuit.record_success, fails, fails):
            event()
        assert not circuit.is_open
        circuit.record_failure()
        assert circuit.is_open

    run_virtually(main())


def test_a_working_service_closes_the_circuit_at_once():
    """The first probe does not wait, and no outage is counted."""

    async def main():
        circuit = circuit_of(probes := Probes())
        circuit.open()
        await circuit.wait_until_closed()
        assert (circuit.is_open, circuit.outages, probes.at) == (False, 0, [0.0])

    run_virtually(main())


def test_trap_25_one_probe_at_a_time_however_many_wait():
    """A hundred calls wait through a minute of outage: one probe is in flight at a time, and few are sent."""

    async def main():
        circuit = circuit_of(probes := Probes(until_s=60))
        circuit.open()
        async with asyncio.TaskGroup() as waiting:
            for _ in range(100):
                waiting.create_task(circuit.wait_until_closed())
        assert probes.most_at_once == 1
        assert len(probes.at) <= 25
        assert (circuit.is_open, circuit.outages) == (False, 1)
        assert 60 <= now_s() <= 60 + 10 + 1

    run_virtually(main())


def test_the_wait_between_probes_grows_and_is_capped():
    """Each is between half its bound and its bound: 0.4, 0.8, 1.6 s ... `probe_max_s`."""

    async def main():
        circuit = circuit_of(probes := Probes(until_s=120, takes_s=0), retry_base_s=0.2, probe_max_s=8)
        circuit.open()
        await circuit.wait_until_closed()
        waits = [after - before for before, after in zip(probes.at, probes.at[1:], strict=False)]
        for n, waited in enumerate(waits, start=1):
            bound = min(8, 0.2 * 2**n)
            assert bound / 2 <= waited <= bound

    run_virtually(main())


def test_two_ranges_do_not_probe_in_step():
    """Their waits are random and differ."""

    async def probes_of(seed):
        circuit = circuit_of(probes := Probes(until_s=30), seed)
        circuit.open()
        await circuit.wait_until_closed()
        return probes.at[1:]

    assert not set(run_virtually(probes_of(1))) & set(run_virtually(probes_of(2)))


def test_a_throttled_probe_waits_as_asked():
    """The `Retry-After` of a probe is respected, up to its cap."""
    busy = ExtractionError("HTTP 429", failure=Failure.THROTTLED, retry_after_s=500.0)

    async def main():
        circuit = circuit_of(probes := Probes(until_s=60, problem=busy), retry_after_max_s=120)
        circuit.open()
        await circuit.wait_until_closed()
        assert 120 <= probes.at[1] - probes.at[0] <= 121

    run_virtually(main())


def test_trap_24_an_outage_that_is_too_long_interrupts():
    """After `max_outage_s` each call that waits fails, and no further probe is sent."""

    async def main():
        circuit = circuit_of(probes := Probes(until_s=10_000), max_outage_s=900)
        circuit.open()
        ends = await asyncio.gather(*(circuit.wait_until_closed() for _ in range(5)), return_exceptions=True)
        assert [type(end) for end in ends] == [ServiceDown] * 5
        assert "HTTP 503" in str(ends[0])
        assert "run again to resume" in str(ends[0])
        assert 900 - 10 <= probes.at[-1] <= 900 + 10

    run_virtually(main())


def test_a_prober_that_is_cancelled_is_replaced():
    """The next call that waits goes on sending probes."""

    async def main():
        circuit = circuit_of(Probes(until_s=20))
        circuit.open()
        first, second = (asyncio.create_task(circuit.wait_until_closed()) for _ in range(2))
        await asyncio.sleep(3)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await second
        assert not circuit.is_open

    run_virtually(main())


def test_what_a_probe_raises_ends_the_wait():
    """A service that refuses for good is not waited for."""

    async def refuse():
        raise ExtractionError("HTTP 401")

    async def main():
        circuit = circuit_of(refuse)
        circuit.open()
        with pytest.raises(ExtractionError, match="401"):
            await circuit.wait_until_closed()

    run_virtually(main())
