"""Waits until a server is ready, or has failed."""

import time
from collections.abc import Callable
from typing import TypeVar

from demo.errors import DemoError

T = TypeVar("T")


def wait_for(
    probe: Callable[[], T | None],
    what: str,
    *,
    timeout_s: float,
    check: Callable[[], object] = lambda: None,
    interval_s: float = 0.2,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Call `probe` until it returns something other than None, and return that.

    Args:
        probe: Returns None as long as the server is not ready.
        what: The name of the server, for the error message.
        timeout_s: Seconds to wait at most.
        check: Called before each probe; it raises if waiting has become pointless.
        interval_s: Seconds between two probes.
        clock: Returns monotonic seconds.
        sleep: Pauses for some seconds.

    Raises:
        DemoError: The server was not ready after `timeout_s`.
    """
    deadline = clock() + timeout_s
    while clock() < deadline:
        check()
        answer = probe()
        if answer is not None:
            return answer
        sleep(interval_s)
    raise DemoError(f"{what} was not ready after {timeout_s:.0f} s")
