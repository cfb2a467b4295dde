"""The plugin in Airflow's own API server application: what it shows of a run, and to whom."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from demo.servers.ports import LOOPBACK, free_port
from tests.support.stored_run import keep

HEAVY = {"fastapi", "pymongo", "motor", "aiohttp", "keyset_batch_airflow.plugin.routes"}
ROUTES = ("progress", "numbers", "report")
REPORT = "<!DOCTYPE html><title>Report</title><p>all of it</p>"


def test_the_plugin_loads_without_errors(client, as_user):
    """Airflow shows its tab on DAG runs and reports no import error."""
    from airflow import plugins_manager

    assert plugins_manager.get_import_errors() == {}
    (plugin,) = client.get("/api/v2/plugins", headers=as_user("ADMIN")).json()["plugins"]
    (view,) = plugin["external_views"]
    assert (plugin["name"], view["destination"]) == ("ner_progress", "dag_run")
    assert plugin["fastapi_apps"][0]["url_prefix"] == "/ner"


def test_the_plugin_costs_other_processes_little(airflow):
    """Scheduler and workers load it too, so it must import neither the web application nor a driver."""
    code = (
        "import sys, airflow.sdk.plugins_manager; before = set(sys.modules);"
        "import keyset_batch_airflow.plugin;"
        f"print(sorted({HEAVY} & set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (found.stdout.strip().splitlines()[-1:], found.returncode) == (["[]"], 0), found.stderr


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_sees_a_run_without_signing_in(client, plain, route):
    """Airflow's own authentication answers 401 without a token, whether or not the run exists."""
    ended, _ = plain
    for run_id in (ended.dag_run_id, "no-such-run"):
        assert client.get(f"/ner/{route}/{ended.dag_id}/{run_id}").status_code == 401


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_sees_a_run_of_a_dag_that_is_not_theirs(client, as_user, plain, route):
    """Airflow's own authorization answers 403 to a user who may not read runs of this DAG."""
    ended, _ = plain
    answer = client.get(f"/ner/{route}/{ended.dag_id}/{ended.dag_run_id}", headers=as_user(role=None))
    assert answer.status_code == 403


def test_permission_is_asked_for_the_runs_of_the_dag_that_is_shown(client, as_user, plain, monkeypatch):
    """The auth manager is asked about the DAG in the path, even if a query parameter names another one."""
    from airflow.api_fastapi.app import get_auth_manager

    asked = []
    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", lambda _, **what: asked.append(what))
    ended, _ = plain
    for route in ROUTES:
        client.get(f"/ner/{route}/{ended.dag_id}/{ended.dag_run_id}?dag_id=another", headers=as_user())
    assert [(what["method"], what["access_entity"].value, what["details"].id) for what in asked] == [
        ("GET", "RUN", ended.dag_id)
    ] * 3


def test_a_run_that_ended_is_shown_with_its_verdict(ask, plain):
    """The numbers from MongoDB are those of the run's report."""
    ended, _ = plain
    answer = ask("numbers", ended.dag_id, ended.dag_run_id)
    seen = answer.json()
    assert answer.status_code == 200
    assert (seen["ended"], seen["by_status"], seen["size"]) == (True, {"succeeded": 3}, 50)
    assert seen["totals"]["written"] == seen["totals"]["read"] == 50
    assert seen["verdict"]["kind"] == "good"
    page = ask("progress", ended.dag_id, ended.dag_run_id)
    assert page.status_code == 200
    assert "Reconciled: nothing was lost" in page.text
    assert 'data-refresh-s="30"' in page.text


def test_a_run_under_way_is_shown_and_asked_for_again(ask, begun, stored):
    """It shows a running range, a waiting one, the rate and the time left; the page reloads its numbers."""
    run_id = begun(database=stored.name)
    keep(stored, run_id, retries=7, dead_lettered=2)
    text = ask("progress", "ner_backfill", run_id).text
    assert 'data-refresh-s="2"' in text
    for part in ("0:00 .. 1:00", "running", "pending", "40 / 100", "0 / 100", "32 s", "1 running, 1 pending"):
        assert part in re.sub(r"<[^>]*>", "", text), part


def test_params_name_the_place(ask, begun, stored):
    """A run's own target database and Connection win over those of the documents."""
    run_id = begun(
        database="elsewhere",
        target_database=stored.name,
        mongo_conn_id="nowhere",
        target_conn_id="mongo_default",
    )
    keep(stored, run_id)
    assert ask("numbers", "ner_backfill", run_id).json()["totals"]["read"] == 40


