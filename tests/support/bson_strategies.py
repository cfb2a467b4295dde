"""Hypothesis strategies for BSON values, keys and ranges."""

from __future__ import annotations

from datetime import UTC, datetime

from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import strategies as st

from engine import Key, KeyRange

moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
"""Timezone-aware datetimes in whole milliseconds, which BSON keeps exactly."""

scalars = st.one_of(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.floats(allow_nan=False) | st.just(float("nan")),  # Extended JSON and MongoDB know one NaN
    st.text(max_size=20),
    st.booleans(),
    st.none(),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.builds(Binary, st.binary(max_size=20), st.sampled_from([0, 2, 3, 4, 5, 6, 128])),
    st.decimals(allow_nan=False, places=3, min_value=-(10**9), max_value=10**9).map(Decimal128),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "-0"]).map(Decimal128),
    st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    moments,
    st.integers(-(2**62), 2**62)
    .map(DatetimeMS)
    .filter(lambda ms: not 0 <= int(ms) // 31556952000 + 1970 <= 9999),
    st.sampled_from([MinKey(), MaxKey(), Code("f()"), Code("f()", {"x": 1}), Regex("^a", "i")]),
)
"""A value of any BSON type, except documents and arrays."""

names = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=5)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3)
)
"""A value of any BSON type; documents and arrays hold other values."""

keys = st.tuples(values, values).map(Key) | st.tuples(values).map(Key)


@st.composite
def key_ranges(draw):
    """Ranges between any two keys, also in the wrong order: code without I/O does not compare keys."""
    size = draw(st.sampled_from([1, 2]))
    bound = st.tuples(*[values] * size).map(Key)
    return KeyRange(
        draw(bound), draw(bound), draw(names), draw(names), draw(st.none() | st.integers(0, 10**9))
    )
