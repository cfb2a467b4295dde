"""Makes texts safe to show in the templates of the HTML report, which escape every value. Pure."""

from __future__ import annotations

from html import escape
from typing import Any

from markupsafe import Markup

from engine.wording import escape_controls

SHOWN_CHARS = 120
"""Characters of an untrusted text that are shown; the rest is cut off."""


def untrusted(text: str, most: int = SHOWN_CHARS) -> Markup:
    """Renders a text that comes from outside, cut short, with its direction of writing isolated (`bdi`)."""
    shown = text if len(text) <= most else f"{text[:most]}…"
    return Markup(f"<bdi>{escape(escape_controls(shown))}</bdi>")  # noqa: S704  (escaped)


def finalized(value: Any) -> Any:
    """Prepares a value that a template shows: None is nothing, numbers have at most two decimals.

    Jinja calls it for every expression, before it escapes the value. Markup stays what it is.
    """
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return escape_controls(value) if isinstance(value, str) and not isinstance(value, Markup) else value
