"""The demo's Airflow, started for real with a DAG of the test's."""

import pytest

from demo.errors import DemoError
from demo.processes.process_tree import living_members
from demo.processes.records import read_records
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.airflow import Airflow, AirflowSettings
from demo.servers.airflow_api import FINAL_STATES

DAG = """
from airflow.sdk import BaseHook, dag, get_current_context, task

@dag(dag_id="small", schedule=None, params={"count": 1})
def small():
    @task
    def numbers():
        assert BaseHook.get_connection("ner_default").port == 8
        return list(range(get_current_context()["params"]["count"]))

    @task(pool="extract_pool")
    def look(number):
        return number

    look.expand(number=numbers())

small()
"""


@pytest.mark.scheduler
def test_a_triggered_run_goes_through_pool_and_connections(tmp_path):
    """Start, parse, trigger with a conf, follow to the end, look at the tasks; then nothing is left."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "small.py").write_text(DAG, encoding="utf-8")
    settings = AirflowSettings(tmp_path / "airflow", dags, {"ner_default": {"conn_type": "http", "port": 8}})
    with Supervisor(tmp_path) as supervisor:
        airflow = Airflow(settings, supervisor)
        airflow.migrate()
        airflow.start()
        airflow.await_dag("small")
        airflow.api.trigger("small", "run+1", {"count": 3})
        state = wait_for(lambda: _final_state(airflow), "the run", timeout_s=120, check=supervisor.check)
        instances = airflow.api.task_instances("small", "run+1")
        leaders = read_records(supervisor.records_path).leaders
        with pytest.raises(DemoError, match="409"):
            airflow.api.trigger("small", "run+1", {})
    assert state == "success"
    assert sorted(i["map_index"] for i in instances if i["task_id"] == "look") == [0, 1, 2]
    assert [living_members(leader) for leader in leaders] == [set()] * len(leaders)


def _final_state(airflow):
    state = airflow.api.run_state("small", "run+1")
    return state if state in FINAL_STATES else None
