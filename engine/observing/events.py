"""Logs named events with key-value pairs, each as one line.

They go to the standard logger `engine`, and the application decides where its lines go. Values are ids,
counts and times, never texts or secrets. `docs/observability.md` lists the events.
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
    """Emits events that all carry the same context, such as the run and the range."""

    def __init__(self, **context: Any) -> None:
        self._context = context

    def info(self, name: str, **values: Any) -> None:
        """Logs that something happened as it should."""
        self._emit(logging.INFO, name, values)

    def warning(self, name: str, **values: Any) -> None:
        """Logs that something happened that people may want to look at."""
        self._emit(logging.WARNING, name, values)

    def _emit(self, level: int, name: str, values: dict[str, Any]) -> None:
        if logger.isEnabledFor(level):
            pairs = " ".join(f"{key}={_shown(value)}" for key, value in {**self._context, **values}.items())
            logger.log(level, "%s %s", name, pairs)


class Changes:
    """Logs the changes of a value that changes often, at most once in `every_s` seconds.

    Args:
        value: the first value, which is not logged.
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
        self._logged, self._next_at = value, clock()

    def see(self, value: Any) -> None:
        """Takes the current value.

        Logs it if it differs from the last one logged, unless that was too recent.
        """
        if value == self._logged or (now := self._clock()) < self._next_at:
            return
        self._events.info(self._name, before=self._logged, now=value)
        self._logged, self._next_at = value, now + self._every_s


def _shown(value: Any) -> str:
    """Formats a value as one token on one line, whatever text a service or a server has put into it."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if text.isprintable() and _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
