"""The quick version of the benchmark, executed once: what it says about correctness, not about time."""

from __future__ import annotations

import json
from itertools import product

import pytest

from benchmarks.planning.benchmark import QUICK, measure, publish
from benchmarks.planning.counts import COUNTERS, YARDSTICK
from benchmarks.planning.measuring import WAYS, complete
from benchmarks.planning.mixed_types import _VALUES, CASES, DOCUMENTS, READERS, TARGET, TIED
from benchmarks.planning.splitters import ENGINE, SPLITTERS

OTHERS = tuple(way for way in SPLITTERS if way not in ENGINE)


@pytest.fixture(scope="module")
def directory(mongod_uri, tmp_path_factory):
    """The folder in which one run of the benchmark has left its results."""
    place = tmp_path_factory.mktemp("results")
    publish(measure(mongod_uri, QUICK), place, quick=True)
    return place


@pytest.fixture(scope="module")
def result(directory):
    """The content of the result file."""
    return json.loads((directory / "planning.quick.json").read_text())


@pytest.fixture(scope="module")
def mixed(result):
    """The rows about mixed types, by case, way and way of reading."""
    return {(row["case"], row["way"], row["reading"]): row for row in result["mixed"]}


def test_the_result_holds_every_way_at_every_size(result):
    """Each has its time, and the ratio to the count of all documents in the same run."""
    times = {(row["way"], row["size"]): row for row in result["times"]}
    assert set(times) == set(product(WAYS, QUICK.sizes))
    assert len(times) == len(result["times"])
    for (_, size), row in times.items():
        assert len(row["repetitions"]) == QUICK.repetitions
        assert row["ratio"] == pytest.approx(row["seconds"] / times[YARDSTICK, size]["seconds"])


def test_what_times_are_compared_with_is_a_count_scan(result):
    """`explain` shows that only index keys are read."""
    stages = [row["stages"] for row in result["times"] if row["way"] == YARDSTICK]
    assert stages == [["COUNT", "COUNT_SCAN"]] * len(QUICK.sizes)


def test_all_ranges_tile_the_collection(result):
    """With a single type, every way covers it; the engine's counts are right."""
    rows = [row for row in result["times"] if row["way"] not in COUNTERS]
    assert {row["way"] for row in rows} == set(SPLITTERS)
    for row in rows:
        assert (row["unaccounted"], row["gaps"], row["miscounted"]) == (0, 0, 0)
        assert row["ranges"] == pytest.approx(QUICK.ranges, rel=0.05)
        assert row["p5"] <= row["p50"] <= row["p95"] <= row["largest"]
    assert complete(result["times"], result["mixed"])


def test_the_engine_loses_nothing_of_mixed_types(mixed):
    """This holds for mixed `_id`s and mixed order values; documents that are left out are reported."""
    dates = 4 * DOCUMENTS // len(_VALUES)
    for case, way in product(CASES, ENGINE):
        row = mixed[case, way, "engine"]
        assert (row["lost"], row["repeated"]) == (0, 0)
        assert row["reported"] == (DOCUMENTS - dates if case == "values" else 0)
        assert row["ranges"] > 1


def test_query_operators_lose_what_lies_between_types(mixed):
    """It does not matter which tool drew the boundaries; boundaries of dates alone are safe."""
    for way in SPLITTERS:
        assert mixed["ids", way, "operators"]["lost"] > 0
    for way in OTHERS:
        assert mixed["values", way, "operators"]["lost"] > 0
        assert mixed["values", way, "operators"]["reported"] == 0
    assert mixed["ties", "one_field_sample", "operators"]["lost"] == 0
    assert {row["repeated"] for row in mixed.values()} == {0}


def test_index_bounds_lose_nothing_whoever_drew_the_boundaries(mixed):
    """The operators cause the loss, not the boundaries."""
    assert {mixed[case, way, "engine"]["lost"] for case, way in product(CASES, SPLITTERS)} == {0}


def test_boundaries_on_one_field_do_not_split_ties(mixed):
    """Their ranges hold whole groups of ties; a compound key splits them."""
    assert mixed["ties", "one_field_sample", "engine"]["largest"] >= TIED / TARGET
    for way in ("exact", "bucket_auto"):
        assert mixed["ties", way, "engine"]["largest"] <= 1.1


def test_every_way_of_reading_is_accounted_for(mixed):
    """No case is missing in the result."""
    assert set(mixed) == set(product(CASES, SPLITTERS, READERS))


def test_the_curves_are_drawn(directory):
    """There is one file in each of the two formats."""
    assert (directory / "planning.quick.png").stat().st_size > 10_000
    assert (directory / "planning.quick.svg").read_text().startswith("<?xml")
