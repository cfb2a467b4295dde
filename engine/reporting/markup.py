"""Builds HTML in which every text is escaped. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

SHOWN_CHARS = 120
"""Characters of an untrusted text that are shown; the rest is cut off."""

VOID = frozenset({"br", "meta", "rect", "path", "line"})
"""Elements without an end tag; those of SVG are closed with `/>`."""

JOINERS = "\u200c\u200d"
"""Zero-width characters that are kept, because they are part of words and emojis."""


class Html(str):
    """Markup made by this module, in which texts are escaped already."""

    __slots__ = ()


Child: TypeAlias = str | Iterable["Child"] | None
"""The content of an element: markup, text to be escaped, nothing, or several of these."""


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """Returns an element, such as `tag("td", "1,000", class_="number")`.

    Args:
        attributes: a trailing `_` in a name is dropped, others become `-`. None leaves an attribute out.
            Values are escaped.
    """
    inside = "".join(_inside(child) for child in children)
    start = f"<{name}{''.join(_attribute(*item) for item in attributes.items())}"
    if name in VOID:
        return Html(f"{start}>" if name in {"br", "meta"} else f"{start}/>")
    return Html(f"{start}>{inside}</{name}>")


def _inside(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    return escape(escape_controls(child)) if isinstance(child, str) else "".join(map(_inside, child))


def _attribute(name: str, value: str | float | None) -> str:
    if value is None:
        return ""
    return f' {name.rstrip("_").replace("_", "-")}="{escape(escape_controls(_number(value)))}"'


def _number(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def escape_controls(text: str) -> str:
    """Returns the text with invisible characters escaped as `repr` does.

    These are control characters, marks that change the direction of writing, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else repr(c)[1:-1] for c in text)


def untrusted(text: str, most: int = SHOWN_CHARS) -> Html:
    """Renders a text that comes from outside, cut short, with its direction of writing isolated (`bdi`)."""
    return tag("bdi", text if len(text) <= most else f"{text[:most]}…")
