"""Compares docs/architecture.md with the modules, and the paths in all documents with the files."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.support.places import DOCS, ROOT

PAGE = (DOCS / "architecture.md").read_text()
FOLDERS = "engine|keyset_batch_airflow|airflow_dags|demo|benchmarks|tests|docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def marked(name):
    """The part of the page between two comments of this name."""
    (found,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", PAGE, re.DOTALL)
    return found


def listed():
    """The modules that the page lists, by their rooms."""
    parts = re.split(r"^### `engine/(\w+)`.*$", marked("rooms"), flags=re.MULTILINE)[1:]
    texts = dict(zip(parts[::2], parts[1::2], strict=True))
    bullets = {room: re.findall(r"^- (.+?):", text, re.MULTILINE) for room, text in texts.items()}
    return {room: sorted(re.findall(r"`(\w+)`", " ".join(heads))) for room, heads in bullets.items()}


def test_every_module_of_every_room_is_listed():
    """A newcomer finds each one, with what it does; on failure pytest shows which are missing or gone."""
    rooms = [path.parent for path in (ROOT / "engine").glob("*/__init__.py")]
    there = {room.name: sorted(p.stem for p in room.glob("*.py") if p.stem != "__init__") for room in rooms}
    assert listed() == there


def test_the_floors_are_those_that_import_linter_holds():
    """They are compared line by line with pyproject.toml."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (floors,) = (
        c["layers"] for c in contracts if c["type"] == "layers" and c.get("containers") == ["engine"]
    )
    assert [line.strip() for line in marked("floors").splitlines()] == floors


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_document_names_exist(page):
    """Checks paths in backticks that begin with a folder of the repository."""
    paths = set(re.findall(rf"`((?:{FOLDERS})/[\w./-]*)`", page.read_text()))
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]
