"""Named events with key-values, rendered as log lines in one place.

They go to the standard logger `engine`: the application decides where to. Values are ids, counts and times;
never texts, never secrets. `docs/observability.md` lists them.
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
        """Something happened as it should."""
        self._emit(logging.INFO, name, values)

    def warning(self, name: str, **values: Any) -> None:
        """Something happened that people may want to look at."""
        self._emit(logging.WARNING, name, values)

    def _emit(self, level: int, name: str, values: dict[str, Any]) -> None:
        if logger.isEnabledFor(level):
            pairs = " ".join(f"{key}={_shown(value)}" for key, value in {**self._context, **values}.items())
            logger.log(level, "%s %s", name, pairs)


class Changes:
    """Tells of a value that changes often, at most once in `every_s`.

    Args:
        value: the first one, which is no change.
        clock: seconds; injected by tests.
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
        self._told, self._next_at = value, clock()

    def see(self, value: Any) -> None:
        """The value now; told if it is another than was told last, and that is long enough ago."""
        if value == self._told or (now := self._clock()) < self._next_at:
            return
        self._events.info(self._name, before=self._told, now=value)
        self._told, self._next_at = value, now + self._every_s


def _shown(value: Any) -> str:
    """One token of one line, whatever a service or a server has put into a message."""
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    if text.isprintable() and _PLAIN.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=not text.isprintable())
