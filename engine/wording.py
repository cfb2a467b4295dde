"""Formats numbers, times and durations for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

MOST_REASONS_SHOWN = 10

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


def count(value: int) -> str:
    """Formats a whole number such as `1,234`."""
    return f"{value:,}"


def number(value: float | None) -> str:
    """Formats a number such as `12,345`, below ten with one decimal unless that is 0; None is `-`."""
    if value is None:
        return "-"
    return f"{value:,.1f}".removesuffix(".0") if abs(value) < 10 else f"{value:,.0f}"  # noqa: PLR2004


def seconds(value: float) -> str:
    """Formats seconds for a column that is headed so, such as `1,234.5`."""
    return f"{value:,.1f}"


def duration(seconds: float | None) -> str:
    """Formats seconds as `4.3 s`, `95 s`, `12 min 5 s`, `3 h 4 min` or `2 d 1 h`; None is `-`."""
    if seconds is None:
        return "-"
    if seconds < 2 * MINUTE_S:
        return f"{number(seconds)} s"
    if round(seconds) < HOUR_S:
        return _two(round(seconds), MINUTE_S, "min", 1, "s")
    if seconds < DAY_S:
        return _two(round(seconds), HOUR_S, "h", MINUTE_S, "min")
    return _two(round(seconds), DAY_S, "d", HOUR_S, "h")


def _two(seconds: int, large_s: int, large: str, small_s: int, small: str) -> str:
    most, rest = divmod(seconds, large_s)
    return f"{most} {large} {rest // small_s} {small}" if rest // small_s else f"{most} {large}"


def moment(at: datetime | None) -> str:
    """Formats a time as `2026-11-22 18:19:17 UTC`; None is `never`."""
    return "never" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def share(part: float, whole: float) -> str:
    """Formats a share such as `12.5%`; only nothing is `0%`, and only all is `100%`."""
    if not whole:
        return "0%"
    percent = 100 * part / whole
    if 0 < percent < 0.1:  # noqa: PLR2004
        return "under 0.1%"
    if 99.9 < percent < 100:  # noqa: PLR2004
        return "over 99.9%"
    return f"{percent:.1f}".removesuffix(".0") + "%"


def plural(many: int, noun: str) -> str:
    """Formats a count with its noun: `1 range`, `1,234 ranges`."""
    return f"{many:,} {noun}{'' if many == 1 else 's'}"


def reasons_of(listed: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns lines that say how many dead letters have which reason, such as `1,000 x HTTP 422`.

    Args:
        listed: `dead_letter_reasons` of a report.
    """
    ordered = sorted(listed, key=lambda each: -each["count"])
    lines = [f"{each['count']:,} x {each['reason']}" for each in ordered[:MOST_REASONS_SHOWN]]
    rest = ordered[MOST_REASONS_SHOWN:]
    more = f"{sum(each['count'] for each in rest):,} x {len(rest):,} other reasons"
    return [*lines, more] if rest else lines


JOINERS = "\u200c\u200d"
"""Zero-width characters that are kept, because they are part of words and emojis."""


def escape_controls(text: str) -> str:
    """Returns the text with invisible characters escaped as `repr` does.

    These are control characters, marks that change the direction of writing, and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in JOINERS else repr(c)[1:-1] for c in text)
