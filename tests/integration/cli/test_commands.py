"""The command line: what each command does, prints and returns."""

from __future__ import annotations

import json
import signal
import time

import pytest
from bson import ObjectId

from tests.support.samples import message


def test_run_does_the_whole_job_without_airflow(workplace):
    """Exit status 0, a table, and every extraction; `status` then prints the same from the stored reports."""
    window = ("--start", "2020-01-01T00:01:00Z", "--end", "2020-01-01T00:02:00Z")
    condition = 'filter={"_id": {"$lt": {"$numberInt": "100"}}}'
    code, printed = workplace.call("run", "--extractor", "mine:extract", *window, "-s", condition)
    assert code == 0, printed
    assert workplace.database["messages_entities"].distinct("_id") == list(range(60, 100))


def test_run_exits_1_when_something_was_dead_lettered(workplace):
    """It does so after all else is done; with `max_dead_letters` it exits with 0."""
    code, printed = workplace.call("run", "--extractor", "mine:refuse")
    assert (code, "max_dead_letters allows 0" in printed) == (1, True)
    assert workplace.database["messages_entities"].count_documents({}) == 499
    code, printed = workplace.call("run", "--extractor", "mine:refuse", "-s", "max_dead_letters=1")
    assert code == 0, printed


def test_run_writes_json_lines(workplace):
    """The results go into a file, the checkpoints into the target."""
    code, printed = workplace.call("run", "--extractor", "mine:extract", "--jsonl", "out.jsonl")
    assert code == 0, printed
    lines = (workplace.folder / "out.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["_id"] for line in lines) == list(range(500))
    assert workplace.database["messages_entities"].count_documents({}) == 0


def test_force_sends_and_replaces_everything_again(workplace):
    """Without `--force`, a second run finds everything unchanged."""
    workplace.call("run", "--extractor", "mine:extract")
    first = workplace.database["messages_entities"].find_one({"_id": 7})
    assert workplace.call("run", "--extractor", "mine:extract")[0] == 0
    assert workplace.database["messages_entities"].find_one({"_id": 7}) == first
    code, printed = workplace.call("run", "--extractor", "mine:extract", "--force")
    assert code == 0, printed
    again = workplace.database["messages_entities"].find_one({"_id": 7})
    assert again["extracted_at"] > first["extracted_at"]
    assert again["run_id"] != first["run_id"]


def test_a_forced_run_finds_the_plan_that_was_kept_for_it(workplace):
    """`plan --keep --force` stores the plan that `run --force` uses."""
    assert workplace.call("plan", "--keep", "--force", "-s", "range_documents=100")[0] == 0
    assert workplace.call("run", "--extractor", "mine:extract", "--force")[0] == 0
    assert workplace.database["engine_checkpoints"].count_documents({"status": "succeeded"}) == 5


def test_an_interrupted_run_resumes(workplace):
    """Ctrl-C saves the checkpoints and prints what to do; the same command finishes the job."""
    arguments = (
        "--extractor",
        "mine:slow",
        "--run-id",
        "r",
        "-s",
        "batch_texts=5",
        "-s",
        "max_concurrency=2",
    )
    process = workplace.start("run", *arguments, "-s", "checkpoint_s=0")
    deadline = time.monotonic() + 60
    while workplace.database["engine_checkpoints"].count_documents({"read": {"$gt": 20}}) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "run the same command again to resume" in errors
    stopped = workplace.database["engine_checkpoints"].find_one({})
    assert (stopped["status"], 20 < stopped["read"] < 500) == ("interrupted", True)
    assert workplace.call("status", "r", collection=None)[0] == 1
    code, printed = workplace.call("run", *arguments)
    assert code == 0, printed
    assert workplace.database["engine_checkpoints"].find_one({})["attempts"] == 2


def test_plan_shows_ranges_and_keeps_nothing_unless_asked(workplace):
    """With `--keep` the plan is stored, and the next run finds it."""
    code, printed = workplace.call("plan", "-s", "range_documents=200")
    assert (code, "500 documents in 3 ranges" in printed) == (0, True)
    assert workplace.database["engine_plans"].count_documents({}) == 0
    workplace.call("plan", "--keep", "--run-id", "r")
    assert workplace.database["engine_plans"].find_one({})["_id"] == "r"


def test_verify_exits_0_when_nothing_is_missing(workplace):
    """It prints totals and no document; dead letters count as accounted for."""
    workplace.call("run", "--extractor", "mine:refuse")
    code, printed = workplace.call("verify")
    assert (code, "500 documents: 499 present, 1 dead letters, 0 missing" in printed) == (0, True), printed
    assert "missing: " not in printed


def test_trap_11_verify_names_what_came_late_and_repair_runs_it(workplace):
    """Exit status 1 and the first missing documents; `--repair` sends only these, and exits with 0."""
    workplace.call("run", "--extractor", "mine:extract")
    late = [message(ObjectId(f"{n:024x}"), 5, f"Late {n}") for n in range(5)]
    workplace.database["messages"].insert_many(late)
    code, printed = workplace.call("verify", "--limit", "2")
    assert code == 1, printed
    lines = printed.splitlines()
    assert [line.rstrip() for line in lines[:3]] == [
        'missing: {"$oid": "000000000000000000000000"} at {"$date": "2020-01-01T00:00:05Z"}',
        'missing: {"$oid": "000000000000000000000001"} at {"$date": "2020-01-01T00:00:05Z"}',
        "and 3 more",
    ]
    before = workplace.database["messages_entities"].find_one({"_id": 7})
    code, printed = workplace.call("verify", "--repair", "--extractor", "mine:only_late")
    assert code == 0, printed
    assert "505 documents: 505 present, 0 dead letters, 0 missing" in printed
    assert workplace.database["messages_entities"].find_one({"_id": 7}) == before
    assert workplace.call("verify")[0] == 0


def test_replay_runs_dead_letters_again(workplace):
    """Exit status 1 while any fails again, 0 once all succeed; other error classes are left alone."""
    workplace.call("run", "--extractor", "mine:refuse")
    code, printed = workplace.call("replay", "--extractor", "mine:refuse")
    assert (code, "max_dead_letters allows 0" in printed) == (1, True), printed
    code, printed = workplace.call("replay", "--extractor", "mine:extract", "--kind", "transient")
    assert (code, "Reconciled: nothing was lost" in printed) == (0, True), printed
    assert workplace.database["messages_dead_letters"].count_documents({"resolved_at": None}) == 1
    code, printed = workplace.call("replay", "--extractor", "mine:extract", "--run-id", "again")
    assert code == 0, printed
    assert workplace.database["messages_dead_letters"].find_one({"resolved_by": "again"})["_id"] == 7


def test_repair_that_fails_exits_1(workplace):
    """The service is down: one line with the error, no dead letters, and everything is still missing."""
    code, printed = workplace.call(
        "verify", "--repair", "--extractor", "mine:only_late", "-s", "max_outage_s=0"
    )
    assert (code, "the service does not work" in printed, "Traceback" in printed) == (1, True, False)
    assert workplace.database["messages_dead_letters"].count_documents({}) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--repair"], "either --service-url or --extractor"),
        (["--start", "2021-01-01", "--end", "2020-01-01"], "is after end"),
        (["-s", "order_field=text"], "createIndex"),
        (["-s", "page_document=5"], "did you mean 'tuning.page_documents'"),
        (["--limit", "-1"], "--limit"),
    ],
)
def test_verify_exits_2_for_a_usage_or_configuration_error(workplace, arguments, says):
    """The exit status is the same as with the other commands."""
    code, printed = workplace.call("verify", *arguments)
    assert (code, says in printed, "Traceback" in printed) == (2, True, False), printed


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-s", "range_documents=0"], "range_documents = '0'"),
        (["-s", "range_document=5"], "did you mean 'range_documents'"),
        (["-s", "range_documents"], "write it as NAME=VALUE"),
        (["-s", "filter={broken"], "filter"),
        (["--start", "yesterday"], "start='yesterday' is not an ISO-8601"),
        (["--extractor", "mine:nothing"], "can be imported"),
        (["--service-url", "http://127.0.0.1:1"], "either --service-url or --extractor"),
        (["-s", "order_field=text"], 'createIndex({"text": 1, "_id": 1})'),
    ],
)
def test_a_usage_or_configuration_error_exits_2_in_one_line(workplace, arguments, says):
    """The line names the error; nothing was written."""
    defaults = [] if "mine:nothing" in arguments else ["--extractor", "mine:extract"]
    code, printed = workplace.call("run", *defaults, *arguments)
    assert (code, says in printed) == (2, True), printed
    assert "Traceback" not in printed
    assert workplace.database.list_collection_names() == ["messages"]


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("mongodb://me:xK9qS@127.0.0.1:1/?", 1),
        ("mongodb://127.0.0.1:1/?tls=true&proxyPassword=xK9qS&", 1),
        (
            "mongodb://127.0.0.1:1/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:xK9qS&",
            1,
        ),
        ("me:xK9qS@127.0.0.1:1?", 2),
        ("mongodb://me:p@xK9qS@127.0.0.1:1/?", 2),
        ("mongodb://me:a/xK9qS@127.0.0.1:1/?", 2),
        ("mongodb://127.0.0.1:1/?readPreference=xK9qS&", 1),
        ("mongodb://127.0.0.1:1/?authMechanismProperties=AWS_SESSION_TOKEN:x,xK9qS&", 1),
    ],
)
def test_trap_57_an_address_is_told_without_its_secrets(workplace, uri, code):
    """Of the source and of the target: hosts only; exit status 1 if they are silent, 2 if it is wrong."""
    uri += "serverSelectionTimeoutMS=200"
    for name in ("ENGINE_TARGET_URI", "MONGODB_URI"):
        workplace.environment[name] = uri
        ended, printed = workplace.call_alone("plan", "--verbose")
        assert (ended, "127.0.0.1:1" in printed, "xK9qS" in printed) == (code, True, False), printed
        assert "Traceback" not in printed


def test_a_run_and_its_status_are_written_as_html(workplace):
    """Both commands write it, also for a failed run, with its verdict and its dead letter."""
    arguments = ("--extractor", "mine:refuse", "--run-id", "r", "--html", "out/run.html")
    code, printed = workplace.call("run", *arguments)
    assert (code, "report in out/run.html" in printed) == (1, True)
    assert workplace.call("status", "r", "--html", "status.html", collection=None)[0] == 1
    for name in ("out/run.html", "status.html"):
        written = (workplace.folder / name).read_text()
        assert "Reconciled, but failed" in written
        assert "<bdi>7</bdi>" in written


def test_an_html_file_that_cannot_be_written_is_told(workplace):
    """The run is done all the same, but the exit status is 1."""
    (workplace.folder / "file").write_text("")
    code, printed = workplace.call("run", "--extractor", "mine:extract", "--html", "file/run.html")
    assert (code, "the report could not be written to file/run.html" in printed) == (1, True)
    assert workplace.database["messages_entities"].count_documents({}) == 500
