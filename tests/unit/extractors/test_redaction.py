"""Texts of documents are removed from messages."""

from __future__ import annotations

import html
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ExtractionError, Failure
from engine.extractors.redaction import MESSAGE_CHARS, QUOTED_CHARS, described, redact

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


@pytest.mark.parametrize(
    "message",
    [
        json.dumps({"error": json.dumps({"input": TEXT})}),
        html.escape(f"<p>{TEXT}</p>"),
        repr(json.dumps(TEXT)),
        f"{json.dumps(TEXT)[5:40]} is cut in the middle of an escape: {json.dumps(TEXT)[8:-9]}",
        TEXT.replace("ö", "&#246;"),
        f"{TEXT}{TEXT}",
    ],
)
def test_a_text_that_is_escaped_otherwise_is_taken_out(message):
    """JSON in JSON, HTML, or `repr` of JSON."""
    cleaned = redact(message, [TEXT])
    assert "[text]" in cleaned
    assert "Jane" not in cleaned
    assert "Miller" not in cleaned
    assert "live in" not in cleaned


@pytest.mark.parametrize(
    ("message", "cleaned"),
    [
        ("no \\ud83d\\ude00 for 'Ada'", "no \\ud83d\\ude00 for '[text]'"),
        ("no 'Ada' and no Adam", "no '[text]' and no Adam"),
        (r"no \"Köln\" here", r"no \"[text]\" here"),
        (r"no K\u00f6ln here", "no [text] here"),
        ("no K&ouml;ln here", "no [text] here"),
        (r"\ufffx \U99999999 \x", r"\ufffx \U99999999 \x"),
    ],
)
def test_short_texts_are_taken_out_as_whole_words(message, cleaned):
    """Also where they are escaped; and what only looks like an escape stays."""
    assert redact(message, ["Ada", "Köln"]) == cleaned


class Odd(Exception):
    """An exception that has what no error should have."""

    status, retry_after_s = "422", "soon"


def test_whatever_is_raised_can_be_stored_and_shown():
    """The message is one printable line of a bounded length, and the status a number."""
    told = described(Odd("a\nb\0\ud83d \x1b[31m" + "c" * 1000), [])
    assert str(told).startswith(r"Odd: a\nb\x00\ud83d \x1b[31mccc")
    assert len(str(told)) == MESSAGE_CHARS + 1
    assert (told.status, told.retry_after_s, told.failure) == (None, None, Failure.PERMANENT)
    assert told.reason == "the extractor raises Odd"


def test_the_engine_s_own_words_stay():
    """Only a message that may come from outside is compared with the texts."""
    own = ExtractionError("no answer within 30 s", reason="no answer in time")
    assert str(described(own, ["no answer within 30 s"])) == "no answer within 30 s"
    foreign = ExtractionError("no answer within 30 s")
    assert str(described(foreign, ["no answer within 30 s"])) == "[text]"
