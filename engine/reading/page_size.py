"""Chooses the size of the next page from the documents, bytes and seconds of the pages before it. Pure."""

from __future__ import annotations

import math

FIRST_PAGE_DOCUMENTS = 64
"""The size of the first page. A slow fetch alone never makes a page smaller than this."""

GROWTH = 4
"""A page has at most this many times the documents of the page before: 64 become 1,024 in two steps."""

WEIGHT = 0.75
"""Each page reduces the weight of the pages before it to this share (Percona Toolkit, `WeightedAvgRate`).

Documents, bytes and seconds decay alike, so a page counts in each mean by its size.
"""


class PageSize:
    """Chooses the size of the next page from the pages seen so far.

    Attributes:
        documents: how many documents the next page asks for.
        expected_bytes: about how many bytes of text that is; 0 before the first page.
    """

    def __init__(self, most_documents: int, most_bytes: int, target_s: float) -> None:
        self._most_documents, self._most_bytes, self._target_s = most_documents, most_bytes, target_s
        self._seen_documents = self._seen_bytes = self._seen_s = 0.0
        self._least_s = math.inf
        self.documents = min(FIRST_PAGE_DOCUMENTS, most_documents)
        self.expected_bytes = 0

    def observe(self, documents: int, bytes_: int, elapsed_s: float) -> None:
        """Records a page: its documents (at least one), the bytes of its texts, the seconds of its fetch."""
        self._least_s = min(self._least_s, elapsed_s)
        self._seen_documents = WEIGHT * self._seen_documents + documents
        self._seen_bytes = WEIGHT * self._seen_bytes + bytes_
        self._seen_s = WEIGHT * self._seen_s + elapsed_s - self._least_s
        # Large documents count at once, or the next page would be too large; they are forgotten slowly.
        each = max(bytes_ / documents, self._seen_bytes / self._seen_documents)
        limits = (self._most_documents, GROWTH * documents, self._by_bytes(each), self._by_time())
        self.documents = max(1, math.floor(min(limits)))
        self.expected_bytes = math.ceil(each * self.documents)

    def _by_bytes(self, each: float) -> float:
        return self._most_bytes / each if each else math.inf

    def _by_time(self) -> float:
        """How many documents the target time allows at the measured rate, not counting the round trip.

        The shortest fetch is taken for the round trip. Otherwise a server whose round trip is longer than the
        target would be asked for smaller and smaller pages, and none of them would be faster.
        """
        if not self._seen_s:
            return math.inf
        return max(FIRST_PAGE_DOCUMENTS, self._target_s * self._seen_documents / self._seen_s)
