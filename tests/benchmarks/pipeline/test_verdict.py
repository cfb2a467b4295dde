"""The arithmetic and the verdicts of the pipeline benchmark."""

from __future__ import annotations

from array import array

import pytest

from benchmarks.common.messages import spread
from benchmarks.pipeline.medians import back_after, summaries
from benchmarks.pipeline.plot import smoothed
from benchmarks.pipeline.scenarios import Setup, scenarios_of
from benchmarks.pipeline.verdict import acceptance, recoveries_of
from benchmarks.stub.answers import judge
from benchmarks.stub.stats import ServiceStats, percentile

BACK = {"halved": 0.0, "restored": 10.0}


def measured(scenario, candidate="engine", **changes):
    """A row of medians that keeps all limits, unless changed."""
    fine = {"documents_per_second": 970.0, "latency_p95_times": 2.0, "peak_mb": 60.0, "lost": 0, "wrong": 0}
    faults = {"requests_per_needed": 1.2, "dead_letters": 0, "blamed": 0, "during_outage": 100}
    row = {"scenario": scenario, "candidate": candidate, "concurrency": 0, "documents": 20_000}
    return {**row, **fine, **faults, **changes}


def everything():
    """The rows of a run that reaches every limit exactly."""
    return [
        measured("service"),
        measured("service", "workers", documents_per_second=900.0, concurrency=8),
        measured("service", "workers", documents_per_second=1000.0, concurrency=16),
        measured("service", "workers_wide", documents_per_second=1000.0, concurrency=16),
        measured("narrow"),
        measured("client_all", documents_per_second=850.0),
        measured("client_all", "workers", documents_per_second=1000.0, peak_mb=40.0),
        measured("faulty", documents_per_second=824.5),
        measured("outage"),
        measured("poison", dead_letters=10),
        measured("memory"),
        measured("memory", documents=1_000_000, peak_mb=69.0),
    ]


def failing(rows, recoveries=BACK):
    """The checks that fail."""
    checks = acceptance(rows, recoveries, 10)
    return {(check.point, check.what) for check in checks if check.passed is False}


def test_limits_include_their_own_value():
    """A run that reaches every limit exactly passes all 19 checks."""
    checks = acceptance(everything(), BACK, 10)
    assert [check.passed for check in checks] == [True] * 19
    assert {check.point for check in checks} == {1, 2, 3, 4, 5, 7}


@pytest.mark.parametrize(
    ("scenario", "worse", "point"),
    [
        ("service", {"documents_per_second": 969.0}, 1),
        ("service", {"latency_p95_times": 2.01}, 1),
        ("narrow", {"lost": 1}, 1),
        ("client_all", {"documents_per_second": 849.0}, 2),
        ("client_all", {"peak_mb": 61.0}, 2),
        ("faulty", {"lost": 1}, 3),
        ("faulty", {"wrong": 1}, 3),
        ("faulty", {"documents_per_second": 824.0}, 3),
        ("faulty", {"requests_per_needed": 1.21}, 3),
        ("outage", {"dead_letters": 1}, 4),
        ("outage", {"lost": 1}, 4),
        ("outage", {"during_outage": 101}, 4),
        ("poison", {"dead_letters": 9}, 5),
        ("poison", {"dead_letters": 11}, 5),
        ("poison", {"blamed": 1}, 5),
        ("poison", {"lost": 1}, 5),
    ],
)
def test_every_limit_can_be_broken(scenario, worse, point):
    """One worse number of the engine fails exactly one point of the acceptance."""
    rows = [
        {**row, **worse} if (row["scenario"], row["candidate"]) == (scenario, "engine") else row
        for row in everything()
    ]
    if scenario == "service" and "documents_per_second" in worse:
        rows = [row for row in rows if row["scenario"] != "faulty"]
    assert {broken for broken, _ in failing(rows)} == {point}


def test_memory_grows_by_at_most_15_percent_and_recovery_takes_at_most_ten_seconds():
    """Both limits can be broken."""
    rows = everything()
    rows[-1]["peak_mb"] = 69.1
    assert [point for point, _ in failing(rows)] == [7]
    assert [point for point, _ in failing(everything(), {"halved": 10.1, "restored": 1.0})] == [1]


def test_what_was_not_measured_is_neither_passed_nor_failed():
    """A rate that never recovered, however, has failed."""
    assert {check.passed for check in acceptance([], {}, 10)} == {None}
    assert [point for point, _ in failing(everything(), {"halved": None, "restored": 1.0})] == [1]


