"""The DAG file as Airflow's DAG processor and the trigger form see it."""

# ruff: noqa: PLC0415  (Airflow reads its environment when it is imported: only once a fixture has set it)
from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine import Settings
from engine.formats import FORMATS

DAGS = Path(__file__).parents[2] / "airflow_dags"

WRONG = {
    "start": 20250101,
    "database": "",
    "order_type": "timestamp",
    "filter": "{}",
    "service_format": "grpc",
    "range_documents": 0,
    "max_ranges": 1001,
    "max_concurrency": "64",
    "batch_texts": 0,
    "max_dead_letters": -1,
    "mongo_conn_id": None,
    "service_conn_id": "http://user:password@host",
}


def test_the_folder_parses_without_errors_or_warnings(airflow):
    """The DAGs, no import error, and no warning captured while the files were parsed."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=DAGS)

    assert bag.import_errors == {}
    assert sorted(bag.dags) == ["ner_backfill"]
    assert bag.captured_warnings == {}


def test_parsing_imports_no_engine_and_no_driver(airflow):
    """The DAG processor parses the file again and again: what is heavy is imported by tasks only."""
    code = (
        "import sys, warnings; warnings.simplefilter('error', DeprecationWarning); import airflow.sdk;"
        "before = set(sys.modules); import ner_backfill;"
        "print(sorted({'engine', 'motor', 'extract_glue', 'pydantic_settings'} & set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=DAGS, capture_output=True, text=True, check=False, timeout=120
    )
    assert (found.stdout.strip().splitlines()[-1:], found.returncode) == (["[]"], 0), found.stderr


def test_the_shape_of_the_dag(dag):
    """Plan, then one mapped task a range in the pool, then a summary whatever became of them."""
    plan, run_range, summarize = (dag.task_dict[name] for name in ("plan", "run_range", "summarize"))
    assert plan.downstream_task_ids == {"run_range", "summarize"}
    assert run_range.downstream_task_ids == {"summarize"}
    assert (run_range.is_mapped, run_range.pool, run_range.retries) == (True, "extract_pool", 3)
    assert summarize.trigger_rule == "all_done"
    deadline_s = run_range.partial_kwargs["op_kwargs"]["deadline_s"]
    assert 0 < deadline_s < run_range.execution_timeout.total_seconds()


def test_everything_is_explained_in_the_ui(dag):
    """The DAG, its tasks and each parameter say what they are for."""
    assert dag.doc_md
    assert all(task.doc_md for task in dag.tasks)
    for name, param in dag.params.items():
        assert dag.params.get_param(name).schema["title"], name
        assert dag.params.get_param(name).description, (name, param)


def test_params_are_the_engine_s_settings(dag):
    """Params that are settings have the engine's defaults; the formats are the engine's."""
    import extract_glue

    settings = Settings()
    for name in extract_glue.SETTINGS:
        assert dag.params[name] == getattr(settings, name), name
    assert dag.params.get_param("service_format").schema["enum"] == list(FORMATS)


@pytest.mark.parametrize("name", WRONG)
def test_wrong_params_are_refused_before_a_run_starts(dag, name):
    """The trigger form and the API validate each parameter by its schema."""
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(WRONG[name])


def test_no_param_is_a_secret(dag):
    """Passwords, tokens and addresses come from Connections: params name these only."""
    names = set(dag.params)
    assert {name for name in names if name.endswith("_conn_id")} == {
        "mongo_conn_id",
        "target_conn_id",
        "service_conn_id",
    }
    assert not [
        name for name in names if any(word in name for word in ("password", "token", "uri", "secret"))
    ]
