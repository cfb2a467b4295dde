"""Compares what the code has now with a list in a JSON file, and shows each difference on its own line."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def as_text(listing: Any) -> str:
    """The text of a list's file."""
    return json.dumps(listing, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def check(path: Path, found: Any, folder: Path) -> None:
    """Fails the test if the list in the file `path` is not what was found; the message shows the differences.

    The list that was found is then written into `folder`. If a change is intended, copy it over the old list.
    """
    listed = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = json.loads(as_text(found))
    differences = differences_of(listed, found)
    if differences:
        new = folder / path.name
        new.write_text(as_text(found), encoding="utf-8")
        shown = "\n".join(differences)
        pytest.fail(
            f"This is not as listed in {path.name} (-: as listed, +: as it is now):\n{shown}\n"
            f"If the change is intended, replace {path.name} by {new}.",
            pytrace=False,
        )


def differences_of(listed: Any, found: Any) -> list[str]:
    """The lines that only one of two lists has: with `-` those of the first, with `+` those of the second."""
    compared = difflib.unified_diff(list(_lines(listed)), list(_lines(found)), n=0, lineterm="")
    return [line for line in compared if not line.startswith(("---", "+++", "@@"))]


def _lines(value: Any, path: str = "") -> Iterator[str]:
    """One line for each value, with the path that leads to it. The items of an array have the same path."""
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from _lines(value[name], f"{path} > {name}" if path else name)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _lines(item, path)
    else:
        yield f"{path}: {json.dumps(value, ensure_ascii=False)}"
