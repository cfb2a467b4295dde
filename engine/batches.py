"""Cuts a page into batches: what is sent to the service, and what needs no sending. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.config import Settings
from engine.model import DeadLetter, Document, Extraction, hash_text
from engine.repeats import Repeat, Repeats, Sending
from engine.values import digest_of, identity


@dataclass(slots=True)
class Batch:
    """The texts of one request, and the documents around them that need none.

    Attributes:
        last: key values of the last document covered, in reading order; the next batch begins after it.
        read: documents covered.
        unchanged: of these, how many have a valid extraction already.
        digest: the sum of `digest_of` their `_id`s; `Counts` takes it modulo 2**128.
        documents, hashes: what waits for an outcome, side by side.
        texts, sending: what of it is sent; the same text once, `chars` in all.
        repeats: the documents whose text this batch or an earlier one sends.
        extractions: empty texts have no entities; nobody needs to be asked.
        dead_letters: documents whose text is none.
    """

    last: tuple[Any, ...] = ()
    read: int = 0
    unchanged: int = 0
    digest: int = 0
    chars: int = 0
    documents: list[Document] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    sending: Sending = field(default_factory=Sending)
    repeats: list[Repeat] = field(default_factory=list)
    extractions: list[Extraction] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)


def cut(
    page: Iterable[Document],
    known: Mapping[Any, str],
    settings: Settings,
    range_id: str,
    repeats: Repeats,
) -> Iterator[Batch]:
    """The page as batches of at most `batch_texts` texts and `batch_chars` characters, in reading order.

    Args:
        known: text hashes of valid extractions, by `identity` of the `_id`.
        repeats: what the range has sent so far; takes note of what is to be sent now.
    """
    batch = Batch()
    for document in page:
        text = document.text
        if text is None and settings.missing_text == "empty":
            text = ""
        if isinstance(text, str):
            if batch.texts and batch.chars + len(text) > settings.batch_chars:
                yield batch
                batch = Batch()
            _add(batch, document, text, known, repeats)
        else:
            batch.dead_letters.append(_no_text(document, settings, range_id))
        batch.last = document.values
        batch.read += 1
        batch.digest += digest_of(batch.last[-1])
        if len(batch.texts) == settings.batch_texts:
            yield batch
            batch = Batch()
    if batch.read:
        yield batch


def _add(batch: Batch, document: Document, text: str, known: Mapping[Any, str], repeats: Repeats) -> None:
    text_hash = hash_text(text)
    if known and known.get(identity(document.id)) == text_hash:
        batch.unchanged += 1
    elif not text:
        batch.extractions.append(Extraction(document.id, [], text_hash))
    else:
        earlier = repeats.earlier(text_hash, len(text), batch.sending)
        if earlier is None:
            batch.texts.append(text)
            batch.chars += len(text)
        else:
            batch.repeats.append(Repeat(len(batch.documents), text_hash, text, earlier))
        batch.documents.append(document)
        batch.hashes.append(text_hash)


def _no_text(document: Document, settings: Settings, range_id: str) -> DeadLetter:
    found = "is missing or null" if document.text is None else f"is of type {type(document.text).__name__}"
    hint = "; missing_text='empty' gives such documents no entities" if document.text is None else ""
    return DeadLetter(document.id, "invalid_text", f"field {settings.text_field!r} {found}{hint}", range_id)
