"""Removes texts from messages: a service may quote its input in an error, and texts are private."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

PLACEHOLDER = "[text]"

QUOTED_CHARS = 12
"""A substring of at least this length that a message shares with a text counts as a quotation of it."""


def redact(message: str, texts: Sequence[str]) -> str:
    """Returns the message without the texts, whether they are quoted plain or escaped, whole or cut."""
    for text in texts:
        for form in set(_forms(text)):
            # Whole words only, or a text of one letter would take that letter out of every word.
            message = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", PLACEHOLDER, message)
            message = _without_parts(message, form)
    return message


def _forms(text: str) -> Iterator[str]:
    if text.strip():
        yield text
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]


def _without_parts(message: str, form: str) -> str:
    while True:
        match = SequenceMatcher(None, message, form, autojunk=False).find_longest_match()
        if match.size < QUOTED_CHARS:
            return message
        message = message[: match.a] + PLACEHOLDER + message[match.a + match.size :]
