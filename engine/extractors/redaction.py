"""Makes messages from outside fit to be stored and shown: without texts, printable, and of a bounded length.

A service may quote its input in an error, and texts are private. A quotation is found by looking for short
windows of the message in the texts. The work is bounded: the longer the texts are together, the less of the
message is compared, and what is not compared is not shown.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from html import unescape
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from engine.errors import ExtractionError, classify
from engine.extractors.http.addresses import without_addresses
from engine.wording import escape_controls

PLACEHOLDER = "[text]"

QUOTED_CHARS = 12
"""A substring of at least this length that a message shares with a text counts as a quotation of it."""

MESSAGE_CHARS = 500
"""Characters of a message that are kept."""

COMPARED_CHARS = 4_000
"""Characters of a message that are compared, at most: a quotation may stand before what is kept."""

WORK_CHARS = 20_000_000
"""Characters of texts that all windows of a message are looked for in, taken together: some 10 ms of work."""


def described(error: Exception, texts: Sequence[str]) -> ExtractionError:
    """Returns the error as an ExtractionError that can be stored and shown, whatever raised it."""
    own = error.reason if isinstance(error, ExtractionError) else None
    message = _message(error)
    shown = escape_controls(message if own else redact(message, texts))
    status, hint = getattr(error, "status", None), getattr(error, "retry_after_s", None)
    status = int(status) if isinstance(status, int) and 0 < status < 1000 else None  # noqa: PLR2004
    return ExtractionError(
        shown if len(shown) <= MESSAGE_CHARS else f"{shown[:MESSAGE_CHARS]}…",
        failure=classify(error),
        status=status,
        retry_after_s=hint if isinstance(hint, int | float) else None,
        reason=own or _reason(error, status),
    )


def _message(error: Exception) -> str:
    try:
        said = str(error)
    except Exception:  # noqa: BLE001  (a class of its own may do anything)
        said = "its message cannot be shown"
    name = "" if isinstance(error, ExtractionError) else f"{type(error).__name__}: "
    return without_addresses(f"{name}{said[: 4 * COMPARED_CHARS]}")


def _reason(error: Exception, status: int | None) -> str:
    if status is not None:
        return f"HTTP {status}"
    own = "the extractor reports a failure"
    return own if isinstance(error, ExtractionError) else f"the extractor raises {type(error).__name__}"


def redact(message: str, texts: Sequence[str]) -> str:
    """Returns the message without the texts, whether they are quoted plain or escaped, whole or cut.

    A text of fewer than `QUOTED_CHARS` is taken out as whole words only, or a text of one letter would take
    that letter out of every word. What follows the part that is compared is cut off.
    """
    short = {text for text in texts if len(text) < QUOTED_CHARS and text.strip()}
    long = "\0".join(text for text in texts if len(text) >= QUOTED_CHARS)
    compared = min(COMPARED_CHARS, QUOTED_CHARS + WORK_CHARS // len(long)) if long else COMPARED_CHARS
    rest = "…" if len(message) > compared else ""
    message = message[:compared]
    hidden = bytearray(len(message))
    for reading in _readings(message):
        for begin, end in (*_quoted(reading.chars, long), *_words(reading.chars, short)):
            first, last = reading.begins[begin], reading.ends[end - 1]
            hidden[first:last] = b"\1" * (last - first)
    runs = groupby(zip(message, hidden, strict=True), key=itemgetter(1))
    return "".join(PLACEHOLDER if hide else "".join(char for char, _ in run) for hide, run in runs) + rest


def _quoted(message: str, text: str) -> Iterator[tuple[int, int]]:
    """Yields begin and end of each window of the message that the text has."""
    for begin in range(len(message) - QUOTED_CHARS + 1 if text else 0):
        if message[begin : begin + QUOTED_CHARS] in text:
            yield begin, begin + QUOTED_CHARS


def _words(message: str, texts: set[str]) -> Iterator[tuple[int, int]]:
    """Yields begin and end of each of the texts that stands in the message as whole words."""
    for size in {len(text) for text in texts}:
        for begin in range(len(message) - size + 1):
            end = begin + size
            inside = _is_word(message[begin - 1 : begin]) or _is_word(message[end : end + 1])
            if message[begin:end] in texts and not inside:
                yield begin, end


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


class _Reading(NamedTuple):
    """The characters of a message, and where in the message each of them begins and ends."""

    chars: str
    begins: Sequence[int]
    ends: Sequence[int]


_ESCAPE = re.compile(
    r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})"
    r"|\\(?:u([0-9a-f]{4})|U([0-9a-f]{8})|x([0-9a-f]{2}))|\\(.)|&#?\w{1,8};",
    re.IGNORECASE | re.DOTALL,
)
"""The escapes of JSON, of Python's `repr` and of HTML; first a pair of surrogates, which is one character."""

_SHORT = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}


def _readings(message: str) -> Iterator[_Reading]:
    """Yields the message as it stands, then with its escapes replaced, then with those in them replaced."""
    reading = _Reading(message, range(len(message)), range(1, len(message) + 1))
    yield reading
    for _ in range(2):
        replaced = _unescaped(reading)
        if replaced.chars == reading.chars:
            return
        reading = replaced
        yield reading


def _unescaped(reading: _Reading) -> _Reading:
    chars, begins, ends, at = list[str](), list[int](), list[int](), 0
    for found in _ESCAPE.finditer(reading.chars):
        first, last = found.span()
        between = slice(at, first)
        value = _value(found)
        chars += [*reading.chars[between], *value]
        begins += [*reading.begins[between], *[reading.begins[first]] * len(value)]
        ends += [*reading.ends[between], *[reading.ends[last - 1]] * len(value)]
        at = last
    chars += reading.chars[at:]
    return _Reading("".join(chars), [*begins, *reading.begins[at:]], [*ends, *reading.ends[at:]])


def _value(escape: re.Match[str]) -> str:
    """Returns the characters that an escape stands for."""
    high, low, *numbers, char = escape.groups()
    if high:
        return (chr(int(high, 16)) + chr(int(low, 16))).encode("utf-16", "surrogatepass").decode("utf-16")
    number = next(filter(None, numbers), None)
    if number is not None:
        return chr(int(number, 16)) if int(number, 16) <= sys.maxunicode else escape[0]
    return unescape(escape[0]) if char is None else _SHORT.get(char, char)
