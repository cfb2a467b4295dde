"""A replacement for `asyncio.TaskGroup` that also ends tasks which swallow their first cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

CANCEL_AGAIN_S = 1.0
"""A task that is still running this long after its cancellation is cancelled again."""


async def wait_or_cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Waits until all tasks have ended; the first error, or a cancellation, cancels the tasks that still run.

    Unlike `asyncio.TaskGroup`, it cancels a task again until the task has ended. Before Python 3.12
    `asyncio.wait_for`, which drivers use to connect, may swallow a cancellation
    (https://github.com/python/cpython/issues/86296). Without this, a stage that survived its cancellation
    would wait forever for one that has already ended (trap 32, docs/traps.md).

    Raises:
        BaseExceptionGroup: the errors of the tasks that failed.
    """
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        while running := [task for task in tasks if not task.done()]:
            for task in running:
                task.cancel()
            # Cancelled once more, it waits on: the error or the first cancellation is raised below.
            with suppress(asyncio.CancelledError):
                await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
    if errors := [error for task in tasks if not task.cancelled() and (error := task.exception())]:
        raise BaseExceptionGroup("stages failed", errors)