def test_a_rate_is_back_from_the_first_second_that_reaches_90_percent_of_it():
    """A slice is a tenth of a second; slices after the next change do not count."""
    slices = [100] * 10 + [10] * 10 + [45] * 20 + [100] * 10
    assert back_after(slices, 0.0, 1.0, 1000.0) == 0.0
    assert back_after(slices, 1.0, 4.0, 500.0) == 1.0
    assert back_after(slices, 1.0, 4.0, 501.0) is None
    assert back_after(slices, 1.0, 9.0, 501.0) == pytest.approx(2.1)


def test_recoveries_are_told_for_each_change():
    """The attainable rate is that of the slots after the change."""
    row = {"slices": [160] * 10 + [80] * 10 + [80] * 5 + [160] * 15}
    assert recoveries_of(row, ((1.0, 8), (2.0, 16)), 100.0) == {"halved": 0.0, "restored": 0.3}


def test_medians_hide_no_loss():
    """Lost and wrong documents are summed, and the error of any repetition is kept; the rest are medians."""
    row = {"scenario": "a", "candidate": "b", "concurrency": 0, "documents": 10, "ended": {}}
    rows = [
        {**row, "seconds": seconds, "lost": lost, "wrong": 0, **more}
        for seconds, lost, more in ((1.0, 0, {}), (9.0, 1, {"error": "why"}), (2.0, 0, {}))
    ]
    [made] = summaries(rows)
    assert (made["seconds"], made["lost"], made["error"], made["repetitions"]) == (2.0, 1, "why", 3)


def test_latencies_are_told_in_multiples_of_their_own_unloaded_ones():
    """A large request may take longer than a small one without being slow."""
    seen = ServiceStats()
    seen.begin(100.0)
    for unloaded in (0.01, 0.1):
        seen.arrived()
        seen.answered(100.25, 3 * unloaded, unloaded, 4)
    statistics = seen.to_json()
    assert (statistics["latency_p95_ms"], statistics["latency_p95_times"]) == (300.0, 3.0)
    assert statistics["slices"] == [0, 0, 8]


def test_the_percentile_is_a_value_that_came():
    """Of 100 values, 95 are below the 95th percentile; without values there is no percentile."""
    assert percentile(array("d", range(100)), 0.95) == 95
    assert percentile(array("d"), 0.95) is None


def test_curves_are_rates_over_some_slices():
    """The rates are in texts a second."""
    assert smoothed([1, 2, 3], 2) == pytest.approx([15.0, 25.0])


def test_poison_lies_apart():
    """Ten texts among twenty thousand, none of them first or last."""
    places = spread(20_000, 10)
    assert (places[0], places[-1], len(set(places))) == (1000, 19_000, 10)
    assert spread(100, 0) == []


def test_settings_have_names_of_their_own():
    """Each scenario has its own name and contains the engine."""
    scenarios = scenarios_of(Setup())
    assert len({scenario.name for scenario in scenarios}) == len(scenarios) == 10
    assert all("engine" in {entry.candidate for entry in scenario.entries} for scenario in scenarios)
    peers = {e.candidate for s in scenarios_of(Setup(peers=True)) for e in s.entries}
    assert peers >= {"beam", "ray"}


class Stored(dict):
    """A database whose collections are lists."""

    def __missing__(self, name):
        return Listed([])


class Listed(list):
    """A collection that returns all its documents."""

    def find(self, *_):
        """Returns all documents."""
        return self


def entity(start, end, text, label="NAME"):
    """An entity as the candidates store it."""
    return {"start": start, "end": end, "label": label, "text": text}


def test_results_are_judged_one_by_one():
    """A right, a wrong and an invented result, a dead letter with and one without poison, and a loss."""
    eve = hash(((0, 3, "Eve"),))
    expected = {1: eve, 2: hash(()), 3: eve, 4: 0, 5: hash(()), 6: hash(())}
    target = Stored(
        {
            "messages_entities": Listed(
                [
                    {"_id": 1, "entities": [entity(0, 3, "Eve")]},
                    {"_id": 2, "entities": [entity(0, 3, "Eve")]},
                    {"_id": 3, "entities": [entity(0, 3, "Eve", "PLACE")]},
                ]
            ),
            "messages_dead_letters": Listed([{"_id": 4}, {"_id": 5}]),
        }
    )
    outcome = judge(expected, target, "messages")
    assert (outcome.stored, outcome.wrong, outcome.lost) == (3, 2, 1)
    assert (outcome.dead_letters, outcome.blamed) == (2, 1)
