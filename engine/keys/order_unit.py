"""Times in the form of a field that is no date: epoch numbers, and texts of a `strftime` pattern. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

MICROSECONDS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""The units of epoch numbers, each with its microseconds."""

EXAMPLE = "%Y-%m-%dT%H:%M:%SZ"
"""A pattern, for messages."""

WAYS = {"number": "s, ms or us", "string": f"a strftime pattern such as {EXAMPLE}"}
"""What an order unit may be, by the order type that it belongs to."""


def needs_unit(order_type: str, order_unit: str | None) -> bool:
    """Whether times mean nothing to values of this type, because no unit says how they are written."""
    return order_type in WAYS and order_unit is None


def check_unit(order_type: str, order_unit: str) -> None:
    """Refuses a unit of another type, and a pattern whose texts are not in the order of their times.

    Raises:
        ValueError: the message says what to give.
    """
    kind = "string" if "%" in order_unit else "number"
    if kind == "number" and order_unit not in MICROSECONDS:
        raise ValueError(f"give {WAYS['number']} for numbers, or {WAYS['string']} for strings")
    if kind != order_type:
        raise ValueError(f"it is for order_type = {kind!r}, not {order_type!r}")
    if kind == "string" and not _sorts_by_time(order_unit):
        raise ValueError(
            "texts of this pattern do not sort by time, or cannot be read back. Write the largest part "
            f"first, each with all its digits, in UTC, as in {EXAMPLE}"
        )


def number_of(moment: datetime, unit: str) -> int | float:
    """The time since 1970 in this unit; an integer where it is whole."""
    whole, rest = divmod((moment - EPOCH) // _MICROSECOND, MICROSECONDS[unit])
    return whole + rest / MICROSECONDS[unit] if rest else whole


def text_of(moment: datetime, pattern: str) -> str | None:
    """The time as a text of the pattern; None if the text would say another time."""
    text = moment.strftime(pattern)
    return text if moment_of(text, pattern) == moment else None


def moment_of(text: str, pattern: str) -> datetime | None:
    """The time that a text of the pattern says; None if the text is not of the pattern."""
    try:
        moment = datetime.strptime(text, pattern)  # noqa: DTZ007  (the next line gives it a zone)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _sorts_by_time(pattern: str) -> bool:
    """Whether the texts of ascending times ascend, can be read back, and say no time zone but UTC."""
    moments = list(_ascending())
    try:
        texts = [moment.strftime(pattern) for moment in moments]
    except ValueError:
        return False
    readable = all(moment_of(text, pattern) for text in texts[::97])
    return texts == sorted(texts) and texts[0] < texts[-1] and readable and _is_utc(texts[0])


def _is_utc(text: str) -> bool:
    """Whether a text, if it is ISO 8601, says UTC or no zone at all."""
    try:
        offset = datetime.fromisoformat(text).utcoffset()
    except ValueError:
        return True
    return not offset


def _ascending() -> Iterator[datetime]:
    """Times at which each part of a pattern passes from 9 to 10, and from its last value to its first."""
    steps = {
        timedelta(milliseconds=99, microseconds=999): 25,
        timedelta(seconds=1): 130,
        timedelta(minutes=1): 130,
        timedelta(hours=1): 50,
        timedelta(days=1): 3 * 366,
        timedelta(days=365): 30,
    }
    moment = datetime(1998, 12, 30, 22, 58, 57, tzinfo=UTC)
    for step, times in steps.items():
        for _ in range(times):
            yield moment
            moment += step
