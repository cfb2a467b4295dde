"""A coroutine in a task, and how Airflow stops it. Only tasks import this."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from typing import TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout

from engine.running.event_loop import loop_runner

T = TypeVar("T")

STOPS = {signal.SIGTERM: AirflowException, signal.SIGALRM: AirflowTaskTimeout}
"""How Airflow stops a task, and what it fails with: SIGTERM when it is marked failed or cleared, or its
worker is stopped (SIGKILL follows five seconds later), SIGALRM when its `execution_timeout` is over."""


def run_to_end(work: Awaitable[T]) -> T:
    """Runs a coroutine in this process, which Airflow may stop, by the signals of `STOPS`.

    A signal cancels the coroutine, which then saves its checkpoint. Airflow's own handler of the time limit
    raises out of whatever callback the loop is in; uvloop logs what a callback raises, and goes on: no limit
    would ever be kept.

    Raises:
        AirflowException, AirflowTaskTimeout: it was stopped so.
    """
    previous = {number: signal.getsignal(number) for number in STOPS}
    came: list[signal.Signals] = []
    try:
        with loop_runner() as runner:
            return runner.run(_cancelled_by_signals(work, came))
    except asyncio.CancelledError as error:
        kind = STOPS[came[0]] if came else AirflowException
        reason = came[0].name if came else "cancellation"
        raise kind(f"stopped by {reason}; the next try goes on from the checkpoint") from error
    finally:
        for number, handler in previous.items():  # the loop's handlers have replaced Airflow's
            signal.signal(number, handler)


async def _cancelled_by_signals(work: Awaitable[T], came: list[signal.Signals]) -> T:
    """The result of the work, unless one of the signals comes first; it is put into `came`."""
    task = asyncio.current_task()

    def stop(number: signal.Signals) -> None:
        came.append(number)
        if task is not None:
            task.cancel()

    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return await work
