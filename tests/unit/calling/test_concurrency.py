"""Slots: never more than the limit, first come first served, none lost whatever is cancelled."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import ExtractionError, Failure
from engine.calling.adaptive_limit import FixedLimit, Sample, Verdict
from engine.calling.concurrency import Slots


class Recorder:
    """A limiter whose limit a test sets; it records what it is told."""

    def __init__(self, limit=1):
        self.limit = limit
        self.begun = []
        self.verdicts = []

    def begin(self, in_flight):
        """Records how many are in flight."""
        self.begun.append(in_flight)
        return Sample(len(self.begun), in_flight, 0.0)

    def end(self, sample, verdict):
        """Records the verdict."""
        self.verdicts.append(verdict)


class Timers:
    """Timers that fire when the test says so."""

    def __init__(self):
        self.due = []

    def call_later(self, seconds, do):
        """One more timer."""
        timer = Timer(self, seconds, do)
        self.due.append(timer)
        return timer

    def fire(self):
        """The first one fires."""
        self.due.pop(0).do()


class Timer:
    """One of them."""

    def __init__(self, timers, seconds, do):
        self.timers, self.seconds, self.do = timers, seconds, do

    def cancel(self):
        """It will not fire."""
        self.timers.due.remove(self)


async def settle():
    """Lets every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def hold(slots, log, name, release):
    """Holds a slot until released."""
    async with slots.slot():
        log.append(name)
        await release.wait()


@pytest.mark.asyncio
async def test_no_more_attempts_than_the_limit_and_first_come_first_served():
    """Five attempts, two slots: they begin in order, two at a time."""
    slots, log = Slots(FixedLimit(2)), []
    releases = [asyncio.Event() for _ in range(5)]
    async with asyncio.TaskGroup() as tasks:
        for name, release in enumerate(releases):
            tasks.create_task(hold(slots, log, name, release))
        for done in range(5):
            await settle()
            assert log == list(range(min(done + 2, 5)))
            assert slots.in_flight == min(2, 5 - done)
            releases[done].set()
    assert slots.taken == 0


@pytest.mark.asyncio
async def test_a_late_comer_does_not_overtake():
    """A slot that becomes free belongs to who waits, even if another asks before that one runs."""
    slots, log, first = Slots(FixedLimit(1)), [], asyncio.Event()
    rest = asyncio.Event()
    rest.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(slots, log, "first", first))
        await settle()
        tasks.create_task(hold(slots, log, "second", rest))
        await settle()
        first.set()
        tasks.create_task(hold(slots, log, "third", rest))
    assert log == ["first", "second", "third"]


@pytest.mark.asyncio
async def test_nobody_overtakes_who_waits_for_a_limit_that_has_risen():
    """The limit may rise before anybody who waits is told."""
    limiter = Recorder(1)
    slots, log, release = Slots(limiter), [], asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for name in range(2):
            tasks.create_task(hold(slots, log, name, release))
        await settle()
        limiter.limit = 2
        tasks.create_task(hold(slots, log, "late", release))
        await settle()
        assert log == [0]
        release.set()
    assert log == [0, 1, "late"]


@pytest.mark.asyncio
async def test_a_raised_limit_admits_who_waits_and_a_lowered_one_waits_for_ends():
    """The limit is read anew at every end."""
    limiter = Recorder(1)
    slots, log, first, rest = Slots(limiter), [], asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for name in range(6):
            tasks.create_task(hold(slots, log, name, rest if name else first))
        await settle()
        limiter.limit = 3
        first.set()
        await settle()
        assert log == [0, 1, 2, 3]
        limiter.limit = 1
        rest.set()
    assert limiter.begun == [1, 3, 3, 3, 1, 1]


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (ExtractionError("no", failure=Failure.THROTTLED), Verdict.THROTTLED),
        (ExtractionError("no", failure=Failure.TRANSIENT), Verdict.DROPPED),
        (ExtractionError("no"), Verdict.IGNORED),
        (TimeoutError(), Verdict.DROPPED),
        (ConnectionResetError(), Verdict.DROPPED),
        (ValueError(), Verdict.IGNORED),
        (asyncio.CancelledError(), Verdict.IGNORED),
    ],
)
@pytest.mark.asyncio
async def test_what_an_attempt_ends_with_is_the_verdict(error, verdict):
    """A failure's class says it; the error passes through."""
    limiter = Recorder()
    slots = Slots(limiter)
    with pytest.raises(type(error)):
        async with slots.slot():
            raise error
    assert (limiter.verdicts, slots.taken) == ([verdict], 0)


@pytest.mark.asyncio
async def test_trap_25_a_success_that_needed_a_retry_is_told_as_such():
    """And a verdict given inside counts more than the end."""
    limiter = Recorder()
    slots = Slots(limiter)
    async with slots.slot():
        pass
    async with slots.slot(retried=True):
        pass
    async with slots.slot() as slot:
        slot.verdict = Verdict.IGNORED
    assert limiter.verdicts == [Verdict.SUCCESS, Verdict.RETRIED, Verdict.IGNORED]


