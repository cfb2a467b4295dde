"""The commands that MongoDB has not answered yet: a long wait is told, and a stop does not wait for one.

A server that is frozen, or a majority that is out of reach, answers nothing for a long time. People then
want to know what is waited for, and a process that is asked to end must not wait (trap 49, docs/traps.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from engine.mongo import driver
from engine.observing.events import Events

TELL_AFTER_S = 5.0
"""A command that takes longer is told. Nearly all take less than a tenth of a second."""

SILENT_AFTER_S = 0.5
"""A process that is to stop does not wait for a command that has gone unanswered for this long."""

_began: dict[object, float] = {}
"""When each command that now waits was first sent, in seconds of the monotonic clock."""


@contextmanager
def told(where: driver.Place, waits_for: str) -> Iterator[None]:
    """Counts a command as unanswered while the block runs, and tells once if it runs for long.

    Args:
        where: the collection or database concerned.
        waits_for: what the command waits for, in words.
    """
    command = object()
    _began[command] = time.monotonic()
    later = asyncio.get_running_loop().call_later(TELL_AFTER_S, _tell, where, waits_for)
    try:
        yield
    finally:
        later.cancel()
        del _began[command]


def silent() -> bool:
    """Whether MongoDB has left a command of this process unanswered for `SILENT_AFTER_S`."""
    return bool(_began) and time.monotonic() - min(_began.values()) >= SILENT_AFTER_S


def _tell(where: driver.Place, waits_for: str) -> None:
    told_of = {"collection": driver.namespace(where), "waits_for": waits_for, "waited_s": TELL_AFTER_S}
    Events().warning("waiting_for_mongodb", **told_of)
