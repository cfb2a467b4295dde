"""Checks code in the documents that no other test runs: it can be parsed, and its extras exist."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib

import pytest

from tests.support.documents import README, blocks
from tests.support.places import DOCS, ROOT

PAGES = [README, *sorted(DOCS.glob("*.md"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def shown(language):
    """The code blocks of a language on all pages, each with the name of its page."""
    found = [(page.name, code) for page in PAGES for code in blocks(language, page.read_text())]
    return [pytest.param(code, id=f"{name}-{number}") for number, (name, code) in enumerate(found)]


@pytest.mark.parametrize("code", shown("python"))
def test_python_can_be_parsed(code):
    """An `await` outside a function is allowed: some pages show only the call."""
    compile(code, "block", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("code", shown("sh"))
def test_shell_commands_can_be_parsed(code):
    """With `-n`, bash parses them and executes nothing."""
    subprocess.run(["bash", "-n"], input=code, text=True, check=True, timeout=30)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_extras_that_a_page_installs_exist(page):
    """For example those of `.[airflow,speed]`."""
    named = re.findall(r"(?:\.|engine|checkout)\[([a-z,-]+)\]", page.read_text())
    known = PROJECT["project"]["optional-dependencies"].keys()
    assert {extra for extras in named for extra in extras.split(",")} <= known


def test_the_image_copies_every_package_of_the_wheel():
    """The Dockerfile of docs/deploy.md builds the wheel from the folders that it copies."""
    (image,) = blocks("dockerfile", (DOCS / "deploy.md").read_text())
    packages = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert packages
    assert not [package for package in packages if f"COPY {package} ./{package}\n" not in image]
