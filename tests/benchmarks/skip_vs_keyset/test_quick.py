"""The quick version of the benchmark, executed once: what it says about correctness, not about time."""

from __future__ import annotations

import json
from itertools import product

import pytest

from benchmarks.skip_vs_keyset.benchmark import QUICK, complete, measure, publish, settings_from
from benchmarks.skip_vs_keyset.churn import Mode
from benchmarks.skip_vs_keyset.readers import KEYSET, READERS
from engine.errors import ConfigError


@pytest.fixture(scope="module")
def directory(mongod_uri, tmp_path_factory):
    """The folder in which one run of the benchmark has left its results."""
    place = tmp_path_factory.mktemp("results")
    publish(measure(mongod_uri, QUICK), place, quick=True)
    return place


@pytest.fixture(scope="module")
def result(directory):
    """The content of the result file."""
    return json.loads((directory / "skip_vs_keyset.quick.json").read_text())


def test_the_result_holds_every_reader_at_every_size_and_page(result):
    """Each has its time, its work and its pages; the result holds nothing else."""
    reads = {(row["reader"], row["size"], row["page"]): row for row in result["reads"]}
    assert set(reads) == set(product(READERS, QUICK.sizes, QUICK.pages))
    assert len(reads) == len(result["reads"])
    for row in result["reads"]:
        assert row["seconds"] > 0
        assert len(row["repetitions"]) == QUICK.repetitions
        assert row["depths"]
        assert row["examined_at"]
    churn = {(row["reader"], row["page"], row["mode"]) for row in result["churn"]}
    assert churn == set(product(READERS, QUICK.pages, Mode))


def test_everything_is_read_where_it_is_not_marked_as_estimated(result):
    """The quick version has both whole and sampled reads."""
    assert {row["estimated"] for row in result["reads"]} == {True, False}
    for row in result["reads"]:
        assert row["estimated"] == (row["documents"] < row["size"])
        assert not row["estimated"] or row["reader"].startswith("skip")
    assert complete(result)


def test_keyset_reads_each_document_exactly_once(result):
    """It does so even while other documents are deleted and inserted."""
    rows = [row for row in (*result["reads"], *result["churn"]) if row["reader"] in KEYSET]
    assert rows
    assert {(row["lost"], row["repeated"]) for row in rows} == {(0, 0)}


def test_skip_loses_documents_under_deletes_and_repeats_them_under_inserts(result):
    """Changes before an offset shift the documents after it."""
    for row in result["churn"]:
        if row["reader"] == "skip_sorted":
            assert row["mode"] != Mode.DELETES or row["lost"] > 0
            assert row["mode"] != Mode.INSERTS or row["repeated"] > 0
        if row["reader"] == "skip_natural":
            assert row["mode"] == Mode.INSERTS or row["lost"] > 0


def test_skip_examines_what_it_passes_over_and_keyset_what_it_returns(result):
    """The work of skips grows with the square of the size; with index bounds, each key is read about once."""
    for row in result["reads"]:
        examined = max(row["keys_examined"], row["documents_examined"]) / row["size"]
        if row["reader"].startswith("skip"):
            assert examined == pytest.approx((row["size"] / row["page"] + 1) / 2, rel=0.1)
        else:
            assert examined == pytest.approx(1, abs=0.05)
    # Planning asks for `_id`s of a deprecated type, which the index on `_id` answers.
    assert {tuple(row["plans"]) for row in result["reads"] if row["reader"] == "engine"} == {
        ("IXSCAN { _id: 1 }", "IXSCAN { created_at: 1, _id: 1 }")
    }


def test_the_curves_are_drawn(directory):
    """There is one file in each of the two formats."""
    assert (directory / "skip_vs_keyset.quick.png").stat().st_size > 10_000
    assert (directory / "skip_vs_keyset.quick.svg").read_text().startswith("<?xml")


def test_a_setting_that_the_engine_does_not_know_is_refused_before_anything_is_measured():
    """An argument of `--set` without `=` is refused too."""
    with pytest.raises(ConfigError, match="pages"):
        settings_from(["pages=3"])
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        settings_from(["tuning.page_documents"])
    assert settings_from(["tuning.page_documents=3"]) == {"tuning": {"page_documents": "3"}}
