"""The ends of a window are read by `order_type` and `order_unit`, whoever gives them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS

from engine import ConfigError, Settings
from engine.keys.bson_values import successor
from engine.keys.key import Key, KeyRange
from engine.keys.window import window_bound

DAY = datetime(2024, 1, 1, tzinfo=UTC)
SECONDS = 1_704_067_200
"""The same moment, since 1970."""

HEX = "65920080" + "0" * 16
"""The first ObjectId of that moment."""

Z = "%Y-%m-%dT%H:%M:%SZ"

READ = [
    # what is given, the order type, the unit, and the value that it stands for
    ("1700000003", "number", None, 1_700_000_003),
    (" -5 ", "number", None, -5),
    ("2.5", "number", None, 2.5),
    ("1e3", "number", None, 1000.0),
    ("20240101", "number", "s", 20_240_101),
    ("2024-01-01", "number", "s", SECONDS),
    ("2024-01-01T02:00:00+02:00", "number", "ms", SECONDS * 1000),
    (DAY, "number", "us", SECONDS * 1_000_000),
    (DAY.replace(tzinfo=None), "number", "s", SECONDS),
    (date(2024, 1, 1), "number", "s", SECONDS),
    (DAY + timedelta(milliseconds=500), "number", "s", SECONDS + 0.5),
    (DAY + timedelta(microseconds=7), "number", "us", SECONDS * 1_000_000 + 7),
    ("1969-12-31T23:59:59Z", "number", "s", -1),
    (2**63, "number", None, 2.0**63),
    (-(2**63) - 1, "number", None, -(2.0**63)),
    ("2024-01-01", "string", None, "2024-01-01"),
    ("1700000003", "string", None, "1700000003"),
    ("2024-01-01", "string", Z, "2024-01-01T00:00:00Z"),
    ("2024-01-01T00:00:00Z", "string", Z, "2024-01-01T00:00:00Z"),
    ("2024-01-01T01:00:00+01:00", "string", "%Y-%m-%dT%H:%M:%S", "2024-01-01T00:00:00"),
    (DAY, "string", "%Y-%m-%dT%H:%M:%S%z", "2024-01-01T00:00:00+0000"),
    ("20240101 12", "string", "%Y%m%d %H", "20240101 12"),
    ("2024-01-01T12:00", "string", "%Y%m%d %H", "20240101 12"),
    (HEX, "objectId", None, ObjectId(HEX)),
    ("2024-01-01", "objectId", None, ObjectId(HEX)),
    (DAY, "objectId", None, ObjectId(HEX)),
    ("1969-01-01", "objectId", None, ObjectId("0" * 24)),
    ("2106-02-07T06:28:15Z", "objectId", None, ObjectId("f" * 8 + "0" * 16)),
    ("2024-01-01", "timestamp", None, Timestamp(SECONDS, 0)),
    (str(SECONDS), "timestamp", None, Timestamp(SECONDS, 0)),
    (SECONDS, "timestamp", None, Timestamp(SECONDS, 0)),
    ("0001-01-01", "timestamp", None, Timestamp(0, 0)),
    ("2024-01-01", "date", None, DAY),
    ("2024-01-01T05:00:00+05:00", "date", None, DAY),
]


@pytest.mark.parametrize(("value", "kind", "unit", "bound"), READ)
def test_an_end_is_read_by_its_type(value, kind, unit, bound):
    """Texts, numbers and times become the value and the type that the field holds."""
    found = window_bound(value, kind, "start", unit)
    assert (type(found), found) == (type(bound), bound)
    bson.encode({"": found})


TYPED = [
    (Int64(5), "number"),
    (Decimal128("1.5"), "number"),
    (-7, "number"),
    ("", "string"),
    (ObjectId(HEX), "objectId"),
    (Timestamp(5, 3), "timestamp"),
    (DatetimeMS(10**15), "date"),
]


@pytest.mark.parametrize(("value", "kind"), TYPED)
def test_a_value_that_has_the_type_stays(value, kind):
    """A script may give the very value that the collection holds."""
    assert window_bound(value, kind, "start") is value


BEYOND = [
    ("10000-01-01", "date", None, "of the years 1 to 9999"),
    ("0000-01-01", "date", None, "of the years 1 to 9999"),
    ("0001-01-01T00:00:00+05:00", "date", None, "leave this end out"),
    ("9999-12-31T23:59:59-05:00", "date", None, "leave this end out"),
    ("9999-12-31T23:59:59.999999", "date", None, "leave this end out"),
    (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "number", "ms", "leave this end out"),
    ("2106-02-07T06:28:16Z", "objectId", None, "leave this end out"),
    ("2024-01-01T00:00:00.5Z", "objectId", None, "whole second"),
    ("0" * 23, "objectId", None, "nor the 24 hex digits of an ObjectId"),
    ("9999-01-01", "timestamp", None, "leave this end out"),
    (str(2**32), "timestamp", None, "leave this end out"),
    ("1.5", "timestamp", None, "nor a number of seconds"),
    ("nan", "number", None, "give a number that is finite"),
    (float("inf"), "number", None, "give a number that is finite"),
    ("-Infinity", "number", None, "give a number that is finite"),
    (Decimal128("NaN"), "number", None, "give a number that is finite"),
    (Decimal128("-Infinity"), "number", None, "give a number that is finite"),
    ("9" * 5000, "number", None, "give a number that is finite"),
    ("1e999", "number", None, "give a number that is finite"),
    (10**400, "number", None, "give a number that is finite"),
    ("0999-01-01", "string", Z, "cannot write this time"),
    ("2024-01-01T00:00:00.5", "string", Z, "cannot write this time"),
    ("2024-01-01T06:00", "string", "%Y-%m-%d", "cannot write this time"),
    ("yesterday", "string", Z, "nor a text of order_unit"),
    ("\udcff", "string", None, "not valid UTF-8"),
    (DAY, "string", None, "for times, set order_unit to a strftime pattern"),
    ("2024-01-01", "number", None, "for times, set order_unit to s, ms or us"),
    (b"x", "timestamp", None, "give a datetime"),
    ([], "objectId", None, "give a datetime"),
]


@pytest.mark.parametrize(("value", "kind", "unit", "says"), BEYOND)
def test_an_end_that_the_type_cannot_hold_is_one_line(value, kind, unit, says):
    """The message names the end, and what to do; there is never a traceback."""
    with pytest.raises(ConfigError, match=says) as raised:
        window_bound(value, kind, "end", unit)
    assert str(raised.value).startswith("window end=")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("stored", [SECONDS, Int64(SECONDS), float(SECONDS)])
def test_a_time_in_a_unit_compares_to_any_number(stored):
    """Whatever the driver stored, the number is the same."""
    assert window_bound("2024-01-01", "number", "start", "s") == stored


SORTED = [Z, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%d %H:%M:%S.%f", "%Y%m%d", "%Y-%j", "%Y"]


@pytest.mark.parametrize("pattern", SORTED)
def test_patterns_that_sort_by_time_are_taken(pattern):
    """The largest part comes first, and each part has all its digits."""
    assert Settings(order_type="string", order_unit=pattern).order_unit == pattern


UNSORTED = ["%d.%m.%Y", "%y-%m-%d", "%Y-%-m-%-d", "%I:%M %p", "%Y-%b-%d", "%H:%M", "%s", "%%", "%G-%m-%d"]
UNSORTED += ["%Y-%m-%dT%H:%M:%S+02:00", "%", "%Y-%m-%dT%M:%H", "%c"]


@pytest.mark.parametrize("pattern", UNSORTED)
def test_patterns_that_do_not_sort_by_time_are_refused(pattern):
    """A window of such texts would hold other documents than those of its times."""
    with pytest.raises(ConfigError, match="do not sort by time") as raised:
        Settings(order_type="string", order_unit=pattern)
    assert f"setting order_unit = {pattern!r}" in str(raised.value)


@pytest.mark.parametrize(
    ("order_type", "unit", "says"),
    [
        ("date", "s", "for order_type = 'number', not 'date'"),
        ("string", "ms", "for order_type = 'number', not 'string'"),
        ("number", Z, "for order_type = 'string', not 'number'"),
        ("objectId", "us", "for order_type = 'number', not 'objectId'"),
        ("number", "ns", "give s, ms or us for numbers, or a strftime pattern"),
        ("string", "", "give s, ms or us for numbers, or a strftime pattern"),
    ],
)
def test_a_unit_of_another_type_is_refused(order_type, unit, says):
    """A unit that is never used would be a mistake that nobody sees."""
    with pytest.raises(ConfigError, match=says):
        Settings(order_type=order_type, order_unit=unit)


def test_the_successor_of_a_timestamp_is_the_next_one():
    """After the last increment comes the next second; the last Timestamp has no successor."""
    assert successor(Timestamp(5, 3)) == Timestamp(5, 4)
    assert successor(Timestamp(5, 2**32 - 1)) == Timestamp(6, 0)
    assert successor(Timestamp(2**32 - 1, 2**32 - 1)) == bson.MaxKey()


def test_a_range_of_timestamps_is_shown_as_times():
    """The label is for people, in the form of dates."""
    start, stop = (Key((Timestamp(SECONDS + after, 1), bson.MinKey())) for after in (0, 60))
    assert KeyRange(start, stop, expected=3).label == "2024-01-01 00:00 .. 00:01 · 3 docs"


def test_a_range_of_strings_can_be_kept_and_shown_by_airflow():
    """PostgreSQL refuses NUL in JSON, and control characters have no place in a label."""
    stop = Key((successor("2024-01-02"), bson.MinKey()))
    key_range = KeyRange(Key(("2024\x1b[31m", bson.MinKey())), stop, expected=3)
    assert "\\u0000" not in json.dumps(key_range.to_json())
    assert key_range.label == "2024[31m .. 2024-01-02 · 3 docs"
