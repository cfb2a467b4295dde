"""The service that the pipeline benchmark calls, on paper: its capacity, its faults, and its rule. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

LABEL, SCORE = "NAME", 0.5

_CAPITALISED = re.compile(r"\b[A-Z][a-z]+\b")

Spans: TypeAlias = list[tuple[int, int, str]]
"""Start and end in code points, and the surface form."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the stub is told to be.

    Attributes:
        slots: requests worked on at once; None: every request is answered at once.
        queue: requests that wait beyond; further ones get 429 and `Retry-After`.
        base_s, text_s: a request takes `base_s`, and `text_s` for each of its texts.
        retry_after_s: what `Retry-After` says; whole seconds, as the header has it.
        failing, resetting: shares of the requests that get 503 without a hint, or a connection reset instead
            of an answer; at once, before they wait or work.
        changes: `(second, slots)`; seconds count from the first request, here and below.
        outage: its beginning and its length in seconds; every connection is reset then, and every request.
    """

    slots: int | None = 16
    queue: int = 64
    base_s: float = 0.020
    text_s: float = 0.001
    retry_after_s: int = 1
    failing: float = 0.0
    resetting: float = 0.0
    changes: tuple[tuple[float, int], ...] = ()
    outage: tuple[float, float] | None = None

    def request_s(self, texts: int) -> float:
        """Seconds that a request takes when nothing waits: its unloaded latency."""
        return 0.0 if self.slots is None else self.base_s + self.text_s * texts

    def capacity(self, texts: int) -> float | None:
        """Texts a second in requests of that many texts: `slots * texts / (base_s + text_s * texts)`."""
        return None if self.slots is None else self.slots * texts / self.request_s(texts)

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> Service:
        """What `dataclasses.asdict` and JSON have made of one."""
        outage = tuple(told["outage"]) if told["outage"] else None
        return cls(**{**told, "changes": tuple(map(tuple, told["changes"])), "outage": outage})


def spans_of(text: str) -> Spans:
    """The service's rule: every capitalised word is an entity."""
    return [(found.start(), found.end(), found.group()) for found in _CAPITALISED.finditer(text)]
