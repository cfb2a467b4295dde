"""An event loop whose time jumps to the next timer: minutes of waiting pass at once, in the same order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

MOST_S = 6 * 3600.0
"""Nothing in a test waits for longer: timers that come again and again do not hide a hang."""


class _Jump(selectors.SelectSelector):
    """Never waits: it moves the time by what the loop would have waited."""

    passed_s = 0.0

    def select(self, timeout=None):
        if self.passed_s > MOST_S:
            raise RuntimeError(f"{MOST_S} s have passed, and the loop still waits: a hang")
        if timeout is None:
            raise RuntimeError("nothing is left that could wake the loop: a hang")
        self.passed_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time; a task that would wait for ever raises."""

    def __init__(self):
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self):
        """Virtual seconds since the loop was made."""
        return self._jump.passed_s


def run_virtually(main: Coroutine[None, None, T]) -> T:
    """The result of the coroutine, on a loop of virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now_s() -> float:
    """Seconds on the running loop."""
    return asyncio.get_running_loop().time()
