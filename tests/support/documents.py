"""Reads the code blocks of a Markdown file, for the tests that run them as they are written."""

from __future__ import annotations

import re

from tests.support.places import ROOT

README = ROOT / "README.md"


def blocks(language: str, text: str | None = None) -> list[str]:
    """The fenced blocks of one language, in order: of the README, or of the given text."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text or README.read_text(), re.DOTALL | re.MULTILINE)


def block_with(language: str, words: str) -> str:
    """The only block of the README that contains these words."""
    (found,) = (block for block in blocks(language) if words in block)
    return found
