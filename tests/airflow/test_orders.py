"""Twelve ways to be ordered, from the collection to verified entities, by scheduled runs of DAGs."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.in_place import run_in_place
from tests.support.orders import DAYS, EACH_DAY, FIRST, ORDERS


@pytest.fixture
def days_of(airflow, source):
    """Runs an incremental DAG over the source for each day in turn, then a verification of everything."""
    from keyset_batch_airflow import incremental_dag, verify_dag

    def run(order):
        name = order.name.replace(" ", "_").lower()
        for day in range(DAYS):
            first = FIRST - timedelta(days=5)
            dag = incremental_dag(f"{name}_daily", start_date=first, lookback=timedelta(0), **order.settings)
            yield run_in_place(dag, source, FIRST + timedelta(days=day + 1))
        yield run_in_place(verify_dag(f"{name}_verify", **order.settings), source)

    return run


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
def test_each_data_interval_is_extracted_and_all_is_verified(source, days_of, order):
    """Each run takes the documents of its day, whatever form the order field has."""
    source.drop()
    order.fill(source)
    *days, verified = days_of(order)
    assert [ended.state for ended in days] == ["success"] * DAYS
    assert [ended.xcoms["summarize"]["read"] for ended in days] == [EACH_DAY] * DAYS
    assert verified.state == "success"
    found = verified.xcoms["conclude"]
    assert (found["present"], found["missing"]) == (DAYS * EACH_DAY, 0)
