"""Cuts a page into batches: what is sent to the service, and what needs no sending. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.config import Settings
from engine.model import DeadLetter, Extraction, Page, hashes_of
from engine.repeats import Repeat, Repeats, Sending
from engine.values import digests_of, identity


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


def cut(
    page: Page, known: Mapping[Any, str], settings: Settings, range_id: str, repeats: Repeats
) -> Iterator[Batch]:
    """The page as batches of at most `batch_texts` texts and `batch_chars` characters, in reading order.

    Args:
        known: text hashes of valid extractions, by `identity` of the `_id`.
        repeats: what the range has sent so far; takes note of what is to be sent now.
    """
    texts = page.texts
    if settings.missing_text == "empty":
        texts = ["" if text is None else text for text in texts]
    digests = digests_of(page.ids)
    batch, begin = Batch(), 0

    def covering(end: int) -> Batch:
        """The batch, once it is known where it ends."""
        batch.last, batch.ends_page = page.values(end - 1), end == len(page)
        batch.read, batch.digest = end - begin, sum(digests[begin:end])
        return batch

    for at, (document_id, text, text_hash) in enumerate(zip(page.ids, texts, hashes_of(texts), strict=True)):
        if text_hash is None:
            batch.dead_letters.append(_no_text(document_id, text, settings, range_id))
        elif known and known.get(identity(document_id)) == text_hash:
            batch.unchanged += 1
        elif not text:
            batch.extractions.append(Extraction(document_id, (), text_hash))
        else:
            if batch.texts and batch.chars + len(text) > settings.batch_chars:
                yield covering(at)
                batch, begin = Batch(), at
            _add(batch, document_id, text, text_hash, repeats)
            if len(batch.texts) == settings.batch_texts:
                yield covering(at + 1)
                batch, begin = Batch(), at + 1
    if begin < len(page):
        yield covering(len(page))


def _add(batch: Batch, document_id: Any, text: str, text_hash: str, repeats: Repeats) -> None:
    earlier = repeats.earlier(text_hash, len(text), batch.sending)
    if earlier is None:
        batch.texts.append(text)
        batch.chars += len(text)
    else:
        batch.repeats.append(Repeat(len(batch.ids), text_hash, text, earlier))
    batch.ids.append(document_id)
    batch.hashes.append(text_hash)


def _no_text(document_id: Any, found: Any, settings: Settings, range_id: str) -> DeadLetter:
    what = "is missing or null" if found is None else f"is of type {type(found).__name__}"
    hint = "; missing_text='empty' gives such documents no entities" if found is None else ""
    return DeadLetter(document_id, "invalid_text", f"field {settings.text_field!r} {what}{hint}", range_id)
