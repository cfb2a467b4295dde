"""JSON of requests and answers: by orjson where the extra `speed` is installed, in a fifth of the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_DECODER = json.JSONDecoder(strict=False)
"""Control characters stand unescaped in strings of some services (CoreNLP's JSONOutputter)."""

_orjson: Any = import_module("orjson") if find_spec("orjson") else None
_decode: Callable[[bytes], Any] | None = _orjson and _orjson.loads
_encode: Callable[[Any], bytes] | None = _orjson and _orjson.dumps


def decoded(body: bytes) -> Any:
    """The JSON of an answer; what orjson refuses, the standard library may still understand.

    Raises:
        ValueError: it is no JSON.
    """
    if _decode is not None:
        with suppress(ValueError):  # control characters, NaN, another encoding, or no JSON at all
            return _decode(body)
    return _DECODER.decode(body.decode(json.detect_encoding(body)))


def encoded(data: Any) -> bytes:
    """The body of a request, in UTF-8; halves of surrogate pairs, which it has not, are escaped.

    Raises:
        TypeError: something in it is no JSON.
    """
    if _encode is not None:
        with suppress(TypeError):  # halves of surrogate pairs, or integers beyond 64 bits
            return _encode(data)
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()
