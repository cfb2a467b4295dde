"""The Window that a user asks for, and the BSON values of its ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from bson.objectid import ObjectId

from engine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Window:
    """What the user asks for: the documents in `[start, end)` of the order's first field.

    Attributes:
        start: a datetime or ISO-8601 string (naive means UTC); None means "from the first document".
        end: a datetime or ISO-8601 string; None means "to the last document at planning", so that later
            documents belong to the next run.

    If the setting `order_type` is `string` or `number`, both ends are values of that type instead.
    """

    start: Any = None
    end: Any = None


def window_bound(value: Any, order_type: str, name: str) -> Any:
    """Converts one end of a window to the BSON value that it stands for.

    Args:
        value: a datetime or ISO-8601 string (naive means UTC) for dates; a string or number for the others.
        order_type: `date`, `string`, `number`, or `objectId` (the order `_id`: times become ObjectIds).
        name: `start` or `end`, for the message.

    Raises:
        ConfigError: the value is not of that type, or cannot be expressed in it.
    """
    if order_type == "string":
        return _checked(
            value, str, name, "the window's ends must be strings, in the form that the collection uses"
        )
    if order_type == "number":
        return _checked(value, int | float, name, "the window's ends must be numbers")
    moment = _ceil_to_ms(_moment(value, name))
    if order_type == "date":
        return moment
    if moment.microsecond:
        raise ConfigError(f"window {name}={value!r}: an ObjectId holds whole seconds; give a whole second")
    return ObjectId.from_datetime(moment)


def _checked(value: Any, kind: Any, name: str, message: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigError(f"window {name}={value!r}: {message}")
    return value


def _moment(value: Any, name: str) -> datetime:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigError(
                f"window {name}={value!r} is not an ISO-8601 time such as 2018-10-01T00:00:00Z"
            ) from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, datetime):
        raise ConfigError(f"window {name}={value!r}: give a datetime, an ISO-8601 string, or None")
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _ceil_to_ms(moment: datetime) -> datetime:
    """Rounds up to the milliseconds that BSON keeps; stored times compare to the result as to `moment`."""
    excess = moment.microsecond % 1000
    return moment + timedelta(microseconds=1000 - excess) if excess else moment
