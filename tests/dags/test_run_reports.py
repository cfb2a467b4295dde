"""The page about a DAG run: saved where a setting says, whatever became of the run, and never its fault."""

from __future__ import annotations

import pytest
from faults.misbehaviour import status


@pytest.fixture
def reports(monkeypatch, tmp_path):
    """The folder of the reports."""
    monkeypatch.setenv("NER_REPORTS_PATH", str(tmp_path / "reports"))
    return tmp_path / "reports"


@pytest.fixture
def saved(reports):
    """The page of a run that has ended."""
    return lambda ended: (reports / ended.dag_id / f"{_file_name(ended.dag_run_id)}.html").read_text()


def _file_name(run_id):
    from ner_report_files import file_name  # noqa: PLC0415  (it imports Airflow)

    return file_name(run_id)


def test_a_run_that_succeeds_has_its_page(run_dag, saved, secrets, text_of, caplog):
    """With its ranges, entities and samples; the log names the place, and no secret or text is in it."""
    ended = run_dag()

    page = saved(ended)
    assert ended.state == "success"
    assert "Reconciled: nothing was lost" in page
    assert page.count("<g class=") == 3
    assert "<bdi>Paris</bdi>" in page
    assert "No samples were kept" not in page
    assert "/reports/ner_backfill/" in caplog.text
    assert [word for word in (*secrets.values(), text_of(1)) if word in page] == []


def test_a_run_that_fails_has_its_page_too(run_dag, saved, service):
    """It says why; entities are left out by the param."""
    service.down = status(503)

    ended = run_dag(end="2025-01-01T00:00:05Z", report_entities=0)

    page = saved(ended)
    assert ended.state == "failed"
    assert "Interrupted: not reconciled yet" in page
    assert "ServiceDown" in page
    assert "Top entities" not in page


def test_a_page_that_cannot_be_saved_fails_no_run(run_dag, reports, caplog):
    """The log says why."""
    reports.write_text("a file, no folder")

    ended = run_dag()

    assert (ended.state, ended.tries["summarize"]) == ("success", 1)
    assert "the report could not be saved" in caplog.text


def test_a_page_that_cannot_be_made_fails_no_run(run_dag, reports, monkeypatch, caplog):
    """Whatever is wrong with it."""
    import engine  # noqa: PLC0415

    def broken(*_):
        raise RuntimeError("no page today")

    monkeypatch.setattr(engine, "report_html", broken)

    ended = run_dag()

    assert ended.state == "success"
    assert "the report could not be made" in caplog.text
    assert not reports.exists()


def test_without_a_place_no_page_is_made(run_dag, glue, monkeypatch):
    """Nothing is looked up for it either."""
    import engine  # noqa: PLC0415

    monkeypatch.delenv("NER_REPORTS_PATH", raising=False)
    monkeypatch.setattr(engine, "report_html", None)  # calling it would be logged as an error

    assert run_dag(report_entities=5).state == "success"
