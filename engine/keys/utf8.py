"""Strings from BSON whose bytes are not UTF-8, as old drivers of several languages have stored them. Pure.

The codec keeps such a byte as half of a surrogate pair, U+DC80 to U+DCFF (Python's `surrogateescape`,
PEP 383). No other string holds these, so they are looked for only where encoding a string has failed.
"""

from __future__ import annotations

import re
from typing import Any

import bson
from bson.errors import BSONError

from engine.keys.bson_values import ESCAPE, EXACT_CODEC
from engine.model import NOT_UTF8


def problem_of(text: str) -> str | None:
    """Says which byte is the first that is not UTF-8, and where; None if the string has no such byte."""
    found = NOT_UTF8.search(text)
    if found is None:
        return None
    position = len(text[: found.start()].encode("utf-8", "surrogatepass"))
    return f"is not valid UTF-8: byte 0x{_byte(found):02x} in position {position}"


def readable(text: str) -> str:
    r"""The string with its bytes that are not UTF-8 written as `\xe9`."""
    return NOT_UTF8.sub(lambda found: f"\\x{_byte(found):02x}", text)


def decoded(text: Any, handler: str) -> Any:
    """The string as this handler of Python would have decoded its bytes; what is no string stays as it is."""
    if not isinstance(text, str) or not NOT_UTF8.search(text):
        return text
    try:
        return text.encode("utf-8", ESCAPE).decode("utf-8", handler)
    except UnicodeError:
        return text


def is_encodable(value: Any) -> bool:
    """Whether BSON can hold the value, so that a query can name it."""
    if type(value) is str and value.isascii():
        return True
    try:
        bson.encode({"": value}, codec_options=EXACT_CODEC)
    except (UnicodeError, BSONError):
        return False
    return True


def first_problem(value: Any) -> str:
    """`problem_of` the first string inside a value that is not encodable, with its place in a document."""
    if isinstance(value, str):
        return problem_of(value) or "cannot be encoded"
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        if not is_encodable(each):
            return f"has a field {readable(str(name))!r} that {first_problem(each)}"
        if isinstance(name, str) and (problem := problem_of(name)):
            return f"has a field name that {problem}"
    return "cannot be encoded"


def _byte(found: re.Match[str]) -> int:
    return ord(found.group()) - 0xDC00
