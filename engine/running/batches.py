"""Cuts pages into batches: what is sent to the service, and what needs no sending. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.keys.bson_values import digests_of, identity
from engine.model import DeadLetter, Extraction, Page, hashes_of
from engine.running.deduplication import Repeat, Repeats, Sending
from engine.settings import Settings


@dataclass(slots=True)
class Batch:
    """The texts of one request, and the documents around them that need none.

    Attributes:
        last: key values of the last document covered, in reading order; the next batch begins after it.
        ends_page: whether that is the last one of its page.
        read: documents covered.
        unchanged: of these, how many have a valid extraction already.
        digest: the sum of the `digests_of` its `_id`s; `Counts` takes it modulo 2**128.
        ids, hashes: of the documents that wait for an outcome, side by side.
        texts, sending: what of their texts is sent; the same text once, `chars` in all.
        repeats: those of them whose text this batch or an earlier one sends.
        extractions: empty texts have no entities; nobody needs to be asked.
        dead_letters: documents whose text is none.
    """

    last: tuple[Any, ...] = ()
    ends_page: bool = False
    read: int = 0
    unchanged: int = 0
    digest: int = 0
    chars: int = 0
    ids: list[Any] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sending: Sending = field(default_factory=Sending)
    repeats: list[Repeat] = field(default_factory=list)
    extractions: list[Extraction] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def add(self, document_id: Any, text: str, text_hash: str, repeats: Repeats) -> None:
        """One document more that waits for an outcome."""
        earlier = repeats.earlier(text_hash, len(text), self.sending)
        if earlier is None:
            self.texts.append(text)
            self.chars += len(text)
        else:
            self.repeats.append(Repeat(len(self.ids), text_hash, text, earlier))
        self.ids.append(document_id)
        self.hashes.append(text_hash)


class Cutter:
    """Cuts the pages of a range into batches of at most `batch_texts` texts and `batch_chars` characters.

    Args:
        repeats: what the range has sent so far; takes note of what is to be sent now.
        spanning: whether a batch that is not full at the end of a page is filled from the next one, once.
    """

    def __init__(self, settings: Settings, range_id: str, repeats: Repeats, *, spanning: bool = True) -> None:
        self._settings, self._range_id, self._repeats = settings, range_id, repeats
        self._spanning = spanning
        self._batch = Batch()

    def cut(self, page: Page, known: Mapping[Any, str]) -> Iterator[Batch]:
        """The batches that are full, in reading order; the rest is kept for the next page, or for `rest`.

        Args:
            known: text hashes of valid extractions, by `identity` of the `_id`.
        """
        texts, digests, begin = self._texts(page), digests_of(page.ids), 0
        carried = self._batch if self._batch.read else None
        most_texts, most_chars = self._settings.batch_texts, self._settings.batch_chars
        rows = zip(page.ids, texts, hashes_of(texts), strict=True)
        for at, (document_id, text, text_hash) in enumerate(rows):
            batch = self._batch
            if text_hash is None:
                batch.dead_letters.append(_no_text(document_id, text, self._settings, self._range_id))
            elif known and known.get(identity(document_id)) == text_hash:
                batch.unchanged += 1
            elif not text:
                batch.extractions.append(Extraction(document_id, (), text_hash))
            else:
                if batch.texts and batch.chars + len(text) > most_chars:
                    yield self._ended(page, begin, at, digests)
                    batch, begin = self._batch, at
                batch.add(document_id, text, text_hash, self._repeats)
                if len(batch.texts) == most_texts:
                    yield self._ended(page, begin, at + 1, digests)
                    begin = at + 1
        if begin < len(page):
            batch = self._ended(page, begin, len(page), digests)
            if self._spanning and batch.texts and batch is not carried:
                self._batch = batch
            else:
                yield batch

    def rest(self) -> Batch | None:
        """What the last page left; None if that is nothing."""
        batch, self._batch = self._batch, Batch()
        return batch if batch.read else None

    def _texts(self, page: Page) -> Sequence[Any]:
        if self._settings.missing_text == "empty":
            return ["" if text is None else text for text in page.texts]
        return page.texts

    def _ended(self, page: Page, begin: int, end: int, digests: Sequence[int]) -> Batch:
        """The batch, once it is known which documents of the page it covers; the next one begins."""
        batch, self._batch = self._batch, Batch()
        if end > begin:  # else it was carried here, and nothing of this page is in it
            batch.last, batch.ends_page = page.values(end - 1), end == len(page)
        batch.read += end - begin
        batch.digest += sum(digests[begin:end])
        return batch


def _no_text(document_id: Any, found: Any, settings: Settings, range_id: str) -> DeadLetter:
    what = "is missing or null" if found is None else f"is of type {type(found).__name__}"
    hint = "; missing_text='empty' gives such documents no entities" if found is None else ""
    return DeadLetter(document_id, "invalid_text", f"field {settings.text_field!r} {what}{hint}", range_id)
