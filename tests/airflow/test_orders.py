"""Twelve ways to be ordered, from the collection to verified entities, by scheduled runs of DAGs."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.support.in_place import run_in_place
from tests.support.orders import DAYS, EACH_DAY, FIRST, ORDERS

DAG_FILE = """
from datetime import timedelta

from keyset_batch_airflow import incremental_dag, verify_dag
from tests.support.orders import FIRST, ORDERS

(order,) = [order for order in ORDERS if order.name == {name!r}]
incremental_dag("daily_{dag_id}", start_date=FIRST, lookback=timedelta(0), **order.settings)
verify_dag("verify_{dag_id}", **order.settings)
"""


USUAL = ("ISO string with zone", "epoch milliseconds", "ObjectId", "descending index")


@pytest.fixture
def dags_of(airflow, tmp_path, monkeypatch):
    """Writes a file that calls `incremental_dag` and `verify_dag` for an order; returns both DAGs."""
    from airflow.dag_processing.dagbag import DagBag

    def parse(order):
        dag_id = order.name.replace(" ", "_")
        (tmp_path / "ordered.py").write_text(DAG_FILE.format(name=order.name, dag_id=dag_id))
        bundle = {"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle"}
        bundles = [{**bundle, "kwargs": {"path": str(tmp_path)}}]
        monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps(bundles))
        bag = DagBag(dag_folder=tmp_path)
        assert bag.import_errors == {}
        return bag.dags[f"daily_{dag_id}"], bag.dags[f"verify_{dag_id}"]

    return parse


def orders():
    """All orders; those that go the same way through Airflow as another one are left to `pytest -m long`."""
    return [
        pytest.param(order, id=order.name, marks=[] if order.name in USUAL else pytest.mark.long)
        for order in ORDERS
    ]


@pytest.mark.parametrize("order", orders())
def test_each_data_interval_is_extracted_and_all_is_verified(source, dags_of, order):
    """Each run takes the documents of its day, whatever form the order field has."""
    source.drop()
    order.fill(source)
    daily, verification = dags_of(order)
    days = [run_in_place(daily, source, FIRST + timedelta(days=day + 1)) for day in range(DAYS)]
    verified = run_in_place(verification, source)
    assert [ended.state for ended in days] == ["success"] * DAYS
    assert [ended.xcoms["summarize"]["read"] for ended in days] == [EACH_DAY] * DAYS
    assert verified.state == "success"
    found = verified.xcoms["conclude"]
    assert (found["present"], found["missing"]) == (DAYS * EACH_DAY, 0)
