"""Runs a coroutine in a task so that it can save its checkpoint when Airflow stops the task."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from typing import TypeVar

from airflow.sdk.exceptions import AirflowException, AirflowTaskTimeout

from engine.running.event_loop import loop_runner

T = TypeVar("T")

STOPS = {signal.SIGTERM: AirflowException, signal.SIGALRM: AirflowTaskTimeout}
"""The signals by which Airflow stops a task, and the error that the task then raises.

SIGTERM comes when the task is marked failed or cleared, or when its worker stops; SIGKILL follows five
seconds later. SIGALRM comes when the task's `execution_timeout` is over. See trap 31, docs/traps.md.
"""


def run_to_end(work: Awaitable[T]) -> T:
    """Runs a coroutine to its end, or cancels it when one of the signals of `STOPS` comes.

    A cancelled coroutine saves its checkpoint before it ends. Airflow's own handler of SIGALRM would raise an
    error inside whatever callback the event loop runs at that moment. uvloop only logs such an error and goes
    on, so the time limit would have no effect.

    Raises:
        AirflowException, AirflowTaskTimeout: a signal has stopped it.
    """
    previous = {number: signal.getsignal(number) for number in STOPS}
    received: list[signal.Signals] = []
    try:
        with loop_runner() as runner:
            return runner.run(_cancelled_by_signals(work, received))
    except asyncio.CancelledError as error:
        kind = STOPS[received[0]] if received else AirflowException
        reason = received[0].name if received else "cancellation"
        raise kind(f"stopped by {reason}; the next try goes on from the checkpoint") from error
    finally:
        for number, handler in previous.items():  # the loop's handlers have replaced Airflow's
            signal.signal(number, handler)


async def _cancelled_by_signals(work: Awaitable[T], received: list[signal.Signals]) -> T:
    """Awaits the work. A signal cancels it, and is added to `received`."""
    task = asyncio.current_task()

    def stop(number: signal.Signals) -> None:
        received.append(number)
        if task is not None:
            task.cancel()

    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop, number)
    return await work
