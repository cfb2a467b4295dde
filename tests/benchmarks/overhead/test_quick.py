"""One of the two ways of the overhead benchmark: the engine alone, in a process of its own."""

from __future__ import annotations

import pytest

from benchmarks.common.documents import fill
from benchmarks.common.mongo import scratch
from benchmarks.overhead.benchmark import Comparison, complete
from benchmarks.overhead.ways import COLLECTION, engine_alone, report_of
from benchmarks.overhead.work import Work
from benchmarks.stub.service import Service
from benchmarks.stub.start import stub

WORK = Work("small", 2400, 2, Service(slots=None), batch_texts=8, in_flight=2)


@pytest.fixture(scope="module")
def source(mongod_uri):
    """A collection in which texts repeat within each range."""
    with scratch(mongod_uri) as database:
        fill(database[COLLECTION], WORK.documents)
        yield database


def test_the_engine_alone_does_the_work_that_the_dag_gets(mongod_uri, source):
    """It processes the same ranges and sends every text, repeats included; all results are stored."""
    with stub(WORK.service) as service, scratch(mongod_uri) as target:
        one = Comparison("ner_0", WORK, mongod_uri, service.url, source, target, target)
        row = one.run_alone()
        report, seen = report_of(target), service.stop()
    assert row["alone_ok"]
    assert row["alone_s"] > row["alone_work_s"] > 0
    assert report["planned_ranges"] == 2
    assert seen["texts"] == WORK.documents + 2  # two more: the canary
    assert not complete([{**row, "scheduled_ok": False}])


def test_an_engine_that_fails_says_why(mongod_uri, source):
    """Its error message is raised, and there is no result."""
    with scratch(mongod_uri) as target, pytest.raises(RuntimeError, match="status 2"):
        engine_alone(mongod_uri, source, target, WORK, "nowhere")
