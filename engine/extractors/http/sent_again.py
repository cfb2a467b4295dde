"""Tells the engine that an extractor has sent a request a second time by itself."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar


def _nobody() -> None:
    """Counts nothing: the extractor is used without the engine."""


SENT_AGAIN: ContextVar[Callable[[], None]] = ContextVar("sent_again", default=_nobody)
"""Called when a request is sent again. The engine sets it before each attempt, to count the request."""
