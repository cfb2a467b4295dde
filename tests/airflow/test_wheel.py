"""The contents of the wheel, and DAG files that use it where the repository is not at hand."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from pathlib import Path

import pytest
from pymongo import MongoClient

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
for name in ("reviews_backfill", "reviews_composed"):
    run = run_path(f"{name}.py")["dag"].test(run_conf={"database": sys.argv[1], "target_database": name})
    print("ran", name, run.state)
    for ti in run.get_task_instances():
        returned = ti.xcom_pull(ti.task_id) if ti.task_id in ("before", "after") else ""
        print("task", ti.task_id, ti.state, returned)
"""
PLUGINS = """
import engine, keyset_batch_airflow
from airflow.plugins_manager import _get_plugins
plugins, errors = _get_plugins()
# The tests' environment may have the package too: Airflow then loads the first and skips the second.
print("errors", [error for error in errors.values() if "already registered" not in error])
print("from", engine.__file__, keyset_batch_airflow.__file__)
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


@pytest.fixture(scope="module")
def printed(airflow, installed, make_source, tmp_path_factory):
    """What a process prints that runs both DAG files, with the packages of the wheel alone.

    Its folder is also the DAGs folder. It first prints what Airflow finds of the plugin.
    """
    folder, source = tmp_path_factory.mktemp("dags"), make_source()
    (folder / "reviews_backfill.py").write_text(FIVE_LINES)
    (folder / "reviews_composed.py").write_text(COMPOSED)
    changed = {"PYTHONPATH": str(installed), "AIRFLOW__CORE__DAGS_FOLDER": str(folder)}
    environment = {**os.environ, **changed, "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", PLUGINS + RUN, source.database.name]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [line.strip() for line in done.stdout.splitlines()]


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


def test_airflow_finds_the_plugin_of_the_wheel(printed, installed):
    """The entry point is enough: nothing is copied, and the plugin loads without an error."""
    assert "errors []" in printed
    files = [f"{installed}/{package}/__init__.py" for package in ("engine", "keyset_batch_airflow")]
    assert f"from {' '.join(files)}" in printed
    (plugin,) = [line for line in printed if line.startswith("plugin ")]
    assert plugin.startswith("plugin keyset-batch-engine==")
    assert "keyset_batch_airflow.plugin:ProgressPlugin" in plugin
    assert plugin.endswith("['Progress']")


@pytest.mark.parametrize("name", ["reviews_backfill", "reviews_composed"])
def test_a_dag_file_runs_with_the_wheel_alone(printed, secret_uri, name):
    """It runs on a real mongod without the repository."""
    assert f"ran {name} success" in printed
    with MongoClient(secret_uri) as client:
        assert client[name]["messages_entities"].count_documents({}) == 50
        client.drop_database(name)


def test_a_dag_may_have_tasks_of_its_own_before_and_after(printed):
    """The task after the run gets its summary."""
    assert {"task before success ready", "task after success 50 written"} <= set(printed)
