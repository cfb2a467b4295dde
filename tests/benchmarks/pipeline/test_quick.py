"""The quick version of the benchmark, executed once: what it says about correctness, not about time."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pymongo import MongoClient

from benchmarks.common.process import Job
from benchmarks.pipeline.benchmark import QUICK, chosen, complete, measure, publish, shortened
from benchmarks.pipeline.measuring import run_candidate
from benchmarks.pipeline.scenarios import scenarios_of


@pytest.fixture(scope="module")
def directory(mongod_uri, tmp_path_factory):
    """The folder in which one run of the benchmark has left its results."""
    place = tmp_path_factory.mktemp("results")
    scenarios = shortened(scenarios_of(QUICK))
    publish(measure(mongod_uri, QUICK, scenarios), place, quick=True)
    return place


@pytest.fixture(scope="module")
def result(directory):
    """The content of the result file."""
    return json.loads((directory / "pipeline.quick.json").read_text())


def test_every_entry_is_measured(result):
    """Each entry of each scenario has its rows, and no candidate has an error."""
    entries = [
        (scenario.name, entry.candidate, entry.concurrency, entry.documents)
        for scenario in shortened(scenarios_of(QUICK))
        for entry in scenario.entries
    ]
    names = ("scenario", "candidate", "concurrency", "documents")
    assert [tuple(row[name] for name in names) for row in result["rows"]] == entries
    assert all(row["seconds"] > 0 and row["peak_mb"] > 10 and "error" not in row for row in result["rows"])


def test_nobody_gets_a_wrong_result(result):
    """All stored results are those of the service's rule."""
    assert {row["wrong"] for row in result["rows"]} == {0}


def test_all_candidates_store_everything_where_nothing_fails(result):
    """Each document is stored once; each text, or each 32 or 64 texts, took one request."""
    for row in result["rows"]:
        if row["scenario"] in ("service", "client") and row["candidate"] != "bare":
            assert (row["stored"], row["lost"]) == (row["documents"], 0)
            assert row["requests_per_needed"] == pytest.approx(1, abs=0.1)


def test_the_engine_loses_nothing_but_says_what_failed(result):
    """This includes the scenarios with faults, low capacity and poison."""
    for row in (row for row in result["rows"] if row["candidate"] == "engine"):
        poisoned = QUICK.poisoned if row["scenario"] == "poison" else 0
        assert (row["lost"], row["dead_letters"], row["blamed"]) == (0, poisoned, 0)
    assert complete(result["rows"])


def test_faults_were_met(result):
    """In each scenario the service has caused its faults."""
    ended = {row["scenario"]: row["ended"] for row in result["rows"] if row["candidate"] == "engine"}
    assert ended["faulty"]["failed"] > 0
    assert ended["narrow"]["throttled"] > 0
    assert ended["poison"]["poisoned"] >= QUICK.poisoned
    assert ended["outage"]["abandoned"] + ended["outage"].get("during_outage", 0) > 0


def test_the_figures_are_drawn(directory):
    """There is one file in each of the two formats."""
    assert (directory / "pipeline.quick.png").stat().st_size > 10_000
    assert (directory / "pipeline.quick.svg").read_text().startswith("<?xml")


def test_a_part_replaces_no_whole(result, tmp_path):
    """A partial run has its own files, and its figures show what was measured."""
    part = {name: [] for name in ("scenarios", "medians", "rows")}
    publish({**result, **part}, tmp_path, quick=True, whole=False)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"pipeline_part.quick.{suffix}" for suffix in ("json", "png", "svg")
    }


def test_nothing_stays_on_the_server(result, mongod_uri):
    """It holds neither messages nor results afterwards."""
    with MongoClient(mongod_uri) as client:
        assert not [name for name in client.list_database_names() if name.startswith("bench_")]


def test_the_error_of_a_candidate_is_a_result(mongod_uri):
    """For example, a library is missing or the service does not answer."""
    job = Job(mongod_uri, "nothing", "messages", "nothing_too", "http://127.0.0.1:9/", "bare", 1)
    assert "Error" in run_candidate("python3", replace(job, candidate="ray"))["error"]


def test_settings_and_candidates_can_be_chosen():
    """They are given by name, separated by commas."""
    kept = chosen(scenarios_of(QUICK), "service,outage", "engine,workers")
    assert [scenario.name for scenario in kept] == ["service", "outage"]
    assert {entry.candidate for scenario in kept for entry in scenario.entries} == {"engine", "workers"}
