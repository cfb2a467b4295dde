"""Runs the README's deployment as it is written: the shell for real, its `airflow` commands in one process.

The `airflow` program takes some five seconds to start. So the shell finds a program of that name, which only
writes its arguments down; one Python process then gives them all to Airflow's own command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import pytest

from tests.support.documents import block_with
from tests.support.places import ROOT

RECORDER = """#!{python}
import json, pathlib, sys
with (pathlib.Path(__file__).parent / "calls").open("a") as calls:
    print(json.dumps([pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]), file=calls)
"""

AIRFLOW = """
import json, sys
from airflow.utils.db import initdb
initdb()
from airflow.cli.cli_parser import get_parser
for arguments in json.load(sys.stdin):
    parsed = get_parser().parse_args(arguments)
    parsed.func(parsed)

from airflow.models import Connection, DagModel, DagRun, Pool
from airflow.utils.session import create_session
with create_session() as session:
    runs = session.query(DagRun).all()
    found = {
        "slots": session.query(Pool).filter(Pool.pool == "extract_pool").one().slots,
        "connections": {c.conn_id: [c.conn_type, c.host, c.port] for c in session.query(Connection)},
        "paused": {dag.dag_id: dag.is_paused for dag in session.query(DagModel)},
        "runs": [[run.dag_id, str(run.state), run.conf] for run in runs],
    }
print("FOUND", json.dumps(found))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder for Airflow's home, and for the programs that stand in for `airflow` and `pip`."""
    place = tmp_path_factory.mktemp("deployment")
    (place / "bin").mkdir()
    (place / "home" / "dags").mkdir(parents=True)
    for name in ("airflow", "pip"):
        program = place / "bin" / name
        program.write_text(RECORDER.format(python=sys.executable))
        program.chmod(0o755)
    return place


@pytest.fixture(scope="module")
def environment(place):
    """The user's shell has Airflow's home and the password, but none of Airflow's other variables."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "AIRFLOW_HOME": str(place / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "MONGO_PASSWORD": "a password",
    }


@pytest.fixture(scope="module")
def calls(place, environment):
    """Runs the block in bash; returns the calls of programs, with their arguments."""
    block = block_with("sh", "airflow pools set")
    done = subprocess.run(
        ["bash", "-euc", block],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in (place / "bin" / "calls").read_text().splitlines()]


@pytest.fixture(scope="module")
def found(calls, environment):
    """The content of Airflow's database after all the commands."""
    commands = [arguments for program, *arguments in calls if program == "airflow"]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AIRFLOW],
        env=environment,
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.rpartition("FOUND ")[2])


def test_the_installation_names_an_extra_that_exists(calls):
    """It is `pip install ".[airflow]"` in the checkout; tests/airflow shows that the wheel works."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [call for call in calls if call[0] == "pip"] == [["pip", "install", ".[airflow]"]]
    assert "airflow" in project["optional-dependencies"]


def test_pool_and_connections_are_there(found):
    """They have the names that the DAG uses by default."""
    assert found["slots"] == 4
    assert found["connections"] == {
        "mongo_default": ["mongo", "db.example", 27017],
        "ner_default": ["http", "ner.example", 3000],
    }


def test_the_dag_is_known_unpaused_and_triggered(found):
    """The README's file was parsed, and its run waits for a scheduler."""
    assert found["paused"] == {"reviews_backfill": False}
    assert found["runs"] == [["reviews_backfill", "queued", {"start": "2026-01-01", "end": "2026-02-01"}]]
