"""The Window that a user asks for, and the BSON values of its ends. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.objectid import ObjectId
from bson.timestamp import Timestamp

from engine.errors import ConfigError
from engine.keys.bson_values import is_nan
from engine.keys.order_unit import EPOCH, WAYS, moment_of, number_of, text_of


@dataclass(frozen=True, slots=True)
class Window:
    """What the user asks for: the documents in `[start, end)` of the order's first field.

    The setting `order_type` says how an end is read. A value that has the type already stays as it is. A
    datetime or an ISO-8601 string (naive means UTC) is a time; `order_unit` turns times into numbers or
    strings. Other texts are what a command line or a form gives: `"1700000003"` is a number if `order_type`
    is `number`.

    Attributes:
        start: None means "from the first document".
        end: None means "to the last document at planning", so that later documents belong to the next run.
    """

    start: Any = None
    end: Any = None


def window_bound(value: Any, order_type: str, name: str, unit: str | None = None) -> Any:
    """Converts one end of a window to the BSON value that it stands for.

    Args:
        value: a value of the type, a text of it, or a time.
        order_type: `date`, `string`, `number`, `objectId` or `timestamp`.
        name: `start` or `end`, for the message.
        unit: how times are written in a field of numbers or strings: the setting `order_unit`.

    Raises:
        ConfigError: the value is not of that type, or cannot be expressed in it.
    """
    try:
        return _READERS[order_type](value, unit)
    except ValueError as error:
        raise ConfigError(f"window {name}={value!r}{error}") from None


def _date(value: Any, _: str | None) -> Any:
    return value if isinstance(value, DatetimeMS) else _ceil_to_ms(_moment(value))


def _string(value: Any, pattern: str | None) -> Any:
    if pattern is not None:
        moment = moment_of(value, pattern) if isinstance(value, str) else None
        text = text_of(moment or _moment(value, f" nor a text of order_unit {pattern!r}"), pattern)
        return _checked(text, str, f": order_unit {pattern!r} cannot write this time; give one that it can")
    _checked(value, str, _needs("strings, in the form that the collection uses", "string"))
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(": it is not valid UTF-8") from None
    return value


def _number(value: Any, unit: str | None) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        value = int(text) if text.lstrip("+-").isdecimal() and len(text) < _LONG else float(text)
    elif unit is not None and isinstance(value, str | date):
        value = number_of(_moment(value), unit)
    _checked(value, int | float | Decimal128, _needs("numbers", "number"))
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        value = _float(value)
    if is_nan(value) or value in _INFINITE:
        raise ValueError(": give a number that is finite, or leave this end out")
    return value


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|infinity|nan)", re.ASCII | re.IGNORECASE)
_LONG = 400
"""Integers of so many digits are beyond every double; Python refuses to read much longer ones."""
_INFINITE = (math.inf, -math.inf, Decimal128("Infinity"), Decimal128("-Infinity"))


def _float(value: int) -> float:
    """The least double that is not below an integer which BSON's integers cannot hold."""
    try:
        near = float(value)
    except OverflowError:
        return math.inf
    return near if near >= value else math.nextafter(near, math.inf)


def _object_id(value: Any, _: str | None) -> Any:
    if isinstance(value, ObjectId):
        return value
    if isinstance(value, str) and ObjectId.is_valid(value):
        return ObjectId(value)
    seconds = _seconds(_moment(value, " nor the 24 hex digits of an ObjectId"), "an ObjectId")
    return ObjectId(seconds.to_bytes(4, "big") + bytes(8))


def _timestamp(value: Any, _: str | None) -> Any:
    if isinstance(value, Timestamp):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d+", value, re.ASCII):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return Timestamp(_within(value, "a Timestamp"), 0)
    return Timestamp(_seconds(_moment(value, " nor a number of seconds"), "a Timestamp"), 0)


def _seconds(moment: datetime, what: str) -> int:
    """The seconds since 1970 of a time, for a type that counts them in 32 bits."""
    if moment.microsecond:
        raise ValueError(f": {what} holds whole seconds; give a whole second")
    return _within((moment - EPOCH) // timedelta(seconds=1), what)


def _within(seconds: int, what: str) -> int:
    """These seconds, or 0 for a time before 1970: every value of such a type is later than that."""
    if seconds >= 1 << 32:
        raise ValueError(f": {what} holds times until 2106; leave this end out")
    return max(0, seconds)


_READERS: Mapping[str, Callable[[Any, str | None], Any]] = {
    "date": _date,
    "string": _string,
    "number": _number,
    "objectId": _object_id,
    "timestamp": _timestamp,
}


def _needs(words: str, kind: str) -> str:
    return f": the window's ends must be {words}; for times, set order_unit to {WAYS[kind]}"


def _checked(value: Any, kind: Any, message: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ValueError(message)  # noqa: TRY004  (the user's value is wrong, not the call)
    return value


def _moment(value: Any, other: str = "") -> datetime:
    """A time in UTC.

    Args:
        other: what else the value might have been, for the message.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(
                f" is not an ISO-8601 time such as 2018-10-01T00:00:00Z, of the years 1 to 9999{other}; "
                "order_type says of which type the ends are"
            ) from None
    if not isinstance(value, date):
        raise ValueError(  # noqa: TRY004
            ": give a datetime, an ISO-8601 string, or None; order_type says of which type the ends are"
        )
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    try:
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ValueError(_BEYOND) from None
    # Airflow's times are of a subclass that counts in its own way.
    return datetime.combine(value.date(), value.time(), UTC)


_BEYOND = ": in UTC it is beyond the years 1 to 9999; leave this end out"


def _ceil_to_ms(moment: datetime) -> datetime:
    """Rounds up to the milliseconds that BSON keeps; stored times compare to the result as to `moment`."""
    excess = moment.microsecond % 1000
    try:
        return moment + timedelta(microseconds=1000 - excess) if excess else moment
    except OverflowError:
        raise ValueError(_BEYOND) from None
