"""Waiting for a server to come up, without outliving its death."""

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
    """Ask `probe` until it answers something else than None.

    Args:
        probe: Answers None while the thing is not ready.
        what: The thing waited for, for the error's message.
        timeout_s: How long to wait.
        check: Called before each probe; raises when waiting has become pointless.
        interval_s: Pause between two probes.
        clock: Monotonic seconds.
        sleep: Pauses.

    Raises:
        DemoError: After `timeout_s`.
    """
    deadline = clock() + timeout_s
    while clock() < deadline:
        check()
        answer = probe()
        if answer is not None:
            return answer
        sleep(interval_s)
    raise DemoError(f"{what} was not ready after {timeout_s:.0f} s")
