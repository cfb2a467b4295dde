"""How many documents the next page asks for: by their number, their bytes and the time of a fetch. Pure."""

from __future__ import annotations

import math

FIRST_PAGE_DOCUMENTS = 64
"""Asked for while nothing is known of sizes. Time alone never asks for fewer: a slow spell stalls none."""

GROWTH = 4
"""Most times a page may be the one before: 64 become 1,024 in two steps, and sizes are seen on the way."""

WEIGHT = 0.75
"""What a page still counts for after the next: Percona Toolkit's weight for its chunks (`WeightedAvgRate`).

Documents, bytes and seconds decay side by side, so each mean weighs pages by what they held.
"""


class PageSize:
    """Chooses the size of the next page from the pages seen so far.

    Attributes:
        documents: how many documents the next page asks for.
        expected_bytes: about how many bytes of texts that is; 0 while nothing is known.
    """

    def __init__(self, most_documents: int, most_bytes: int, target_s: float) -> None:
        self._most_documents, self._most_bytes, self._target_s = most_documents, most_bytes, target_s
        self._seen_documents = self._seen_bytes = self._seen_s = 0.0
        self._least_s = math.inf
        self.documents = min(FIRST_PAGE_DOCUMENTS, most_documents)
        self.expected_bytes = 0

    def observe(self, documents: int, bytes_: int, elapsed_s: float) -> None:
        """Takes down a page: its documents (one at least), their bytes, and how long it took to fetch."""
        self._least_s = min(self._least_s, elapsed_s)
        self._seen_documents = WEIGHT * self._seen_documents + documents
        self._seen_bytes = WEIGHT * self._seen_bytes + bytes_
        self._seen_s = WEIGHT * self._seen_s + elapsed_s - self._least_s
        # A run of large documents counts at once, or the next page would hold it; it is forgotten slowly.
        each = max(bytes_ / documents, self._seen_bytes / self._seen_documents)
        limits = (self._most_documents, GROWTH * documents, self._by_bytes(each), self._by_time())
        self.documents = max(1, math.floor(min(limits)))
        self.expected_bytes = math.ceil(each * self.documents)

    def _by_bytes(self, each: float) -> float:
        return self._most_bytes / each if each else math.inf

    def _by_time(self) -> float:
        """As many as the target time allows at the rate seen, beyond the round trip.

        The least time of a page is taken for the round trip. Without that, a server further away than the
        target would get smaller and smaller pages, none of them any faster.
        """
        if not self._seen_s:
            return math.inf
        return max(FIRST_PAGE_DOCUMENTS, self._target_s * self._seen_documents / self._seen_s)