def test_no_more_is_read_than_is_shown(client, stored):
    """A checkpoint contains keys of documents, and may contain more some day: these stay in MongoDB."""
    from keyset_batch_airflow.plugin.store import Place, read_run

    keep(stored, "r", position="a key", timeline={"much": "more"})
    place = Place("mongo_default", stored.name, "engine_plans", "engine_checkpoints")
    plan, (checkpoint,) = read_run(place, "ner_backfill/r")
    assert set(plan) == {"_id", "run_id", "ranges"}
    assert not {"position", "timeline"} & set(checkpoint)
    assert checkpoint["read"] == 40


def test_the_page_holds_no_secret_and_no_text(ask, begun, stored, secrets):
    """It shows neither the Connection's login, nor keys or texts that the stored documents contain."""
    run_id = begun(database=stored.name)
    keep(stored, run_id, position="a key", fingerprint={"filter": "a filter"}, owner="a token", text="a text")
    for route in ("progress", "numbers"):
        text = ask(route, "ner_backfill", run_id).text
        for hidden in (*secrets.values(), "mongodb://", "a key", "a filter", "a token", "a text"):
            assert hidden not in text


def test_what_people_wrote_is_no_markup(ask, begun, stored):
    """Labels and problems are shown as text, whatever characters they contain."""
    run_id = begun(database=stored.name)
    keep(stored, run_id, status="failed", problem="<script>alert(1)</script>")
    text = ask("progress", "ner_backfill", run_id).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_the_page_runs_its_own_script_alone(ask, plain):
    """It loads nothing from elsewhere, runs only scripts with its nonce, and no other site can frame it."""
    ended, _ = plain
    answers = [ask("progress", ended.dag_id, ended.dag_run_id) for _ in range(2)]
    policies = [answer.headers["content-security-policy"] for answer in answers]
    nonce = re.search("script-src 'nonce-([^']+)'", policies[0])[1]
    assert policies[0] != policies[1]
    assert policies[0].startswith("default-src 'none'")
    assert "frame-ancestors 'self'" in policies[0]
    assert re.findall("<(?:script|style)[^>]*>", answers[0].text) == [
        f'<style nonce="{nonce}">',
        f'<script nonce="{nonce}">',
    ]
    assert not re.search(r"(src|href)=.(https?:)?//|style=|onclick=", answers[0].text)


@pytest.mark.parametrize("route", ["progress", "numbers"])
def test_a_mongodb_that_does_not_answer_is_said_soon(ask, begun, monkeypatch, route):
    """The view shows a message without the address, long before the driver's timeout of half a minute."""
    address = {
        "conn_type": "mongo",
        "host": LOOPBACK,
        "port": free_port(),
        "extra": {"serverSelectionTimeoutMS": 600_000},
    }
    monkeypatch.setenv("AIRFLOW_CONN_FAR_AWAY", json.dumps(address))
    from keyset_batch_airflow.plugin import store

    monkeypatch.setattr(store, "TIMEOUT_S", 0.2)
    answer = ask(route, "ner_backfill", begun(mongo_conn_id="far_away"))
    assert answer.status_code == 503
    assert "far_away" in answer.text
    assert "cannot be reached from the API server" in answer.text
    assert LOOPBACK not in answer.text


NOT_READABLE = {
    "no such connection": ({"mongo_conn_id": "nowhere"}, "The conn_id `nowhere` isn"),
    "of another type": ({"mongo_conn_id": "ner_default"}, "conn_type"),
    "wrong login": ({"mongo_conn_id": "stranger"}, "refuses: AuthenticationFailed"),
    "no name of a database": ({"database": "a b"}, "database names cannot contain"),
}


