"""The environment of the demo's Airflow, and its tasks' logs."""

import json

import pytest

from demo.errors import DemoError
from demo.following import DagRun
from demo.processes.supervisor import Supervisor
from demo.servers.airflow import Airflow, AirflowSettings
from demo.task_logs import first_failure, render_line

RUN = DagRun("ner_backfill", "demo-1")


@pytest.fixture
def airflow(tmp_path):
    """An Airflow that is never started."""
    settings = AirflowSettings(
        home=tmp_path / "airflow",
        dags_folder=tmp_path,
        connections={"ner_default": {"conn_type": "http", "port": 8}},
        extra_env={"AIRFLOW__CORE__PARALLELISM": "2"},
        port=18080,
    )
    with Supervisor(tmp_path) as supervisor:
        yield Airflow(settings, supervisor)


def test_connections_and_extra_settings_are_in_the_environment(airflow):
    """Connections as JSON; the extra environment wins."""
    environment = airflow.environment()
    assert json.loads(environment["AIRFLOW_CONN_NER_DEFAULT"]) == {"conn_type": "http", "port": 8}
    assert environment["AIRFLOW__CORE__PARALLELISM"] == "2"
    assert environment["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:18080/execution/"


def test_the_reports_have_their_place(airflow, tmp_path):
    """Reports are saved below the AIRFLOW_HOME of the Airflow that makes them."""
    environment = airflow.environment()
    assert environment["NER_REPORTS_PATH"] == str(tmp_path / "airflow" / "reports")
    saved = airflow.settings.report_of("ner_backfill", "demo-1")
    assert saved == tmp_path / "airflow" / "reports" / "ner_backfill" / "demo-1.html"


def test_secrets_are_made_once_and_are_the_owners_alone(airflow):
    """All processes and later starts share them; no other user can read them."""
    first, second = airflow.environment(), airflow.environment()
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] == second["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert len(first["AIRFLOW__API__SECRET_KEY"]) > 32
    assert (airflow.settings.home / "secrets.json").stat().st_mode & 0o077 == 0


def test_a_folder_without_dags_is_refused_at_once(airflow):
    """Otherwise the demo would wait a minute for a DAG that cannot come."""
    with pytest.raises(DemoError, match="has no DAG"):
        airflow.migrate()


def test_the_log_of_the_first_failure_is_found(tmp_path):
    """Tasks that failed later, or only because others failed, are not the cause."""
    place = tmp_path / "logs/dag_id=ner_backfill/run_id=demo-1/task_id=run_range/map_index=3"
    place.mkdir(parents=True)
    log = place / "attempt=2.log"
    log.write_text("", encoding="utf-8")
    instances = [
        {"task_id": "plan", "map_index": -1, "state": "success", "end_date": "1"},
        {"task_id": "run_range", "map_index": 3, "state": "failed", "end_date": "2"},
        {"task_id": "summarize", "map_index": -1, "state": "failed", "end_date": "3"},
        {"task_id": "later", "map_index": -1, "state": "upstream_failed", "end_date": None},
    ]
    assert first_failure(tmp_path, RUN, instances) == log
    assert first_failure(tmp_path, RUN, instances[:1]) is None


@pytest.mark.parametrize(
    ("line", "rendered"),
    [
        ('{"timestamp": "t", "level": "info", "event": "e", "lineno": 1}', "t info e"),
        ('{"event": "e", "error_detail": [{"exc_type": "T", "exc_value": "v"}]}', "e T: v"),
        ("plain", "plain"),
        ("[1]", "[1]"),
    ],
)
def test_a_log_line_is_shown_without_its_machinery(line, rendered):
    """Airflow's logs are JSON lines; the processes' are plain."""
    assert render_line(line) == rendered
