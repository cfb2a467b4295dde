"""Slots: never more than the limit, first come, first served, and no cancellation loses one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.calling.adaptive_limit import AdaptiveLimit, AttemptResult, AttemptStart
from engine.calling.concurrency import Slots


class Recorder:
    """A limit that a test sets; it records the attempts."""

    def __init__(self, limit=1):
        self.limit = limit
        self.begun = []
        self.results = []

    def begin(self, in_flight):
        """Records how many are in flight."""
        self.begun.append(in_flight)
        return AttemptStart(len(self.begun), in_flight, 0.0)

    def end(self, sample, result):
        """Records the result."""
        self.results.append(result)


class Timers:
    """Timers that fire when the test says so."""

    def __init__(self):
        self.due = []

    def call_later(self, seconds, do):
        """Adds a timer."""
        self.due.append(Timer(seconds, do))

    def fire(self):
        """Fires the first timer."""
        self.due.pop(0).do()

    def fire_all(self):
        """Fires all timers."""
        while self.due:
            self.fire()


class Timer:
    """A call that is due after some seconds."""

    def __init__(self, seconds, do):
        self.seconds, self.do = seconds, do


@asynccontextmanager
async def slot(slots, charged_s=0.0):
    """A slot of its own, kept for so many seconds more."""
    if not slots.try_take():
        await slots.take()
    start = slots.limiter.begin(slots.taken)
    try:
        yield
    finally:
        slots.limiter.end(start, AttemptResult.SUCCESS)
        slots.give_back(charged_s)


async def settle():
    """Lets every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def hold(slots, log, name, release):
    """Holds a slot until released."""
    async with slot(slots):
        log.append(name)
        await release.wait()


@pytest.mark.asyncio
async def test_no_more_attempts_than_the_limit_and_first_come_first_served():
    """Five attempts, two slots: they begin in order, two at a time."""
    slots, log = Slots(AdaptiveLimit(2, 2)), []
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
    """A slot that becomes free goes to the attempt that waits, even if another one asks before that runs."""
    slots, log, first = Slots(AdaptiveLimit(1, 1)), [], asyncio.Event()
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
async def test_a_late_comer_does_not_overtake_when_the_limit_has_risen():
    """The limit may rise while attempts wait that have not been woken yet."""
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
async def test_a_raised_limit_admits_waiting_attempts_and_a_lowered_one_stops_none():
    """The limit is read again at the end of every attempt."""
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


async def time_out(slots):
    """Makes an attempt that times out and keeps its slot for 30 s more."""
    async with slot(slots, charged_s=30):
        raise TimeoutError


@pytest.mark.asyncio
async def test_trap_22_a_slot_stays_charged_after_a_timeout():
    """The next attempt waits for the end of the charge, not only for the end of the aborted call."""
    timers, log, go = Timers(), [], asyncio.Event()
    slots = Slots(AdaptiveLimit(1, 1), timers.call_later)
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
    async with slot(slots, charged_s=1):
        pass
    async with slot(slots):
        pass
    assert limiter.begun == [1, 2]


@pytest.mark.asyncio
async def test_charges_expire_on_the_loop_by_default():
    """If no `call_later` is given, the event loop's is used."""
    slots = Slots(AdaptiveLimit(1, 1))
    async with slot(slots, charged_s=0.001):
        pass
    assert slots.charged == 1
    async with slot(slots):
        assert slots.charged == 0


@pytest.mark.asyncio
async def test_a_waiter_cancelled_as_its_turn_comes_passes_the_slot_on():
    """The slot that it was given goes to the next attempt in the same step."""
    slots, log, first, rest = Slots(AdaptiveLimit(1, 1)), [], asyncio.Event(), asyncio.Event()
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


async def drain(tasks, timers):
    """Lets all attempts and charges end."""
    while timers.due or not all(task.done() for task, _ in tasks):
        timers.fire_all()
        await asyncio.sleep(0)


async def storm(actions, limit):
    """Begins, ends, cancels and times out attempts in the given order; returns the slots at the end."""
    limiter, timers = Recorder(limit), Timers()
    slots, tasks = Slots(limiter, timers.call_later), []

    async def attempt(release):
        async with slot(slots, charged_s=1):
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
    await drain(tasks, timers)
    assert all(task.cancelled() or task.exception() is None for task, _ in tasks)
    assert all(begun <= most for begun in limiter.begun)
    assert len(limiter.begun) == len(limiter.results)
    return slots


ACTIONS = st.tuples(st.sampled_from(["begin", "end", "cancel", "step", "timer", "limit"]), st.integers(0, 20))


@settings(deadline=None, max_examples=200)
@given(st.lists(ACTIONS, max_size=60), st.integers(1, 5))
def test_no_slot_is_lost_or_stolen_under_random_cancellation(actions, limit):
    """In the end every slot is free, and a new attempt gets one."""

    async def run():
        slots = await storm(actions, limit)
        assert (slots.taken, slots.charged, len(slots._waiting)) == (0, 0, 0)
        assert slots.try_take()

    asyncio.run(run())
