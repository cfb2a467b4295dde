"""Sends a text that occurs several times in a range only once; every document that has it shares the answer.

The first batch that holds a text sends it. Later batches find that request by the text's hash and take its
answer, or wait for it. If the request fails, the batches that wait for it fail with the same error.

Batches never wait for each other in a circle: a batch waits only for batches that were cut before it, which
are therefore sent before it, and only after it has sent its own texts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

Extract: TypeAlias = Callable[[Sequence[str]], Awaitable[list[Any]]]
"""Sends texts to the service; returns the outcome of each: its entities, or a `Refusal`."""


class SharedRequest:
    """The request that sends a batch's texts, and the answer to it, which other batches may use too.

    Attributes:
        hashes: the hash of each text, in the order of the texts; None for a text whose answer is not kept.
    """

    __slots__ = ("_ended", "_error", "_outcomes", "hashes")

    def __init__(self, hashes: Sequence[str | None] = ()) -> None:
        self.hashes = list(hashes)
        self._outcomes: Sequence[Any] | None = None
        self._error: BaseException | None = None
        self._ended: asyncio.Event | None = None  # created by the first batch that waits

    def succeed(self, outcomes: Sequence[Any]) -> None:
        """Keeps the outcomes of the texts that have a hash, and wakes the batches that wait."""
        if None in self.hashes:
            pairs = zip(self.hashes, outcomes, strict=True)
            outcomes = [None if text_hash is None else outcome for text_hash, outcome in pairs]
        self._outcomes = outcomes
        self._wake()

    def fail(self, error: BaseException) -> None:
        """Makes the batches that wait for this request raise its error."""
        self._error = error
        self._wake()

    async def outcome_of(self, text_hash: str) -> Any:
        """Returns the outcome of one text; waits for the request to end.

        Raises:
            BaseException: the error with which the request failed.
        """
        if self._outcomes is None and self._error is None:
            self._ended = self._ended or asyncio.Event()
            await self._ended.wait()
        if self._error is not None:
            raise self._error
        return (self._outcomes or ())[self.hashes.index(text_hash)]

    def reduced_to(self, text_hash: str) -> SharedRequest:
        """Returns a copy that holds the outcome of this text alone; the request itself if it has not ended.

        With it, a text that is used again and again does not keep the outcomes of its whole batch in memory.
        """
        if self._outcomes is None:
            return self
        reduced = SharedRequest([text_hash])
        reduced._outcomes = [self._outcomes[self.hashes.index(text_hash)]]
        return reduced

    def _wake(self) -> None:
        if self._ended is not None:
            self._ended.set()


MOST_CHARS = 1_000_000
"""Characters of the texts whose answers `SentTexts` keeps, at most. Answers grow with their texts: this
bounds them to some megabytes a range where texts are long. 4,096 texts of 244 characters fit into it."""


class SentTexts:
    """A cache of the texts that a range has sent lately: from a text's hash to the request that sends it.

    The cache has two generations, each with half of the room. New texts go into the younger one, and so do
    texts that are found in the older one. When the younger one is full, it becomes the older one, and the
    older one is dropped. So the last `repeat_cache_texts / 2` texts that were used are always found. Keeping
    the exact order of use instead would take three times as long for each text.
    """

    def __init__(self, most_texts: int, most_chars: int = MOST_CHARS) -> None:
        self._most_texts, self._most_chars = most_texts // 2, most_chars // 2
        self._young: dict[str, SharedRequest] = {}
        self._old: dict[str, SharedRequest] = {}
        self._chars = 0

    def find_or_add(self, text_hash: str, chars: int, request: SharedRequest) -> SharedRequest | None:
        """Returns the request that sends this text already; if there is none, adds the text to `request`."""
        found = self._young.get(text_hash)
        if found is not None:
            return found
        found = self._old.get(text_hash)
        kept = self._make_room(chars)
        if kept:
            self._young[text_hash] = request if found is None else found.reduced_to(text_hash)
            self._chars += chars
        if found is None:
            request.hashes.append(text_hash if kept else None)
        return found

    def _make_room(self, chars: int) -> bool:
        """Drops the older generation if the younger one is full; returns whether the text fits now."""
        if len(self._young) < self._most_texts and self._chars + chars <= self._most_chars:
            return True
        if not self._most_texts or chars > self._most_chars:
            return False
        self._old, self._young, self._chars = self._young, {}, 0
        return True


class Repeat(NamedTuple):
    """A document of a batch whose text was sent before.

    Attributes:
        position: index among the batch's documents that wait for an outcome.
        request: the request that sends its text.
    """

    position: int
    text_hash: str
    request: SharedRequest


async def outcomes_of(
    texts: Sequence[str], request: SharedRequest, repeats: Sequence[Repeat], extract: Extract
) -> list[Any]:
    """Sends a batch's texts; returns the outcomes of all its documents, repeats included, in their order.

    Args:
        texts: the texts that this batch sends, one for each hash of `request`.
        repeats: the batch's other documents, in ascending position.

    Raises:
        Exception: what `extract` raised, for this batch or for one whose answer this batch shares.
    """
    outcomes = await _send(texts, request, extract)
    if not repeats:
        return outcomes
    outcomes = list(outcomes)
    for repeat in repeats:
        outcomes.insert(repeat.position, await repeat.request.outcome_of(repeat.text_hash))
    return outcomes


async def _send(texts: Sequence[str], request: SharedRequest, extract: Extract) -> list[Any]:
    try:
        outcomes = await extract(texts) if texts else []
    except BaseException as error:
        request.fail(error)
        raise
    request.succeed(outcomes)
    return outcomes
