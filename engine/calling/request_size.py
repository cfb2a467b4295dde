"""How large a request the service takes: learnt from the requests that it refuses.

Many services take at most so many texts a request, or so many characters, and refuse more with 413, 422 or
400. A larger request is refused as a whole then, while its parts pass. Once that was seen, requests are cut
at what passes, and the bound between what passes and what is refused is searched for, one request at a time:

    unknown --a whole is refused, its parts pass--> searching --the bound is exact enough--> found
    found --after AGAIN_S--> searching: something larger is tried once more

A request that is refused for one bad text teaches nothing, because then not all of its parts pass.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.observing.events import Events

AGAIN_S = 300.0
"""Seconds until something larger is tried again, because a service may be restarted with other limits."""

TRIAL_EVERY = 32
"""While the bound is searched for, one batch is cut larger than what passes when the trial before it has
ended, or after so many batches: some batches end up smaller than they were cut, and then try nothing."""

CHARS_PRECISION = 1.125
"""The bound of characters is found when what is refused is at most so many times what passes."""


@dataclass(slots=True)
class Bound:
    """What is known of one measure of requests: of their texts, or of their characters.

    Attributes:
        precision: the bound is found when `refused` is at most this factor, or one, above `passes`.
        passes: the most that has passed.
        refused: the least that was refused while its parts passed; infinite if that was never seen.
        doubted: the size of a request that was refused although as much had passed before. One is chance; a
            second one, with none of that size passing between them, is a new bound.
    """

    precision: float = 1.0
    passes: int = 0
    refused: float = math.inf
    doubted: float = math.inf

    @property
    def known(self) -> bool:
        """Whether the service has refused a request for its size."""
        return self.refused < math.inf

    @property
    def found(self) -> bool:
        """Whether the bound is known exactly enough."""
        return self.known and self.refused <= max(self.passes + 1, self.precision * self.passes)

    @property
    def allowed(self) -> float:
        """The most that may be sent without a trial."""
        return self.passes if self.known else math.inf

    @property
    def trial(self) -> float:
        """The most that is worth a trial: the middle between what passes and what is refused."""
        return (self.passes + int(self.refused)) // 2 if self.known and not self.found else self.allowed

    def passed(self, size: int) -> bool:
        """Records a request that passed; returns whether it was the largest so far."""
        if size >= self.doubted:
            self.doubted = math.inf
        if size <= self.passes:
            return False
        self.passes = size
        if size >= self.refused:
            self.refused = math.inf
        return True

    def refuse(self, size: int, largest_part: int) -> None:
        """Records a request that was refused although its parts passed."""
        if size <= self.passes:
            if self.doubted == math.inf:
                self.doubted = size
                return
            self.passes, self.doubted = largest_part, math.inf
        self.refused = min(self.refused, size)

    def reopen(self) -> None:
        """Takes what was refused for possible again, up to twice of what passes."""
        if self.known:
            self.refused = 2 * self.passes + 1


class RequestSize:
    """Says how large requests may be, and learns it from what becomes of them.

    Attributes:
        search: held while a size is tried that has not passed yet, so that one request at a time finds out.
        notes: what the service takes and which setting would spare the search, by that setting.

    Args:
        most_texts: texts a request at most, whatever the service takes.
        most_chars: characters a request at most; a single text may have more.
        clock: monotonic, seconds.
    """

    def __init__(
        self,
        most_texts: int,
        most_chars: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        events: Events | None = None,
    ) -> None:
        self.search = asyncio.Lock()
        self.notes: dict[str, str] = {}
        self._most_texts, self._most_chars = most_texts, most_chars
        self._texts, self._chars = Bound(), Bound(CHARS_PRECISION)
        self._clock, self._events = clock, events or Events()
        self._again_at = math.inf
        self._tried, self._cut_since_trial, self._cut_in_doubt = (math.inf, math.inf), 0, 0

    @property
    def in_doubt(self) -> bool:
        """Whether the next requests may turn out too large, or smaller than they need to be.

        It is so until a request of several texts has passed, and in the first search for a bound. Not all
        texts let these end, so it is so for `TRIAL_EVERY` batches at most.
        """
        searching = self._known and not self.notes
        unproven = self._texts.passes < min(2, self._most_texts)
        return (searching or unproven) and self._cut_in_doubt < TRIAL_EVERY

    @property
    def _known(self) -> bool:
        return self._texts.known or self._chars.known

    def next_cut(self) -> tuple[int, int]:
        """Texts and characters that the next batch is cut at."""
        if self._clock() >= self._again_at:
            self._again_at = self._clock() + AGAIN_S
            self._texts.reopen()
            self._chars.reopen()
        texts, chars = self._texts.allowed, self._chars.allowed
        trial = self._texts.trial, self._chars.trial
        self._cut_in_doubt += self.in_doubt
        self._cut_since_trial += 1
        due = trial != self._tried or self._cut_since_trial >= TRIAL_EVERY
        if due and not self.search.locked():
            self._tried, self._cut_since_trial = trial, 0
            texts, chars = trial
        return int(min(self._most_texts, max(1, texts))), int(min(self._most_chars, max(1, chars)))

    def fitting(self, texts: Sequence[str], *, searching: bool = False) -> int:
        """How many of these texts, from the first one, go into one request; at least one.

        They are more than what has passed if nothing was refused yet, or if no other request is a trial now.

        Args:
            searching: whether the caller holds `search`.
        """
        if not self._known:
            return len(texts)
        free = searching or not self.search.locked()
        most_texts = self._texts.trial if free else self._texts.allowed
        most_chars = self._chars.trial if free else self._chars.allowed
        count = chars = 0
        for text in texts:
            chars += len(text)
            if count >= most_texts or chars > most_chars:
                break
            count += 1
        return max(1, count)

    def proven(self, texts: Sequence[str]) -> bool:
        """Whether a request as large as this one has passed, both by its texts and by its characters."""
        return len(texts) <= self._texts.passes and _chars(texts) <= self._chars.passes

    def halves_proven(self, texts: Sequence[str]) -> bool:
        """Whether requests as large as its halves have passed, but none as large as the whole."""
        middle = (len(texts) + 1) // 2
        return not self.proven(texts) and self.proven(texts[:middle]) and self.proven(texts[middle:])

    def needs_search(self, texts: Sequence[str]) -> bool:
        """Whether a request with these texts is a trial, of which there is one at a time."""
        doubtful = self._known or self.search.locked()
        return doubtful and len(texts) > 1 and not self.proven(texts)

    def passed(self, texts: Sequence[str]) -> None:
        """Records a request that the service has answered."""
        larger = self._texts.passed(len(texts)), self._chars.passed(_chars(texts))
        if any(larger):
            self._tell()

    def refused(self, texts: Sequence[str], largest_part: Sequence[str]) -> None:
        """Records a request that was refused for good, while each of its parts passed.

        The number of texts is to blame if so many have never passed; otherwise their characters are, if those
        have never passed.
        """
        if len(texts) <= self._texts.passes and _chars(texts) > self._chars.passes:
            self._chars.refuse(_chars(texts), _chars(largest_part))
        else:
            self._texts.refuse(len(texts), len(largest_part))
        self._tell()

    def _tell(self) -> None:
        """Says what the service takes as soon as that is found, once for each bound."""
        measures = (("batch_texts", self._texts, "texts"), ("batch_chars", self._chars, "characters"))
        for setting, bound, noun in measures:
            if not bound.known:
                self.notes.pop(setting, None)
            if not bound.found:
                continue
            self._again_at = self._clock() + AGAIN_S
            note = f"the service takes at most {bound.passes} {noun} a request; set {setting}={bound.passes}"
            if self.notes.get(setting) != note:
                self.notes[setting] = note
                self._events.warning("request_size_learnt", advice=note)


def _chars(texts: Sequence[str]) -> int:
    return sum(map(len, texts))
