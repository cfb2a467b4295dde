"""The description of the service that benchmarks call: its capacity, its faults, and its rule. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

LABEL, SCORE = "NAME", 0.5

_CAPITALISED = re.compile(r"\b[A-Z][a-z]+\b")

Spans: TypeAlias = list[tuple[int, int, str]]
"""Start and end in code points, and the text between them."""


@dataclass(frozen=True, slots=True)
class Service:
    """The capacity and the faults of a service.

    Attributes:
        slots: requests that are worked on at once; None means that every request is answered at once.
        queue: requests that wait when all slots are taken; further ones get 429 and `Retry-After`.
        base_s, text_s: a request takes `base_s`, and `text_s` for each of its texts.
        retry_after_s: the value of `Retry-After`, in whole seconds as the header requires.
        failing, resetting: shares of the requests that get 503 without `Retry-After`, or a reset connection
            instead of an answer; at once, before they wait or work.
        changes: `(second, slots)`: from that second on there are this many slots. Seconds count from the
            first request, here and below.
        outage: its beginning and its length, in seconds. All connections and requests are reset meanwhile.
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
        """The unloaded latency of a request: its seconds when no other request waits."""
        return 0.0 if self.slots is None else self.base_s + self.text_s * texts

    def capacity(self, texts: int) -> float | None:
        """Texts per second in requests of `texts` texts: `slots * texts / (base_s + text_s * texts)`."""
        return None if self.slots is None else self.slots * texts / self.request_s(texts)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Service:
        """Restores a service from the JSON of its `dataclasses.asdict`."""
        outage = tuple(document["outage"]) if document["outage"] else None
        return cls(**{**document, "changes": tuple(map(tuple, document["changes"])), "outage": outage})


def spans_of(text: str) -> Spans:
    """Applies the service's rule: every capitalised word is an entity."""
    return [(found.start(), found.end(), found.group()) for found in _CAPITALISED.finditer(text)]
