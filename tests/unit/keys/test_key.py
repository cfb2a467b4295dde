"""Keys and ranges keep BSON values exactly, whatever their types."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import bson
import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from engine import ConfigError, Key, KeyRange
from engine.keys.bson_values import bracket_of, identity, successor, value_at
from engine.keys.key import Order
from engine.keys.window import window_bound
from engine.reading.filters import range_filter
from tests.support.bson_strategies import key_ranges, keys, moments, values


@given(keys)
def test_trap_10_a_key_survives_json_with_every_bson_type(key):
    """The JSON gives back the same BSON bytes."""
    again = Key.from_json(json.loads(json.dumps(key.to_json())))
    assert bson.encode({"k": list(again.values)}) == bson.encode({"k": list(key.values)})


@given(key_ranges())
def test_trap_10_a_range_survives_json(key_range):
    """Bounds, ids and count are the same afterwards."""
    assert KeyRange.from_json(json.loads(json.dumps(key_range.to_json()))) == key_range


@given(values, values)
def test_identity_is_equality_of_bson_bytes(one, other):
    """Two values are identical exactly when MongoDB stores the same bytes."""
    assert (identity(one) == identity(other)) == (bson.encode({"": one}) == bson.encode({"": other}))


def test_identity_tells_apart_what_python_takes_for_equal():
    """1, 1.0 and True, for example, are different `_id`s in MongoDB."""
    assert len({identity(v) for v in (1, 1.0, True, Int64(1), Decimal128("1"))}) == 5


def test_keys_are_equal_by_their_bytes():
    """NaN equals itself here, and 1 does not equal 1.0."""
    assert Key((float("nan"),)) == Key((float("nan"),))
    assert Key((1,)) != Key((1.0,))


@pytest.mark.parametrize("data", [{}, {"start": 1}, {"start": [], "stop": [], "range_id": 1}, "text", None])
def test_json_of_something_else_is_refused(data):
    """The error says what was expected."""
    with pytest.raises(ConfigError, match="not the JSON form of a KeyRange"):
        KeyRange.from_json(data)


def test_a_range_made_by_hand_is_identified_by_its_bounds():
    """The same bounds give the same id; other bounds give another id."""
    one, same, other = (KeyRange(Key((1,)), Key((stop,))) for stop in (2, 2, 3))
    assert one.range_id == same.range_id != other.range_id


@pytest.mark.parametrize(
    ("stop", "label"),
    [
        (datetime(2018, 10, 4, 3, 12, tzinfo=UTC), "2018-10-04 00:00 .. 03:12 · 1,000 docs"),
        (datetime(2018, 10, 4, 0, 0, 6, tzinfo=UTC), "2018-10-04 00:00 .. 00:00:06 · 1,000 docs"),
        (datetime(2018, 10, 4, 3, 12, 6, 1000, tzinfo=UTC), "2018-10-04 00:00 .. 03:12:06.001 · 1,000 docs"),
        (datetime(2018, 10, 5, tzinfo=UTC), "2018-10-04 00:00 .. 2018-10-05 00:00 · 1,000 docs"),
        (MaxKey(), "2018-10-04 00:00 .. end · 1,000 docs"),
    ],
)
def test_the_label_shows_times_and_documents(stop, label):
    """Airflow's grid shows the label of a mapped task, so the times are as short as possible."""
    start = Key((datetime(2018, 10, 4, tzinfo=UTC), MinKey()))
    assert KeyRange(start, Key((stop, 5)), expected=1000).label == label


@given(moments)
def test_trap_9_a_successor_of_a_date_is_the_next_millisecond(moment):
    """Nothing fits between a date and its successor."""
    assert successor(moment) - moment == timedelta(milliseconds=1)


@given(
    st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), st.text())
)
def test_a_successor_is_greater(value):
    """Numbers and strings are compared as by Python and the simple collation."""
    assert isinstance(successor(value), MaxKey) or successor(value) > value


def test_the_successor_of_an_objectid_is_the_next_number():
    """The last ObjectId has no successor."""
    assert successor(ObjectId("0000000000000000000000ff")) == ObjectId("000000000000000000000100")
    assert successor(ObjectId("f" * 24)) == MaxKey()


@pytest.mark.parametrize("value", [True, None, b"x", {"a": 1}, float("inf"), float("nan"), Decimal128("1")])
def test_types_without_a_successor_end_at_maxkey(value):
    """The end then stays open."""
    assert successor(value) == MaxKey()


def test_trap_9_window_bounds_are_rounded_up_to_the_millisecond():
    """`stored >= bound` selects the same documents before and after rounding."""
    bound = window_bound(datetime(2020, 1, 1, 0, 0, 0, 1500, tzinfo=UTC), "date", "start")
    assert bound == datetime(2020, 1, 1, 0, 0, 0, 2000, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2020-01-01",
        "2020-01-01T00:00:00Z",
        "2020-01-01T01:00:00+01:00",
        datetime(2020, 1, 1),
        datetime(2020, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_trap_9_naive_means_utc_and_offsets_are_honoured(value):
    """One moment, written in five ways."""
    assert window_bound(value, "date", "start") == datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "kind", "says"),
    [
        ("yesterday", "date", "start='yesterday' is not an ISO-8601 time"),
        (5, "date", "give a datetime"),
        (datetime(2020, 1, 1), "string", "must be strings"),
        ("five", "number", "must be numbers; for times, set order_unit to s, ms or us"),
        (datetime(2020, 1, 1), "number", "must be numbers"),
        (True, "number", "must be numbers"),
        ("2020-01-01T00:00:00.5Z", "objectId", "whole second"),
    ],
)
def test_a_wrong_window_bound_names_itself(value, kind, says):
    """The message says which end is wrong, its value, and what is allowed."""
    with pytest.raises(ConfigError, match=says):
        window_bound(value, kind, "start")


@given(values)
def test_every_value_has_a_type_bracket(value):
    """The brackets are used to jump from one type to the next in the index."""
    assert bracket_of(value) in {
        "minKey", "null", "number", "string", "object", "array", "binData", "objectId", "bool", "date",
        "timestamp", "regex", "javascript", "maxKey",
    }  # fmt: skip


def test_values_are_found_by_dotted_paths():
    """A path that does not exist gives None, as in the index."""
    document = {"a": {"b": {"c": 1}}, "x": [1]}
    assert [value_at(document, path) for path in ("a.b.c", "a.b.d", "x.y", "z")] == [1, None, None, None]


def test_a_boundary_between_timestamps_needs_no_tie_break():
    """Ranges between such boundaries are plain ranges of dates."""
    order = Order.of("t")
    assert range_filter(order, order.first(1), order.first(2)) == {
        "$and": [{"t": {"$gte": 1}}, {"t": {"$lt": 2}}]
    }
    assert range_filter(order, order.first(MinKey()), Key((MaxKey(), MaxKey()))) == {}