@pytest.mark.parametrize(("conf", "said"), NOT_READABLE.values(), ids=NOT_READABLE)
def test_what_cannot_be_read_is_said(ask, begun, monkeypatch, secret_uri, conf, said):
    """The message names the cause, and contains no secret."""
    host = re.search("@([^/]+)/", secret_uri)[1]
    stranger = {
        "conn_type": "mongo",
        "host": host,
        "login": "ner",
        "password": "wrong-8c1d",
        "extra": {"authSource": "admin"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_STRANGER", json.dumps(stranger))
    answer = ask("progress", "ner_backfill", begun(**conf))
    assert answer.status_code == 503
    assert said in answer.text
    assert "wrong-8c1d" not in answer.text


def test_a_run_without_a_plan_is_waited_for(ask, begun, stored):
    """While its first task runs, the page says that there is no plan yet, and asks again."""
    answer = ask("progress", "ner_backfill", begun(database=stored.name))
    assert (answer.status_code, "No plan yet" in answer.text) == (404, True)
    assert 'data-refresh-s="2"' in answer.text


def test_a_dag_without_ranges_has_nothing_to_show(ask, begun):
    """The tab, which all runs of all DAGs have, says that this DAG has no ranges to show."""
    for dag_id, conf in (("ner_backfill", {"mongo_conn_id": None}), ("ner_replay", {})):
        answer = ask("progress", dag_id, begun(dag_id, **conf))
        assert (answer.status_code, "have no ranges" in answer.text) == (404, True)


@pytest.mark.parametrize("route", ROUTES)
def test_a_run_that_is_none_is_not_found(ask, plain, route):
    """Ids come from users: one that names no run gets 404."""
    for run_id in ("no-such-run", "%2E%2E", "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd", "a/b"):
        assert ask(route, "ner_backfill", run_id).status_code == 404


def test_the_report_is_served_as_a_file_without_rights(client, ask, plain):
    """The saved report may run no script and is isolated from Airflow's origin; before it exists, 404."""
    from keyset_batch_airflow.report_files import report_file

    ended, _ = plain
    file = report_file(ended.dag_id, ended.dag_run_id)
    file.unlink(missing_ok=True)
    missing = ask("report", ended.dag_id, ended.dag_run_id)
    assert (missing.status_code, "no report of this run is saved" in missing.text) == (404, True)
    assert "Run report" not in ask("progress", ended.dag_id, ended.dag_run_id).text

    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(REPORT)
    served = ask("report", ended.dag_id, ended.dag_run_id)
    policy = served.headers["content-security-policy"]
    assert (served.status_code, served.text) == (200, REPORT)
    assert policy.startswith("sandbox; default-src 'none'")
    assert "allow-scripts" not in policy
    assert "script-src" not in policy
    assert "Run report" in ask("progress", ended.dag_id, ended.dag_run_id).text


def test_a_file_of_no_run_is_not_served(ask, plain):
    """Of all files in the storage, only reports of runs that the user may read are served."""
    from keyset_batch_airflow.report_files import report_file

    file = report_file("ner_backfill", "no-such-run")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(REPORT)
    assert ask("report", "ner_backfill", "no-such-run").status_code == 404


def test_a_storage_of_reports_that_fails_hides_no_progress(ask, plain, monkeypatch):
    """The numbers come from MongoDB: the page shows them, only without the link to the report."""
    ended, _ = plain
    monkeypatch.setenv("NER_REPORTS_PATH", "nosuchstorage://bucket/reports")
    page = ask("progress", ended.dag_id, ended.dag_run_id)
    assert (page.status_code, "Run report" in page.text) == (200, False)


def links(client, headers, ended, task_id, map_index=-1):
    """The extra links of a task, as the user interface gets them."""
    path = f"/api/v2/dags/{ended.dag_id}/dagRuns/{ended.dag_run_id}/taskInstances/{task_id}/links"
    return client.get(path, params={"map_index": map_index}, headers=headers).json()["extra_links"]


def test_tasks_lead_to_the_progress_and_the_report(client, as_user, plain):
    """Each task links to its run's tab, `summarize` to the report too; links are relative to Airflow."""
    from urllib.parse import unquote

    ended, _ = plain
    progress = f"dags/{ended.dag_id}/runs/{ended.dag_run_id}/plugin/ner-progress"
    for task_id, map_index in (("plan", -1), ("run_range", 1)):
        found = links(client, as_user(), ended, task_id, map_index)
        assert (unquote(found["Progress"]), found["Run report"]) == (progress, None)
    found = links(client, as_user(), ended, "summarize")
    assert unquote(found["Progress"]) == progress
    assert unquote(found["Run report"]) == f"ner/report/{ended.dag_id}/{ended.dag_run_id}"


def test_without_a_place_for_reports_no_link_leads_there(client, as_user, plain, monkeypatch):
    """If reports are not saved, there is no link to them."""
    monkeypatch.delenv("NER_REPORTS_PATH")
    ended, _ = plain
    assert links(client, as_user(), ended, "summarize")["Run report"] is None
