"""Tasks that run side by side, and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Any

AGAIN_S = 1.0
"""Seconds after which a task that was cancelled, and goes on, is cancelled again."""


async def all_ended(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Waits for all of them; the first error, or a cancellation, ends the others.

    As `asyncio.TaskGroup`, but it cancels again and again: before Python 3.12 `asyncio.wait_for`, by which
    drivers connect, may swallow a cancellation (https://github.com/python/cpython/issues/86296), and a stage
    that goes on would wait for ever for one that has ended (TRAPS 32).

    Raises:
        BaseExceptionGroup: the errors of those that failed.
    """
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        while left := [task for task in tasks if not task.done()]:
            for task in left:
                task.cancel()
            with suppress(asyncio.CancelledError):  # one is on its way, or an error is
                await asyncio.wait(left, timeout=AGAIN_S)
    if errors := [error for task in tasks if not task.cancelled() and (error := task.exception())]:
        raise BaseExceptionGroup("stages failed", errors)
