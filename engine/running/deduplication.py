"""Texts that come again within a range: each is sent once, and its answer serves every document that has it.

The first batch that has a text sends it. Later ones find that it was sent, and take its answer or wait for
it: only for batches cut before theirs, hence taken up before theirs, and not before they have sent what is
theirs. So nobody waits in a circle. If the batch that sends it fails or is cancelled, the first of those who
wait sends the text itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from engine.settings import Settings

Extract: TypeAlias = Callable[[Sequence[str]], Awaitable[list[Any]]]
"""Texts to what became of each: its entities, or a refusal that stands for them."""


class Sending:
    """The texts that one batch sends, and what became of them.

    Attributes:
        hashes: of its texts, in their order; None for one whose answer is not kept.
        heirs: who sends a text, by its hash, after this has ended without an answer.
    """

    __slots__ = ("_ended", "_outcomes", "_over", "hashes", "heirs")

    def __init__(self, hashes: Sequence[str | None] = ()) -> None:
        self.hashes = list(hashes)
        self.heirs: dict[str, Sending] = {}
        self._outcomes: Sequence[Any] | None = None
        self._over = False
        self._ended: asyncio.Event | None = None

    @property
    def answered(self) -> bool:
        """Whether the answer is here."""
        return self._outcomes is not None

    def settle(self, outcomes: Sequence[Any]) -> None:
        """Takes the answer; keeps of it what may be asked for."""
        if None in self.hashes:
            pairs = zip(self.hashes, outcomes, strict=True)
            outcomes = [None if text_hash is None else outcome for text_hash, outcome in pairs]
        self._outcomes = outcomes

    def end(self) -> None:
        """Lets those go on who wait, for an answer is here or will not come."""
        self._over = True
        if self._ended is not None:
            self._ended.set()

    async def ended(self) -> None:
        """Waits for the end."""
        if not self._over:
            self._ended = self._ended or asyncio.Event()
            await self._ended.wait()

    def outcome_of(self, text_hash: str) -> Any:
        """What became of one text, once that is here."""
        return (self._outcomes or ())[self.hashes.index(text_hash)]

    def alone(self, text_hash: str) -> Sending:
        """The same for one text, without the others of its batch; itself as long as it has no answer."""
        if self._outcomes is None:
            return self
        one = Sending([text_hash])
        one._outcomes, one._over = [self.outcome_of(text_hash)], True
        return one


class Repeats:
    """What a range has sent lately, by the hashes of the texts.

    Two generations, each with half of the room: new texts go into the younger, and so do those found in the
    older; when the younger is full it becomes the older, and that one is forgotten. What was used among the
    last `repeat_cache_texts / 2` is always found. Keeping the exact order of use would cost three times the
    time at each text.
    """

    def __init__(self, settings: Settings) -> None:
        self._most_texts = settings.repeat_cache_texts // 2
        self._most_chars = settings.repeat_cache_chars // 2
        self._young: dict[str, Sending] = {}
        self._old: dict[str, Sending] = {}
        self._chars = 0

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    def earlier(self, text_hash: str, chars: int, sending: Sending) -> Sending | None:
        """Who has sent this text; None if nobody has: then it is one more of `sending`."""
        found = self._young.get(text_hash)
        if found is not None:
            return found
        found = self._old.get(text_hash)
        kept = self._make_room(chars)
        if kept:
            self._young[text_hash] = sending if found is None else found.alone(text_hash)
            self._chars += chars
        if found is None:
            sending.hashes.append(text_hash if kept else None)
        return found

    def _make_room(self, chars: int) -> bool:
        """Whether there is room for one more text."""
        if len(self._young) < self._most_texts and self._chars + chars <= self._most_chars:
            return True
        if not self._most_texts or chars > self._most_chars:
            return False
        self._old, self._young, self._chars = self._young, {}, 0
        return True


class Repeat(NamedTuple):
    """A document of a batch whose text was sent before.

    Attributes:
        position: among the documents of the batch that wait for an outcome.
        sending: who has sent its text.
    """

    position: int
    text_hash: str
    text: str
    sending: Sending


async def outcomes_of(
    texts: Sequence[str], sending: Sending, repeats: Sequence[Repeat], extract: Extract
) -> list[Any]:
    """What became of the texts of a batch's documents, in the order of these.

    Args:
        texts: those that the batch sends, one for each hash of `sending`.
        repeats: its other documents, in ascending position.

    Raises:
        Exception: what `extract` raised; these texts are left to those who wait for them.
    """
    outcomes = await _send(texts, sending, extract)
    if not repeats:
        return outcomes
    outcomes = list(outcomes)
    for repeat in repeats:
        outcomes.insert(repeat.position, await _outcome_of(repeat, extract))
    return outcomes


async def _send(texts: Sequence[str], sending: Sending, extract: Extract) -> list[Any]:
    try:
        outcomes = await extract(texts) if texts else []
        sending.settle(outcomes)
    finally:
        sending.end()
    return outcomes


async def _outcome_of(repeat: Repeat, extract: Extract) -> Any:
    """Waits for the answer; sends the text itself if its sending has ended without one and has no heir."""
    sending = repeat.sending
    while True:
        await sending.ended()
        if sending.answered:
            return sending.outcome_of(repeat.text_hash)
        heir = sending.heirs.get(repeat.text_hash)
        if heir is None:
            heir = sending.heirs[repeat.text_hash] = Sending([repeat.text_hash])
            await _send([repeat.text], heir, extract)
        sending = heir
