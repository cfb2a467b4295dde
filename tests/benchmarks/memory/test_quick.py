"""The memory benchmark measures fresh processes that read everything."""

from __future__ import annotations

from pymongo import MongoClient

from benchmarks.common.mongo import Driver, describe_machine
from benchmarks.memory.benchmark import Setup, measure


def test_it_reads_each_collection_in_a_fresh_process(mongod_uri):
    """Every row is that of a complete read, and nothing stays on the server."""
    setup = Setup((100, 700), ("none", "one"), Driver.PYMONGO)
    rows = measure(mongod_uri, setup)
    assert [(r["size"], r["entities"], r["read"], r["written"]) for r in rows] == [
        (100, "none", 100, 100),
        (100, "one", 100, 100),
        (700, "none", 700, 700),
        (700, "one", 700, 700),
    ]
    assert all(r["reconciled"] and r["peak_mb"] >= r["before_mb"] > 10 for r in rows)
    with MongoClient(mongod_uri) as client:
        assert not [name for name in client.list_database_names() if name.startswith("bench_")]


def test_the_machine_is_described_without_its_name(mongod_uri):
    """The description has what a reader needs to judge the numbers, and no more."""
    machine = describe_machine(mongod_uri, Driver.MOTOR)
    assert machine["cores"] >= 1
    assert machine["mongod"][0].isdigit()
    assert not {"host", "node", "path"} & machine.keys()
