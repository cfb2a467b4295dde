"""Checks the sizes and places that the code keeps, so that a reader finds a thing by the name of its file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import ROOT

PACKAGES = ("engine", "keyset_batch_airflow", "demo", "benchmarks")
FOLDERS = (*PACKAGES, "airflow_dags", "docs", "tests")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
ROOMS = sorted(path.parent for path in (ROOT / "engine").glob("*/__init__.py"))

MOST_LINES = 300
MOST_FUNCTION_LINES = 50
MOST_ENTRIES = 22
MOST_MODULES = 9


def name(path: Path) -> str:
    """The path in the repository, for messages."""
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """All functions and methods of a file, nested ones included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def modules(folder: Path) -> list[str]:
    """The modules of a package; `__init__` and `__main__` do not count."""
    return [path.stem for path in folder.glob("*.py") if not path.stem.startswith("__")]


def test_no_file_is_over_300_lines():
    """A longer file has several subjects; each gets a file of its own, in tests too."""
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_function_is_over_50_lines():
    """A longer one does several things; each gets a function of its own."""
    lengths = {
        f"{name(path)}: {node.name}": node.end_lineno - node.lineno + 1
        for path in FILES
        for node in functions(path)
    }
    assert {function: lines for function, lines in lengths.items() if lines > MOST_FUNCTION_LINES} == {}


def test_the_engine_shows_at_most_22_entries():
    """A stranger who opens `engine/` sees all rooms at a glance."""
    entries = [path.name for path in (ROOT / "engine").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MOST_ENTRIES, sorted(entries)


def test_no_room_has_more_than_9_modules():
    """This holds for every package, because a room with more modules has two subjects."""
    folders = {path.parent for package in PACKAGES for path in (ROOT / package).rglob("__init__.py")}
    crowded = {name(folder): modules(folder) for folder in folders if len(modules(folder)) > MOST_MODULES}
    assert crowded == {}


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_a_room_says_what_it_is_for_and_which_file_to_read_first(room):
    """The docstring of its `__init__.py` names that file, and the file exists."""
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    named = re.findall(r"`(\w+\.py)`", docstring)
    assert named, "the docstring names no file"
    assert [file for file in named if not (room / file).is_file()] == []


def test_no_test_imports_airflow_before_its_environment_is_set():
    """Airflow reads `AIRFLOW_HOME` at import, which for a test module is before any fixture runs."""
    early = [
        name(path)
        for path in (ROOT / "tests").rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        if f"{module}.".startswith("airflow.")
    ]
    assert early == []


def test_helpers_of_tests_are_in_tests_support():
    """No test file imports another one, nor a conftest: what several tests use is in `tests/support/`.

    `tests/chaos/` is a program that has some tests beside it.
    """
    imported = {
        f"{name(path)} imports {module}"
        for path in (ROOT / "tests").rglob("*.py")
        for module in re.findall(
            r"^\s*(?:from|import) (tests\S*|\.\S*)", path.read_text("utf-8"), re.MULTILINE
        )
        if not module.startswith(("tests.support", "tests.chaos."))
    }
    assert imported == set()
