"""The HTML report of a DAG run: saved for success and failure, and never the reason why a run fails."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import pytest

import engine


@pytest.fixture
def reports(airflow, monkeypatch, tmp_path):
    """The folder of the reports."""
    monkeypatch.setenv("NER_REPORTS_PATH", str(tmp_path / "reports"))
    return tmp_path / "reports"


@pytest.fixture
def logged(caplog):
    """The messages that tasks have logged so far."""
    caplog.set_level("INFO")
    return lambda: caplog.text


def test_a_run_has_its_report(run_dag, reports, secrets, text_of, logged):
    """It has the ranges and entities of the run, but no secret and no text; the log names its file."""
    from keyset_batch_airflow.report_files import file_name

    ended = run_dag()

    file = reports / "ner_backfill" / f"{file_name(ended.dag_run_id)}.html"
    html = file.read_text()
    assert ended.state == "success"
    assert "Reconciled: nothing was lost" in html
    assert html.count("<g class=") == 3
    assert "<bdi>Paris</bdi>" in html
    assert "No samples were kept" not in html
    assert f"report in {file}" in logged()
    assert [word for word in (*secrets.values(), text_of(1)) if word in html] == []


def test_a_run_that_fails_has_its_report_too(tasks, in_task, reports):
    """The report is made before the task fails, and names a range that nobody ran.

    A param leaves entities out.
    """
    from airflow.sdk.exceptions import AirflowFailException

    in_task(range_documents=30, report_entities=0)
    planned = tasks.plan()
    done = [tasks.run_range(planned[0], deadline_s=60)]

    with pytest.raises(AirflowFailException, match="1 of 2 ranges did not report: 0001"):
        tasks.summarize(planned, done)

    html = (reports / "ner_backfill" / "by-hand.html").read_text()
    assert "Not reconciled" in html
    assert "1 of 2 ranges did not report: 0001" in html
    assert "Top entities" not in html


def broken(*_):
    """Replaces the function that makes the report with one that fails."""
    raise RuntimeError("no report today")


def test_a_report_that_cannot_be_made_or_saved_fails_no_run(tasks, in_task, reports, monkeypatch, logged):
    """The log says why there is no report."""
    in_task()
    planned = tasks.plan()
    done = [tasks.run_range(planned[0], deadline_s=60)]
    reports.write_text("a file, no folder")
    assert tasks.summarize(planned, done)["reconciled"]
    assert "the report could not be saved" in logged()

    monkeypatch.setattr(engine, "report_html", broken)
    assert tasks.summarize(planned, done)["reconciled"]
    assert "the report could not be made" in logged()


def test_without_a_place_no_report_is_made(tasks, in_task, monkeypatch, logged):
    """The data for it are not queried either."""
    monkeypatch.delenv("NER_REPORTS_PATH", raising=False)
    monkeypatch.setattr(engine, "report_html", broken)
    in_task()
    planned = tasks.plan()
    done = [tasks.run_range(planned[0], deadline_s=60)]
    assert tasks.summarize(planned, done)["reconciled"]
    assert "could not be made" not in logged()


def test_an_outage_is_told_by_its_class(tasks, reports):
    """The class of the error decides, not its message; other interruptions are no outage."""
    from keyset_batch_airflow.errors import ServiceOutage, Unfinished
    from keyset_batch_airflow.tasks import _refuse_unfinished

    for reason, kind in (("ServiceDown", ServiceOutage), ("Interrupted", Unfinished)):
        words = ("the service does not work",) if kind is Unfinished else ("whatever",)
        report = engine.RangeReport(
            run_id="run", status=engine.Status.INTERRUPTED, range_id="0000", problems=words, reason=reason
        )
        with pytest.raises(Unfinished) as raised:
            _refuse_unfinished(report, "range 0000")
        assert type(raised.value) is kind
