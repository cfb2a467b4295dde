"""Reads filters: Extended JSON becomes BSON values, and operators that cannot be used are found. Pure."""

from __future__ import annotations

from typing import Any

from bson import json_util

REFUSED = frozenset({"$text", "$near", "$nearSphere", "$where", "$sampleRate", "$rand"})
"""Operators that no filter may have."""


def extended(value: Any) -> Any:
    """Replaces Extended JSON such as `{"$oid": ...}` by BSON values; keeps operators and BSON values."""
    if isinstance(value, list):
        return [extended(item) for item in value]
    if isinstance(value, dict):
        return json_util.object_hook({name: extended(item) for name, item in value.items()})
    return value


def operators(value: Any) -> set[str]:
    """The operators in a filter, at any depth."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    names = {name for name in value if name.startswith("$")} if isinstance(value, dict) else set()
    return names.union(*map(operators, inner))
