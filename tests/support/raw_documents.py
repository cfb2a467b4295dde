"""Documents made of bytes, to store what no driver would encode."""

from __future__ import annotations

import struct
from datetime import datetime

import bson
from bson.raw_bson import RawBSONDocument

STRING, DOCUMENT, ARRAY, BINARY, UNDEFINED, DB_POINTER, CODE, SYMBOL = 2, 3, 4, 5, 6, 12, 13, 14
"""Types of BSON elements."""


def string(content: bytes) -> bytes:
    """The value of a string, a symbol or a code, of any bytes."""
    return struct.pack("<i", len(content) + 1) + content + b"\0"


def element(kind: int, name: str | bytes, value: bytes) -> bytes:
    """One field of a document."""
    return bytes([kind]) + (name.encode() if isinstance(name, str) else name) + b"\0" + value


def embedded(*elements: bytes) -> bytes:
    """The value of a document or an array."""
    content = b"".join(elements)
    return struct.pack("<i", len(content) + 5) + content + b"\0"


def raw(*elements: bytes, **fields: object) -> RawBSONDocument:
    """A document of ordinary fields and then of these elements."""
    ordinary = bson.encode(fields)[4:-1]
    return RawBSONDocument(embedded(ordinary, *elements))


def raw_message(id_: object, moment: datetime, *elements: bytes) -> RawBSONDocument:
    """A message without its text, and with these elements."""
    return raw(*elements, _id=id_, created_at=moment)
