"""An event loop that never waits: its time jumps to the next timer, so that minutes of waiting pass at once.

Timers fire in the same order as on a real loop.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

MOST_S = 6 * 3600.0
"""The most virtual time of a test. A loop in which a timer fires again and again for longer hangs."""


class _Jump(selectors.SelectSelector):
    """Does not wait: it adds the seconds that the loop would have waited to the virtual time."""

    passed_s = 0.0

    def select(self, timeout=None):
        if self.passed_s > MOST_S:
            raise RuntimeError(f"the loop still waits after {MOST_S} virtual seconds: it hangs")
        if timeout is None:
            raise RuntimeError("no timer and no task is left that could wake the loop: it hangs")
        self.passed_s += max(0.0, timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time. If nothing could ever wake it again, it raises RuntimeError."""

    def __init__(self):
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self):
        """The virtual seconds since the loop was made."""
        return self._jump.passed_s


def run_virtually(main: Coroutine[None, None, T]) -> T:
    """Runs the coroutine on a loop of virtual time, and returns its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now_s() -> float:
    """The time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()
