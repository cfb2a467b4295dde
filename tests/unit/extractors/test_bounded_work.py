"""No function that sees a text stops the process: what is done step by step does not grow with the text.

Steps are counted, not timed: lines that Python executes and functions that it calls. What a single call of
the standard library does to a text is as fast as copying it.
"""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from yarl import URL

from engine import Entity
from engine.extractors import redaction
from engine.extractors.answer_check import alike, check_answer
from engine.extractors.formats import FORMATS, body_of, entities_of
from engine.extractors.http.answers import AnswerReader
from engine.extractors.offsets import OffsetUnit, to_code_points
from engine.extractors.redaction import QUOTED_CHARS, described, redact
from engine.keys.utf8 import problem_of
from engine.model import hash_text, hashes_of

SMALL, LARGE = 50_000, 3_000_000
WORDS = 'Ada Lovelace said "hello" 😀 to Köln.\n'


def text_of(chars):
    """A text of so many characters, with an entity at its end, in which no two lines are equal."""
    lines = (f"{number} {WORDS}" for number in range(chars))
    parts, size = [], 0
    while size < chars - 5:
        parts.append(next(lines))
        size += len(parts[-1])
    return "".join(parts)[: chars - 5] + "Paris"


TEXTS = {size: text_of(size) for size in (SMALL, LARGE)}


def steps(function, *arguments, **options):
    """How many lines a call executes, and how many functions it calls."""
    counted = Counter()

    def trace(_frame, event, _argument):
        counted[event] += 1
        return trace

    def profile(_frame, event, _argument):
        counted[event] += 1

    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        function(*arguments, **options)
    finally:
        sys.settrace(None)
        sys.setprofile(None)
    return counted.total()


class Response:
    """A refusal."""

    status, headers = 422, {}


def last(text, unit=str):
    """The entity at the end of a text, with offsets in a unit of UTF-16 or UTF-8, or in code points."""
    size = {"utf-16-le": 2, "utf-8": 1}
    end = len(text) if unit is str else len(text.encode(unit)) // size[unit]
    return Entity(end - 5, end, "CITY", "Paris")


def refused(name, body):
    """A function that classifies a refusal which quotes the text."""
    reader = AnswerReader(FORMATS[name], URL("http://ner/"), ())
    return lambda text: reader.refusal_of([text], Response(), body(text).encode())


SEEING = {
    "redact a quotation": lambda text: redact(f"cannot read {text[1000:1200]!r}", [text]),
    "redact a whole text": lambda text: redact(f"cannot read {text}", [text]),
    "redact escapes": lambda text: redact("a\\n\\u00f6&amp;" * 50, [text, text]),
    "redact nothing": lambda text: redact("x" * 1000, [text]),
    "redact a long text and short ones": lambda text: redact(
        "a b c" * 50, [text, *(str(n) for n in range(99))]
    ),
    "describe an error": lambda text: described(ValueError(text), [text]),
    "classify a page": refused("huggingface", lambda text: "is currently loading" + text[:3000]),
    "classify a quotation": refused(
        "presidio", lambda text: f'{{"error": "No text provided: {text[:500]}"}}'
    ),
    "check an answer": lambda text: check_answer([text], [[last(text)]]),
    "compare an entity": lambda text: alike("paris", text, len(text) - 5, len(text)),
    "compare a long entity": lambda text: alike(text[2:], text, 2, len(text)),
    "convert UTF-16": lambda text: to_code_points(
        text, [last(text, "utf-16-le")], OffsetUnit.UTF16, surface=False
    ),
    "convert UTF-8": lambda text: to_code_points(text, [last(text, "utf-8")], OffsetUnit.UTF8, surface=False),
    "convert nothing": lambda text: to_code_points(text, [last(text)], OffsetUnit.CODE_POINTS, surface=False),
    "write requests": lambda text: [body_of(shape, [text], {}) for shape in FORMATS.values()],
    "read an answer": lambda text: entities_of(
        FORMATS["native"], OffsetUnit.CODE_POINTS, [text], {"results": [[last(text)._asdict()]]}
    ),
    "hash": lambda text: (hash_text(text), hashes_of([text, None])),
    "look for bytes": problem_of,
}


@pytest.mark.parametrize("name", SEEING)
def test_a_text_of_3_mb_takes_as_few_steps_as_one_of_50_kb(name):
    """Those of a loop over its characters, or of difflib, would be sixty times as many."""
    see = SEEING[name]
    for text in TEXTS.values():
        see(text)  # what is imported and compiled at the first call does not count
    assert steps(see, TEXTS[LARGE]) <= 1.2 * steps(see, TEXTS[SMALL]) + 200


@pytest.mark.parametrize(
    "sizes", [[3_000_000], [16 << 20], [50_000] * 100, [3] * 10_000, [100_000, 5, 500_000]]
)
def test_what_is_compared_is_bounded(monkeypatch, sizes):
    """Windows times characters, which no trace counts, is bounded however long texts and message are."""
    looked = []
    quoted = redaction._quoted

    def counted(message, text):
        looked.append(max(0, len(message) - QUOTED_CHARS) * len(text))
        return quoted(message, text)

    monkeypatch.setattr(redaction, "_quoted", counted)
    redact("a message \\n with an escape " * 10_000, ["t" * size for size in sizes])
    assert sum(looked) <= 3 * redaction.WORK_CHARS


@pytest.mark.parametrize("size", [100_000, 3_000_000, 16 << 20])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_quotation_of_a_long_text_is_taken_out(size, place):
    """From its beginning, its middle and its end; what cannot be compared is not shown."""
    text = "y" * (size // 2) + "My name is Jane Miller of 12 Main Street" + "z" * (size // 2)
    at = {0.0: 0, 0.5: size // 2, 1.0: size}[place]
    quoted = text[at : at + 40]
    for message in (f"HTTP 422: {quoted!r} is odd", f"{quoted}", "what is wrong? " * 20 + quoted):
        cleaned = redact(message, ["another text", text])
        left = {cleaned[n : n + QUOTED_CHARS] for n in range(len(cleaned) - QUOTED_CHARS + 1)}
        assert not [part for part in left if part in text]
    assert redact("HTTP 413: too large", [text]).startswith("HTTP 413: to")