async def time_out(slots):
    """An attempt that keeps its slot for 30 s more."""
    async with slots.slot() as slot:
        slot.charge_for(30)
        raise TimeoutError


@pytest.mark.asyncio
async def test_trap_22_a_slot_stays_charged_after_a_timeout():
    """The next attempt waits for the grace period's end, not only for that of the aborted call."""
    timers, log, go = Timers(), [], asyncio.Event()
    slots = Slots(FixedLimit(1), timers.call_later)
    with pytest.raises(TimeoutError):
        await time_out(slots)
    assert (slots.in_flight, slots.charged, [t.seconds for t in timers.due]) == (0, 1, [30])
    go.set()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(slots, log, "next", go))
        await settle()
        assert log == []
        timers.fire()
    assert (log, slots.taken, slots.charged) == (["next"], 0, 0)


@pytest.mark.asyncio
async def test_trap_22_the_limiter_counts_charged_slots_as_in_flight():
    """The server may still work on them."""
    limiter, timers = Recorder(3), Timers()
    slots = Slots(limiter, timers.call_later)
    async with slots.slot() as slot:
        slot.charge_for(1)
    async with slots.slot():
        pass
    assert limiter.begun == [1, 2]


@pytest.mark.asyncio
async def test_closing_ends_charges_and_admits_who_waits():
    """No timer stays behind, and no later one is made."""
    timers, log, go = Timers(), [], asyncio.Event()
    slots = Slots(FixedLimit(2), timers.call_later)
    go.set()
    for _ in range(2):
        async with slots.slot() as slot:
            slot.charge_for(60)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(slots, log, "waiter", go))
        await settle()
        slots.close()
    async with slots.slot() as slot:
        slot.charge_for(60)
    assert (log, timers.due, slots.taken, slots.charged) == (["waiter"], [], 0, 0)


@pytest.mark.asyncio
async def test_charges_expire_on_the_loop_by_default():
    """With no timer handed in."""
    slots = Slots(FixedLimit(1))
    async with slots.slot() as slot:
        slot.charge_for(0.001)
    assert slots.charged == 1
    async with slots.slot():
        assert slots.charged == 0


@pytest.mark.asyncio
async def test_a_waiter_cancelled_as_its_turn_comes_passes_the_slot_on():
    """The slot it was given goes to the next, in the same step."""
    slots, log, first, rest = Slots(FixedLimit(1)), [], asyncio.Event(), asyncio.Event()
    holder = asyncio.ensure_future(hold(slots, log, "holder", first))
    waiters = [asyncio.ensure_future(hold(slots, log, name, rest)) for name in ("cancelled", "next")]
    await settle()
    first.set()
    while slots._waiting and len(slots._waiting) == 2:  # noqa: ASYNC110  (until the turn is given)
        await asyncio.sleep(0)
    waiters[0].cancel()
    rest.set()
    await asyncio.wait([holder, *waiters])
    assert waiters[0].cancelled()
    assert (log, slots.taken) == (["holder", "next"], 0)


async def storm(actions, limit):
    """Attempts begin, end, are cancelled and time out in any order; returns the slots at the end."""
    limiter, timers = Recorder(limit), Timers()
    slots, tasks = Slots(limiter, timers.call_later), []

    async def attempt(release):
        async with slots.slot() as slot:
            slot.charge_for(1)
            await release.wait()

    most = 5
    for action, which in actions:
        if action == "begin":
            release = asyncio.Event()
            tasks.append((asyncio.ensure_future(attempt(release)), release))
        elif action == "limit":
            limiter.limit = 1 + which % most
        elif action == "timer" and timers.due:
            timers.fire()
        elif tasks and action == "end":
            tasks[which % len(tasks)][1].set()
        elif tasks and action == "cancel":
            tasks[which % len(tasks)][0].cancel()
        elif action == "step":
            await asyncio.sleep(0)
        assert slots.taken <= most
    for _, release in tasks:
        release.set()
    slots.close()
    await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
    assert all(task.cancelled() or task.exception() is None for task, _ in tasks)
    assert all(begun <= most for begun in limiter.begun)
    assert len(limiter.begun) == len(limiter.verdicts)
    return slots


ACTIONS = st.tuples(st.sampled_from(["begin", "end", "cancel", "step", "timer", "limit"]), st.integers(0, 20))


@settings(deadline=None, max_examples=200)
@given(st.lists(ACTIONS, max_size=60), st.integers(1, 5))
def test_no_slot_is_lost_or_stolen_under_random_cancellation(actions, limit):
    """Whatever happens, at the end every slot is free, and a new attempt gets one."""

    async def run():
        slots = await storm(actions, limit)
        assert (slots.taken, slots.charged, len(slots._waiting)) == (0, 0, 0)
        assert slots.take_now()

    asyncio.run(run())
