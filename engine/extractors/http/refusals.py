"""Reads what a refusal says is wrong, in which the phrases of a format are looked for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from engine.extractors.formats import Format
from engine.extractors.http.json_bodies import decoded
from engine.extractors.redaction import redact

SAID_CHARS, SAID_BYTES, SAID_DEPTH = 2000, 1 << 20, 8
"""How much of what a service says is wrong is looked at; of a body that is larger, the beginning as it is."""


def words_of(shape: Format, texts: Sequence[str], body: bytes, charset: str | None) -> str:
    """Returns what the service says is wrong, without texts that hold a phrase of its format.

    A text may hold a phrase, too, and the body may quote it. Therefore only the fields of JSON count that
    hold errors, and texts that hold a phrase are taken out.
    """
    phrases = (*shape.refusals, *shape.throttles)
    if not phrases:
        return ""
    try:
        found = decoded(body, charset) if len(body) <= SAID_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if found is None:
        told = body[:SAID_CHARS].decode(charset or "utf-8", "replace")
    else:
        told = "\n".join(_errors(shape, found))[:SAID_CHARS]
    return redact(told, [text for text in texts if any(phrase in text for phrase in phrases)])


def _errors(shape: Format, found: Any, depth: int = SAID_DEPTH) -> Iterator[str]:
    """Yields the strings in the fields of an error body that hold errors."""
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict) and depth:
        for name, value in found.items():
            if name.lower().replace("_", "").replace("-", "") in shape.error_fields:
                yield from _errors(shape, value, depth - 1)
    elif isinstance(found, list) and depth:
        for value in found:
            yield from _errors(shape, value, depth - 1)
