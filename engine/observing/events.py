"""Writes named events with key-value pairs as log lines.

They go to the standard logger `engine`, so the application decides where they end up. Values are ids, counts
and times, never texts and never secrets. `docs/observability.md` lists all events.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("engine")

_PLAIN = re.compile(r"[^ \"=]+")


class Events:
    """Emits events that share a context, such as the ids of the run and the range."""

    def __init__(self, **context: Any) -> None:
        self._context = context

    def info(self, name: str, **values: Any) -> None:
        """Emits an event that belongs to a normal course."""
        self._emit(logging.INFO, name, values)

    def warning(self, name: str, **values: Any) -> None:
        """Emits an event that people may want to look at."""
        self._emit(logging.WARNING, name, values)

    def _emit(self, level: int, name: str, values: dict[str, Any]) -> None:
        if logger.isEnabledFor(level):
            pairs = " ".join(f"{key}={_shown(value)}" for key, value in {**self._context, **values}.items())
            logger.log(level, "%s %s", name, pairs)


class Changes:
    """Emits an event when a value has changed, but at most one in `every_s` seconds.

    Args:
        value: the value at the beginning.
        clock: monotonic seconds; injected by tests.
    """

    def __init__(
        self,
        events: Events,
        name: str,
        value: Any,
        every_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._events, self._name, self._every_s, self._clock = events, name, every_s, clock
        self._emitted, self._next_at = value, clock()

    def see(self, value: Any) -> None:
        """Takes the present value, and emits it if it differs from the last one emitted."""
        if value == self._emitted or (now := self._clock()) < self._next_at:
            return
        self._events.info(self._name, before=self._emitted, now=value)
        self._emitted, self._next_at = value, now + self._every_s


def _shown(value: Any) -> str:
    """Renders a value as one token of one line, whatever a service or a server has put into a message."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if text.isprintable() and _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
