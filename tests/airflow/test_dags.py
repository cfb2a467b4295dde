"""The DAG files as Airflow's DAG processor and the trigger form see them."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import keyset_batch_airflow
from tests.support.places import DAGS, ROOT

HEAVY = ("aiohttp", "pymongo", "motor")
DOCUMENT = ROOT / "docs" / "dags.md"
DAG_IDS = ["ner_backfill", "ner_incremental", "ner_replay", "ner_verify"]


def test_the_folder_parses_without_errors_or_warnings(airflow):
    """All DAGs are there, without import errors and without warnings while the files were parsed."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS)

    assert bag.import_errors == {}
    assert sorted(bag.dags) == DAG_IDS
    assert bag.captured_warnings == {}


def test_parsing_the_dag_files_imports_no_driver_and_no_http_client(airflow):
    """The DAG processor parses files often, each time in a new process.

    Heavy imports are left to the tasks.
    """
    parse = f"[runpy.run_path(f'{{name}}.py') for name in {DAG_IDS}]"
    code = f"import sys, runpy; {parse}; print([m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=DAGS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (found.stdout.strip().splitlines()[-1:], found.returncode) == (["[]"], 0), found.stderr


def test_the_public_names_are_those_that_type_checkers_see():
    """The names that the package loads lazily are the same as in its imports for type checkers."""
    tree = ast.parse((ROOT / "keyset_batch_airflow" / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = [alias.name for node in block.body for alias in node.names]
    assert sorted(seen) == keyset_batch_airflow.__all__


def test_the_shape_of_the_dag(dag):
    """Plan, then one mapped task a range in the pool, then a summary that always runs."""
    plan, run_range, summarize = (dag.task_dict[name] for name in ("plan", "run_range", "summarize"))
    assert plan.downstream_task_ids == {"run_range", "summarize"}
    assert run_range.downstream_task_ids == {"summarize"}
    assert (run_range.is_mapped, run_range.pool, run_range.retries) == (True, "extract_pool", 3)
    assert summarize.trigger_rule == "all_done"
    deadline_s = run_range.partial_kwargs["op_kwargs"]["deadline_s"]
    assert 0 < deadline_s < run_range.execution_timeout.total_seconds()


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_everything_is_explained_in_the_ui(dags, dag_id):
    """DAGs, tasks and params all have a description; tags tell what kind of DAG it is."""
    dag = dags[dag_id]
    assert dag.doc_md
    assert dag.tags == {"ner", "mongodb", dag_id.removeprefix("ner_")}
    assert dag.max_active_runs == 1
    assert all(task.doc_md for task in dag.tasks)
    for name, param in dag.params.items():
        assert dag.params.get_param(name).schema["title"], name
        assert dag.params.get_param(name).description, (name, param)


@pytest.mark.parametrize("dag_id", DAG_IDS)
def test_tasks_that_call_the_service_are_bounded(dags, dag_id):
    """They run in the pool, and their own deadline comes before the task's timeout.

    Only an outage gets more time.
    """
    from keyset_batch_airflow.errors import ServiceOutage, Unfinished

    calling = [task for task in dags[dag_id].tasks if task.task_id in {"run_range", "replay", "repair"}]
    assert calling
    for task in calling:
        assert task.pool == "extract_pool"
        assert task.execution_timeout.total_seconds() == 7200
        outage, deadline = (
            task.retry_policy.evaluate(kind("x"), 1, 3) for kind in (ServiceOutage, Unfinished)
        )
        # The tests set this delay to 0.
        assert (outage.action.value, outage.retry_delay.total_seconds()) == ("retry", 0)
        assert (deadline.action.value, deadline.retry_delay) == ("default", None)


def test_incremental_runs_have_data_intervals_and_are_caught_up(dags):
    """A plain cron string would give empty intervals.

    The DAG starts paused, so that nobody is surprised by the runs that catch up.
    """
    from airflow.sdk import CronDataIntervalTimetable

    dag = dags["ner_incremental"]
    assert isinstance(dag.timetable, CronDataIntervalTimetable)
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (True, 1, True)
    assert dag.params["lookback_hours"] == 24
    (asset,) = dag.task_dict["summarize"].outlets
    assert asset.name == "chat.messages_entities"


def test_users_make_dags_for_their_own_collections(airflow, tmp_path):
    """One call makes a DAG: id, collections, Connections, format, schedule and limits are arguments."""
    from airflow.dag_processing.dagbag import DagBag

    (tmp_path / "reviews.py").write_text(
        "from datetime import UTC, datetime, timedelta\n"
        "from keyset_batch_airflow import incremental_dag, verify_dag\n"
        "incremental_dag('reviews', start_date=datetime(2026, 1, 1, tzinfo=UTC), cron='@hourly',\n"
        "    lookback=timedelta(hours=6), pool='gpu_pool', database='shop', collection='reviews',\n"
        "    service_format='presidio', mongo_conn_id='shop', max_concurrency=8,\n"
        "    dag_args={'tags': ['shop'], 'default_args': {'retries': 7, 'owner': 'shop'}})\n"
        "verify_dag('check', cron='0 3 * * *', start_date=datetime(2026, 1, 1, tzinfo=UTC), repair=True)\n"
    )
    bag = DagBag(dag_folder=tmp_path)

    assert (bag.import_errors, sorted(bag.dags)) == ({}, ["check", "reviews"])
    reviews = bag.dags["reviews"]
    chosen = ("database", "service_format", "mongo_conn_id", "max_concurrency", "lookback_hours")
    assert [reviews.params[name] for name in chosen] == ["shop", "presidio", "shop", 8, 6]
    assert {task.retries for task in reviews.tasks} == {7}
    assert (reviews.tags, reviews.owner) == ({"shop"}, "shop")
    assert reviews.task_dict["run_range"].pool == "gpu_pool"
    assert [asset.name for asset in reviews.task_dict["summarize"].outlets] == ["shop.reviews_entities"]
    assert (bag.dags["check"].params["repair"], bag.dags["check"].params["lookback_hours"]) == (True, 0)


@pytest.fixture
def documented(airflow, tmp_path):
    """The DAGs of the two examples in docs/dags.md, each saved as a file exactly as printed."""
    from airflow.dag_processing.dagbag import DagBag

    for at, example in enumerate(re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)):
        (tmp_path / f"example_{at}.py").write_text(example)
    bag = DagBag(dag_folder=tmp_path)
    assert bag.import_errors == {}
    return bag.dags


def test_the_example_of_the_document_is_a_file_of_dags(documented):
    """The first example makes four DAGs with the schedules it names; the other makes one."""
    kinds = {dag_id: type(dag.timetable).__name__ for dag_id, dag in documented.items()}
    assert kinds == {
        "reviews_backfill": "NullTimetable",
        "reviews_hourly": "CronDataIntervalTimetable",
        "reviews_replay": "NullTimetable",
        "reviews_verify": "CronDataIntervalTimetable",
        "reviews_announced": "NullTimetable",
    }
    capacities = {dag_id: dag.params["service_capacity"] for dag_id, dag in documented.items()}
    assert capacities == {**dict.fromkeys(kinds, 64), "reviews_announced": None}


def test_the_example_with_tasks_of_one_s_own_surrounds_the_tasks(documented):
    """It has a task before `plan` and one after `summarize`; tasks that call the service are in the pool."""
    tasks = documented["reviews_announced"].task_dict
    assert tasks["restore_indexes"].downstream_task_ids == {"plan"}
    assert tasks["summarize"].downstream_task_ids == {"announce"}
    assert (tasks["run_range"].pool, tasks["run_range"].is_mapped) == ("extract_pool", True)


def test_the_open_shape_is_that_of_one_call(dags):
    """`ner_backfill.py` writes its tasks out; `backfill_dag` makes the same DAG."""
    from airflow.serialization.serialized_objects import DagSerialization

    from keyset_batch_airflow import backfill_dag

    opened = dags["ner_backfill"]
    args = {"doc_md": opened.doc_md, "tags": sorted(opened.tags)}
    seen = [
        DagSerialization.to_dict(dag)["dag"] for dag in (opened, backfill_dag("ner_backfill", dag_args=args))
    ]
    for dag in seen:
        for place in ("fileloc", "relative_fileloc"):
            dag.pop(place, None)
    assert seen[0] == seen[1]


def test_a_default_for_no_param_is_an_import_error(airflow, tmp_path):
    """A default with a misspelt name, or a value that its param does not allow, is not silently ignored."""
    from airflow.dag_processing.dagbag import DagBag

    begin = "from keyset_batch_airflow import replay_dag\nreplay_dag('r', "
    (tmp_path / "misspelt.py").write_text(f"{begin}colection='reviews')")
    (tmp_path / "wrong.py").write_text(f"{begin}service_format='grpc')")

    errors = {Path(path).name: error for path, error in DagBag(dag_folder=tmp_path).import_errors.items()}

    assert "no such param: colection; there are start, end" in errors["misspelt.py"]
    assert "'grpc' is not one of" in errors["wrong.py"]


def test_the_owner_s_name_leads_somewhere(airflow, monkeypatch):
    """A deployment sets its owner and a contact address once for all DAGs; one DAG may override them."""
    from keyset_batch_airflow import dags

    monkeypatch.setattr(dags, "OWNER", "data-platform")
    monkeypatch.setattr(dags, "OWNER_LINK", "https://wiki.example.com/data-platform")
    ours = dags.replay_dag("ours")
    own = {"default_args": {"owner": "shop"}, "owner_links": {"shop": "mailto:shop@example.com"}}
    theirs = dags.replay_dag("theirs", dag_args=own)
    assert (ours.owner, ours.owner_links) == (
        "data-platform",
        {"data-platform": "https://wiki.example.com/data-platform"},
    )
    assert (theirs.owner, theirs.owner_links) == ("shop", {"shop": "mailto:shop@example.com"})
