"""The arithmetic and the verdicts of the planning benchmark."""

from __future__ import annotations

import asyncio

import pytest
from bson import MaxKey, MinKey
from pymongo.errors import OperationFailure
from rich.console import Console

from benchmarks.planning.counts import conditions, skew_of
from benchmarks.planning.measuring import complete
from benchmarks.planning.mixed_types import operator_filter
from benchmarks.planning.splitters import SPLITTERS, NotAllowedError, SplitTask
from benchmarks.planning.tables import acceptance, mixed_table, times_table
from engine.keys.key import Key, KeyRange, Order


def key_range(start, stop):
    """A range between two pairs of values."""
    return KeyRange(Key(start), Key(stop))


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        ((1, MinKey()), (5, MinKey()), [{"created_at": {"$gte": 1, "$lt": 5}}]),
        ((MinKey(), MinKey()), (MaxKey(), MaxKey()), [{}]),
        (
            (1, "a"),
            (5, "b"),
            [
                {"created_at": {"$gt": 1, "$lt": 5}},
                {"created_at": 1, "_id": {"$gte": "a"}},
                {"created_at": 5, "_id": {"$lt": "b"}},
            ],
        ),
        ((1, "a"), (1, "b"), [{"created_at": 1, "_id": {"$gte": "a", "$lt": "b"}}]),
        ((1, MinKey()), (1, "b"), [{"created_at": 1, "_id": {"$lt": "b"}}]),
    ],
)
def test_a_range_is_counted_by_disjoint_conditions(start, stop, expected):
    """Ties at its ends have conditions of their own, so that each condition is one part of the index."""
    assert list(conditions(key_range(start, stop))) == expected


def test_the_filter_of_other_tools_has_no_condition_at_an_open_end():
    """Where `_id` splits ties, it is the usual `$or`."""
    order = Order.of("created_at")
    assert operator_filter(order, key_range((MinKey(), MinKey()), (MaxKey(), MaxKey()))) == {}
    both = operator_filter(order, key_range((1, "a"), (5, MinKey())))
    after = {"$or": [{"created_at": {"$gt": 1}}, {"created_at": 1, "_id": {"$gte": "a"}}]}
    assert both == {"$and": [after, {"created_at": {"$lt": 5}}]}


def test_skew_is_of_documents_over_the_target():
    """A single range has a skew too, although it has no percentiles."""
    skew = skew_of(list(range(0, 201, 2)), 100)
    assert (skew.p5, skew.p50, skew.p95, skew.largest) == (0.1, 1.0, 1.9, 2.0)
    assert skew_of([50], 100).p95 == 0.5


def times(way, **changes):
    """A row about the time of a way at a million documents."""
    fine = {"unaccounted": 0, "gaps": 0, "miscounted": 0, "seconds": 0.1, "ratio": 1.0, "p95": 1.2}
    return {"way": way, "size": 1_000_000, **fine, **changes}


def test_acceptance_takes_ratios_at_a_million_and_the_sample_at_every_size():
    """Values that were not measured neither pass nor fail."""
    rows = [times("counted", ratio=1.31), times("sample"), times("sample", size=100, p95=1.31)]
    passed = {check.what: check.passed for check in acceptance(rows)}
    assert passed == {
        "counted over COUNT_SCAN at 1,000,000": False,
        "exact over COUNT_SCAN at 1,000,000": None,
        "seconds of sample at 1,000,000": True,
        "p95 of sample over its target at 1,000,000": True,
        "seconds of sample at 100": True,
        "p95 of sample over its target at 100": False,
    }


def account(way, reading="engine", **changes):
    """A row about mixed types."""
    return {"way": way, "reading": reading, "lost": 0, "repeated": 0, **changes}


@pytest.mark.parametrize(
    ("row", "other", "verdict"),
    [
        (times("counted", ratio=9), account("counted"), True),
        (times("counted", unaccounted=1), account("counted"), False),
        (times("sample", gaps=1), account("sample"), False),
        (times("exact", miscounted=1), account("exact"), False),
        (times("exact"), account("exact", lost=1), False),
        (times("exact"), account("exact", repeated=1), False),
        (times("exact"), {"way": "exact", "reading": "engine", "refused": "why"}, False),
        (times("bucket_auto", unaccounted=1), account("exact", "operators", lost=1), True),
    ],
)
def test_it_succeeds_unless_the_engine_loses_repeats_or_miscounts(row, other, verdict):
    """The losses of other tools do not matter, and neither does the time."""
    assert complete([row], [other]) is verdict


class Forbidding:
    """A collection on a server that allows no commands."""

    name, full_name = "messages", "test.messages"

    @property
    def database(self):
        """Returns the object itself."""
        return self

    async def command(self, *_, **__):
        """Refuses every command."""
        raise OperationFailure("no", 13, {"codeName": "Unauthorized"})


def test_split_vector_says_that_it_is_not_allowed():
    """Most users lack the privilege; the tables show this too."""
    with pytest.raises(NotAllowedError, match="Unauthorized"):
        asyncio.run(SPLITTERS["split_vector"](SplitTask(Forbidding(), 100, 10)))
    refused = {"way": "split_vector", "size": 100, "refused": "Unauthorized"}
    readings = [{**refused, "case": case, "reading": "engine"} for case in ("ids", "ties", "values")]
    console = Console(width=120)
    with console.capture() as shown:
        console.print(times_table([refused]), mixed_table(readings))
    assert shown.get().count("not allowed") == 4
