"""One reply of documents, decoded when they are used and not before. Pure.

The next request needs no more of a reply than the Key of its last document. Decoding that alone, a reader can
send it at once, and decode the others while the server works on what comes next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from struct import Struct
from typing import Any

import bson

from engine.keyset import Key, Order
from engine.values import EXACT_CODEC, identity

Decoded = list[dict[str, Any]]

_SIZE = Struct("<i").unpack_from
"""A BSON document begins with its length in bytes (bsonspec.org)."""


@dataclass(frozen=True, slots=True)
class Page:
    """The documents that follow a Key.

    Attributes:
        count: how many documents there are.
        bytes_: their size as BSON; of those decoded already, about.
        last: the Key that the next page goes on after; None at the end of the range.
        documents: decodes them, in order.
    """

    count: int
    bytes_: int
    last: Key | None
    documents: Callable[[], Decoded]


def page_of(reply: bytes | Decoded, order: Order, after: Key | None) -> Page:
    """A reply as a page; its first document is left out if it is the anchor `after` itself."""
    if isinstance(reply, bytes):
        return _page_of_bytes(reply, order, after)
    found = reply[1:] if reply and _is_anchor(reply[0], after) else reply
    last = Key(order.values_of(found[-1])) if found else None
    return Page(len(found), sum(map(_size_of, found)), last, lambda: found)


def _page_of_bytes(reply: bytes, order: Order, after: Key | None) -> Page:
    starts, at = [], 0
    while at < len(reply):
        starts.append(at)
        at += _SIZE(reply, at)[0]
    if after is not None and starts and _is_anchor(_decode_at(reply, starts[0]), after):
        del starts[0]
    if not starts:
        return Page(0, 0, None, list)
    last = Key(order.values_of(_decode_at(reply, starts[-1])))
    rest = reply[starts[0] :]
    return Page(len(starts), len(rest), last, partial(bson.decode_all, rest, EXACT_CODEC))


def _is_anchor(document: dict[str, Any], after: Key | None) -> bool:
    return after is not None and identity(document["_id"]) == identity(after.values[-1])


def _decode_at(reply: bytes, at: int) -> dict[str, Any]:
    size = _SIZE(reply, at)[0]
    return bson.decode(reply[at : at + size], EXACT_CODEC)


def _size_of(document: dict[str, Any]) -> int:
    return len(bson.encode(document, codec_options=EXACT_CODEC))
