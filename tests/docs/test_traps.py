"""The page of traps names tests that exist, and every trap is on it."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from tests.support.places import ROOT

PAGE = (ROOT / "docs" / "traps.md").read_text(encoding="utf-8")
HEADING = re.compile(r'^### (\d+)\. .+ <a id="trap-(\d+)"></a>$', re.MULTILINE)
NO_TEST = "No test yet"
TRAPS = 70


def traps() -> dict[int, str]:
    """The text about each trap by its number, without the headings."""
    pieces = HEADING.split(PAGE)[1:]
    return {int(number): text for number, text in zip(pieces[::3], pieces[2::3], strict=True)}


def named_tests(text: str) -> list[tuple[str, str]]:
    """The tests that a part of the page names: path of the file, and name of the function."""
    named, path = [], ""
    for quoted in re.findall(r"`([^`\n]+)`", text):
        if re.fullmatch(r"tests/[\w/]+\.py", quoted):
            path = quoted
        elif re.fullmatch(r"test_\w+", quoted):
            named.append((path, quoted))
    return named


@cache
def functions_of(path: str) -> frozenset[str]:
    """The functions that a file defines; the path is relative to the repository."""
    body = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_numbers_run_without_a_gap():
    """Comments cite a trap by its number and by its anchor, so both must be there and agree."""
    found = [(int(number), int(anchor)) for number, anchor in HEADING.findall(PAGE)]
    assert found == [(number, number) for number in range(1, TRAPS + 1)]


@pytest.mark.parametrize("number", traps())
def test_each_trap_names_a_test_or_says_that_there_is_none(number):
    """So each claim is tested, or says that it is not."""
    text = traps()[number]
    assert named_tests(text) or NO_TEST in text


@pytest.mark.parametrize(("path", "name"), sorted(set(named_tests(PAGE))))
def test_each_named_test_exists(path, name):
    """It is in the file that the page names."""
    assert name in functions_of(path)
