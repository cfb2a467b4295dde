"""Finds the documents that MongoDB can never store, whatever is tried (trap 47, docs/traps.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bson
from bson.errors import BSONError

from engine.keys.bson_values import EXACT_CODEC, lookup_key
from engine.mongo.driver import MOST_BYTES


def problem_of(document: Mapping[str, Any]) -> str | None:
    """Says why the document cannot be stored, without its contents; None if it can."""
    try:
        size = len(bson.encode(document, codec_options=EXACT_CODEC))
    except OverflowError:
        return "holds an integer of more than 64 bits"
    except UnicodeError:
        return "holds a string that UTF-8 cannot encode, such as half of a surrogate pair"
    except BSONError as error:
        return f"holds a value that BSON cannot encode ({type(error).__name__})"
    return f"has {size:,} bytes, and MongoDB stores at most {MOST_BYTES:,}" if size > MOST_BYTES else None


def problems_of(documents: Sequence[Mapping[str, Any]]) -> dict[Any, str]:
    """Returns what is wrong with each document that cannot be stored, by the look-up key of its `_id`."""
    found = ((lookup_key(document["_id"]), problem_of(document)) for document in documents)
    return {key: problem for key, problem in found if problem}
