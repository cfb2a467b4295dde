"""Named events with key-values, rendered as log lines in one place.

They go to the standard logger `engine`: the application decides where to. Values are ids, counts and times;
never texts, never secrets.
"""

from __future__ import annotations

import logging
from typing import Any

logger = logging.getLogger("engine")


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


def _shown(value: Any) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return f'"{text}"' if " " in text else text
