"""HTML in which every text is escaped, unless it was made here. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias

SHOWN_CHARS = 120
"""Of a text that somebody else has written; the rest is cut off."""

VOID = frozenset({"br", "meta", "rect", "path", "line"})
"""Elements without an end tag of their own; those of SVG have been given one of XML's."""

JOINERS = "\u200c\u200d"
"""Not printable by themselves, and part of words and emojis."""


class Html(str):
    """Markup: made by this module, and escaped inside."""

    __slots__ = ()


Child: TypeAlias = str | Iterable["Child"] | None
"""What an element holds: markup, text to be escaped, nothing, or several of these."""


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """An element, such as `tag("td", "1,000", class_="number")`.

    Args:
        attributes: a trailing `_` is dropped, others become `-`; None leaves one out. Values are escaped.
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
    return escape(printable(child)) if isinstance(child, str) else "".join(map(_inside, child))


def _attribute(name: str, value: str | float | None) -> str:
    if value is None:
        return ""
    return f' {name.rstrip("_").replace("_", "-")}="{escape(printable(_number(value)))}"'


def _number(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def printable(text: str) -> str:
    """The text with what cannot be seen written out as Python does.

    These are control characters, what turns the direction of writing, and halves of surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else repr(c)[1:-1] for c in text)


def foreign(text: str, most: int = SHOWN_CHARS) -> Html:
    """A text that somebody else has written: cut short, and its direction of writing is its own."""
    return tag("bdi", text if len(text) <= most else f"{text[:most]}…")
