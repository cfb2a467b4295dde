"""Encodes and decodes JSON bodies, with orjson if the extra `speed` is installed: a fifth of the time."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_DECODER = json.JSONDecoder(strict=False)
"""Not strict, because some services (CoreNLP's JSONOutputter) leave control characters unescaped."""

_orjson: Any = import_module("orjson") if find_spec("orjson") else None
_decode: Callable[[bytes], Any] | None = _orjson and _orjson.loads
_encode: Callable[[Any], bytes] | None = _orjson and _orjson.dumps


def decoded(body: bytes, charset: str | None = None) -> Any:
    """Decodes the body of an answer. What orjson refuses, the standard library may still understand.

    Args:
        charset: the encoding that the answer declares, if it is none of UTF-8, UTF-16 and UTF-32. A body that
            is not in it is read as if none was declared.

    Raises:
        ValueError: the body is not JSON.
        RecursionError: it is nested too deeply.
    """
    if charset is not None:
        with suppress(UnicodeDecodeError):
            return _DECODER.decode(body.decode(charset))
    if _decode is not None:
        with suppress(ValueError):  # control characters, NaN, another encoding, or not JSON
            return _decode(body)
    return _DECODER.decode(body.decode(json.detect_encoding(body)))


def encoded(data: Any) -> bytes:
    """Encodes the body of a request as UTF-8 JSON; lone surrogates, which UTF-8 cannot hold, are escaped.

    Raises:
        TypeError: a value in it has no JSON form.
    """
    if _encode is not None:
        with suppress(TypeError):  # lone surrogates, or integers beyond 64 bits
            return _encode(data)
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()
