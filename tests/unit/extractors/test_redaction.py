"""Texts of documents are removed from messages."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.extractors.redaction import QUOTED_CHARS, redact

TEXT = 'My name is "Jane Miller" and I live in Köln 👍'


@pytest.mark.parametrize(
    "message",
    [
        f"input: {TEXT}",
        json.dumps({"detail": [{"input": TEXT}]}),
        json.dumps({"detail": TEXT}, ensure_ascii=False),
        repr(TEXT),
        f"truncated: {TEXT[:25]}",
        f"KeyError: {TEXT[10:]}...",
    ],
)
def test_a_quoted_text_is_taken_out(message):
    """It may be quoted unchanged, escaped, or cut short."""
    cleaned = redact(message, ["another text", TEXT])
    assert "Jane" not in cleaned
    assert "[text]" in cleaned


def test_the_rest_of_the_message_stays():
    """A short text removes no letters from other words."""
    assert redact("HTTP 422: bad value 'a' at offset 5", ["a"]) == "HTTP 422: bad value '[text]' at offset 5"
    assert redact("HTTP 500: out of memory", ["unrelated words", " ", ""]) == "HTTP 500: out of memory"


@given(st.text(min_size=QUOTED_CHARS), st.text(), st.text())
def test_no_long_stretch_of_a_text_is_left(text, before, after):
    """No long part of the text is left, whatever surrounds it."""
    cleaned = redact(f"{before} {text} {after}", [text])
    if text.strip() and "[text]" not in text:
        stretches = {text[at : at + QUOTED_CHARS] for at in range(len(text) - QUOTED_CHARS + 1)}
        assert not [stretch for stretch in stretches if stretch in cleaned.replace("[text]", "\x00")]
