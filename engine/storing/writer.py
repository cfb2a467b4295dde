"""The protocol of writers of results, and a writer of JSON lines."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bson import json_util

from engine.errors import WriteError
from engine.model import DeadLetter, Extraction


class Writer(Protocol):
    """Writes the results of a range. Up to `write_concurrency` writes run side by side."""

    async def known(self, ids: Sequence[Any]) -> Mapping[Any, str]:
        """The text hashes of stored extractions of the same extractor, by `lookup_key` of the `_id`."""
        ...

    async def write(
        self, extractions: Sequence[Extraction], dead_letters: Sequence[DeadLetter]
    ) -> frozenset[Any]:
        """Makes the results durable; returns the `lookup_key`s of those that were stored already, unchanged.

        Raises:
            Unstorable: some can never be stored, and become dead letters; all others are durable.
            WriteError: some could not be written, and the checkpoint must not move past them.
        """
        ...


class JsonLinesWriter:
    """Appends extractions to one file and dead letters to another, one JSON object a line.

    Each write is flushed to disk before it counts. There is no index: a range that is run again appends its
    lines again, and the last line of an `_id` is the valid one.

    Args:
        path: the file of extractions. The dead letters go to a file beside it, with the suffix
            `.dead_letters.jsonl`.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._dead_letters = self._path.with_suffix(".dead_letters.jsonl")
        self._one_at_a_time = asyncio.Lock()

    async def known(self, ids: Sequence[Any]) -> Mapping[Any, str]:  # noqa: ARG002
        """Always empty, because the files are never read."""
        return {}

    async def write(
        self, extractions: Sequence[Extraction], dead_letters: Sequence[DeadLetter]
    ) -> frozenset[Any]:
        """Appends one line for each extraction and each dead letter."""
        try:
            async with self._one_at_a_time:
                # Lines are made in the thread, too: one of many entities takes seconds.
                await asyncio.to_thread(_append, self._path, map(_extraction_line, extractions))
                await asyncio.to_thread(_append, self._dead_letters, map(_dead_letter_line, dead_letters))
        except OSError as error:
            raise WriteError(f"results could not be appended to {self._path}: {error}") from error
        return frozenset()


def _extraction_line(extraction: Extraction) -> str:
    entities = [entity._asdict() for entity in extraction.entities]
    return _line({"_id": extraction.document_id, "entities": entities, "text_hash": extraction.text_hash})


def _dead_letter_line(letter: DeadLetter) -> str:
    return _line({"_id": letter.document_id, **letter.to_document()})


def _line(record: dict[str, Any]) -> str:
    line = json_util.dumps(record, json_options=json_util.RELAXED_JSON_OPTIONS, ensure_ascii=False)
    try:
        line.encode()
    except UnicodeEncodeError:  # a service may answer with half of a surrogate pair
        return json_util.dumps(record, json_options=json_util.RELAXED_JSON_OPTIONS)
    return _LINE_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


_LINE_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029]")
"""Characters that JSON leaves as they are, and at which some programs end a line."""


def _append(path: Path, made: Iterable[str]) -> None:
    if lines := list(made):
        with path.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
