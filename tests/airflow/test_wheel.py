"""The contents of the wheel, and DAG files that use it where the repository is not at hand."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest

from tests.support.places import ROOT

PACKAGES = {"engine", "keyset_batch_airflow"}

FIVE_LINES = """
from keyset_batch_airflow import backfill_dag

dag = backfill_dag("reviews_backfill", collection="messages", range_documents=20, batch_texts=4)
"""
COMPOSED = """
from airflow.sdk import task
from keyset_batch_airflow import extraction_dag, plan, run_range, summarize

@task
def before() -> str:
    return "ready"

@task
def after(summary: dict) -> str:
    return f"{summary['written']} written"

with extraction_dag("reviews_composed", range_documents=20, batch_texts=4) as dag:
    planned = plan()
    summary = summarize(planned, run_range.partial().expand(key_range=planned))
    before() >> planned
    after(summary)
"""
RUN = """
import sys
from runpy import run_path
import engine, keyset_batch_airflow
run = run_path(sys.argv[1])["dag"].test(run_conf={"database": sys.argv[2]})
for ti in run.get_task_instances():
    print("task", ti.task_id, ti.state, ti.xcom_pull(ti.task_id) if ti.task_id in ("before", "after") else "")
print("ran", run.state, engine.__file__, keyset_batch_airflow.__file__)
"""
PLUGINS = """
import keyset_batch_airflow
from airflow.plugins_manager import _get_plugins
plugins, errors = _get_plugins()
# The tests' environment may have the package too: Airflow then loads the first and skips the second.
print("errors", [error for error in errors.values() if "already registered" not in error])
print("from", keyset_batch_airflow.__file__)
for plugin in plugins:
    if plugin.name == "ner_progress":
        print("plugin", plugin.source, [view["name"] for view in plugin.external_views])
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as an installer builds it, without a package index."""
    built = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder with the unpacked wheel, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture
def run_python(airflow, installed, tmp_path):
    """Runs Python code in a folder that is also the DAGs folder; the packages come from the wheel alone."""

    def run(code, *arguments):
        changed = {"PYTHONPATH": str(installed), "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)}
        environment = {**os.environ, **changed, "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-c", code, *map(str, arguments)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout.splitlines()

    return run


def test_the_wheel_holds_two_packages_and_nothing_else(wheel):
    """It holds all files of `engine` and `keyset_batch_airflow`, and neither demo, tests nor benchmarks."""
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {Path(name).parts[0] for name in held} == PACKAGES
    assert held == files
    assert "keyset_batch_airflow/plugin/progress.html" in held
    assert {"engine/reporting/page.html", "engine/reporting/style.css"} <= set(held)


def test_the_wheel_registers_the_plugin(installed):
    """The entry point that Airflow looks for names a class of the wheel."""
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    parser = ConfigParser()
    parser.read(entry_points)
    assert dict(parser["airflow.plugins"]) == {"ner_progress": "keyset_batch_airflow.plugin:ProgressPlugin"}


def test_airflow_finds_the_plugin_of_the_wheel(run_python, installed):
    """The entry point is enough: nothing is copied, and the plugin loads without an error."""
    errors, place, plugin = run_python(PLUGINS)[-3:]
    assert errors == "errors []"
    assert place == f"from {installed}/keyset_batch_airflow/__init__.py"
    assert plugin.startswith("plugin keyset-batch-engine==")
    assert "keyset_batch_airflow.plugin:ProgressPlugin" in plugin
    assert plugin.endswith("['Progress']")


@pytest.mark.parametrize(
    ("text", "own"),
    [(FIVE_LINES, set()), (COMPOSED, {"task before success ready", "task after success 50 written"})],
    ids=["five lines", "tasks before and after"],
)
def test_a_dag_file_runs_with_the_wheel_alone(run_python, installed, source, tmp_path, text, own):
    """It runs on a real mongod without the repository; one of the files adds tasks of its own."""
    file = tmp_path / "reviews.py"
    file.write_text(text)

    lines = run_python(RUN, file, source.database.name)

    *_, ran = [line for line in lines if line.startswith("ran ")]
    assert ran.split()[1] == "success"
    assert all(path.startswith(str(installed)) for path in ran.split()[2:])
    assert own <= set(map(str.strip, lines))
    assert source.database["messages_entities"].count_documents({}) == 50
