"""Cuts pages into batches, and sorts out the documents that need no request. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.calling.request_size import RequestSize
from engine.keys.bson_values import digests_of, lookup_key
from engine.keys.utf8 import problem_of
from engine.model import DeadLetter, Extraction, Page, Unreadable, hashes_of
from engine.running.deduplication import Repeat, SentTexts, SharedRequest


@dataclass(slots=True)
class Batch:
    """A contiguous run of documents: the texts of one request, and the documents that need no request.

    Attributes:
        last: key values of the last document in reading order; the next batch begins after it.
        ends_page: whether that document is the last one of its page.
        read: how many documents the batch covers.
        unchanged: how many of these have a valid extraction already.
        digest: the sum of the `digests_of` their `_id`s; `Counts` takes it modulo 2**128.
        chars: length of all `texts` together.
        ids, hashes: `_id` and text hash of each document that waits for an outcome, in reading order.
        texts, request: the texts to send, each of them once, and the request that will send them.
        repeats: the documents, of those that wait, whose text this batch or an earlier one sends already.
        extractions: of the documents with an empty text, which has no entities.
        dead_letters: of the documents whose text is missing, is not a string, or is not UTF-8.
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
    request: SharedRequest = field(default_factory=SharedRequest)
    repeats: list[Repeat] = field(default_factory=list)
    extractions: list[Extraction] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def add(self, document_id: Any, text: str, text_hash: str, sent_texts: SentTexts) -> None:
        """Adds a document that waits for an outcome; its text is sent unless a request sends it already."""
        earlier = sent_texts.find_or_add(text_hash, len(text), self.request)
        if earlier is None:
            self.texts.append(text)
            self.chars += len(text)
        else:
            self.repeats.append(Repeat(len(self.ids), text_hash, earlier))
        self.ids.append(document_id)
        self.hashes.append(text_hash)


class Batcher:
    """Cuts the pages of a range into batches of a size that the service takes.

    Args:
        text_field: the field of the texts, for messages.
        empty_if_missing: whether a document without a text has the text "" (`missing_text="empty"`).
        size: how large the batches may be.
        sent_texts: the texts that the range has sent so far; the batcher adds those that it cuts.
        spanning: whether a batch that is not full at the end of a page may be filled from the next page. A
            batch spans two pages at most.
        max_text_chars: longer texts are noted, because the service may read only their beginning.

    Attributes:
        notes: what the report has to say about the texts.
    """

    def __init__(
        self,
        range_id: str,
        size: RequestSize,
        sent_texts: SentTexts,
        *,
        text_field: str,
        empty_if_missing: bool = False,
        spanning: bool = True,
        max_text_chars: int | None = None,
    ) -> None:
        self.notes: tuple[str, ...] = ()
        self._max_text_chars = max_text_chars
        self._size = size
        self._range_id, self._sent_texts = range_id, sent_texts
        self._text_field, self._empty_if_missing = text_field, empty_if_missing
        self._spanning = spanning
        self._batch = Batch()

    def cut(self, page: Page, known: Mapping[Any, str]) -> Iterator[Batch]:
        """Yields the batches that are full, in reading order; keeps the rest for the next page or `flush`.

        Args:
            known: text hashes of the valid extractions, by `lookup_key` of the `_id`.
        """
        texts, digests, begin = self._texts(page), digests_of(page.ids), 0
        carried = self._batch if self._batch.read else None
        most_texts, most_chars = self._size.next_cut()
        hashes = hashes_of(texts)
        if self._max_text_chars is not None and not self.notes:
            self._look_for_long(texts, hashes, self._max_text_chars)
        rows = zip(page.ids, texts, hashes, strict=True)
        for at, (document_id, text, text_hash) in enumerate(rows):
            batch = self._batch
            if text_hash is None:
                batch.dead_letters.append(_no_text(document_id, text, self._text_field, self._range_id))
            elif known and known.get(lookup_key(document_id)) == text_hash:
                batch.unchanged += 1
            elif not text:
                batch.extractions.append(Extraction(document_id, (), text_hash))
            else:
                if batch.texts and batch.chars + len(text) > most_chars:
                    yield self._finished(page, begin, at, digests)
                    batch, begin = self._batch, at
                    most_texts, most_chars = self._size.next_cut()
                batch.add(document_id, text, text_hash, self._sent_texts)
                if len(batch.texts) >= most_texts:
                    yield self._finished(page, begin, at + 1, digests)
                    begin = at + 1
                    most_texts, most_chars = self._size.next_cut()
        if begin < len(page):
            batch = self._finished(page, begin, len(page), digests)
            if self._spanning and batch.texts and batch is not carried:
                self._batch = batch
            else:
                yield batch

    def flush(self) -> Batch | None:
        """Returns the documents that the last page left over; None if there are none."""
        batch, self._batch = self._batch, Batch()
        return batch if batch.read else None

    def _look_for_long(self, texts: Sequence[Any], hashes: Sequence[str | None], most: int) -> None:
        """Notes texts that the service may not read to their end. What has no hash is no text."""
        if any(text_hash and len(text) > most for text, text_hash in zip(texts, hashes, strict=True)):
            note = (
                f"texts of more than {most:,} characters (max_text_chars) are possibly truncated: the "
                "service may read only their beginning, and find nothing in the rest"
            )
            self.notes = (note,)

    def _texts(self, page: Page) -> Sequence[Any]:
        if self._empty_if_missing:
            return ["" if text is None else text for text in page.texts]
        return page.texts

    def _finished(self, page: Page, begin: int, end: int, digests: Sequence[int]) -> Batch:
        """Adds `page[begin:end]` to what the batch covers, and starts the next batch."""
        batch, self._batch = self._batch, Batch()
        if end > begin:  # otherwise it holds only documents of the page before
            batch.last, batch.ends_page = page.values(end - 1), end == len(page)
        batch.read += end - begin
        batch.digest += sum(digests[begin:end])
        return batch


def _no_text(document_id: Any, found: Any, text_field: str, range_id: str) -> DeadLetter:
    problem = "is missing or null" if found is None else f"is of type {type(found).__name__}"
    if isinstance(found, Unreadable):
        problem = found.problem
    elif isinstance(found, str):
        problem = problem_of(found) or problem
    hint = "; missing_text='empty' gives such documents no entities" if found is None else ""
    message, reason = f"field {text_field!r} {problem}{hint}", f"field {text_field!r} {problem.split(':')[0]}"
    return DeadLetter(document_id, "invalid_text", message, range_id, reason=reason)
