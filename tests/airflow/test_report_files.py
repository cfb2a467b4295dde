"""Where run reports are saved: one file a run, and no id can point outside the folder."""

from __future__ import annotations

import pytest


@pytest.fixture
def files(airflow):
    """The module that chooses the place."""
    from keyset_batch_airflow import report_files  # noqa: PLC0415  (it imports Airflow)

    return report_files


@pytest.mark.parametrize("place", [None, ""])
def test_no_report_is_saved_unless_a_place_is_named(files, monkeypatch, place):
    """The setting is missing, or empty."""
    monkeypatch.delenv("NER_REPORTS_PATH", raising=False)
    if place is not None:
        monkeypatch.setenv("NER_REPORTS_PATH", place)
    assert files.report_file("ner_backfill", "manual") is None


def test_a_report_is_a_file_in_the_folder_of_its_dag(files, monkeypatch, tmp_path):
    """The place may be a folder, given by its path."""
    monkeypatch.setenv("NER_REPORTS_PATH", str(tmp_path))
    assert str(files.report_file("ner_backfill", "by-hand")) == f"{tmp_path}/ner_backfill/by-hand.html"


def test_an_address_of_an_object_storage_is_kept(files, monkeypatch):
    """The address keeps the Connection that it names."""
    monkeypatch.setenv("NER_REPORTS_PATH", "file://reports_conn@/reports")
    found = files.report_file("ner_backfill", "by-hand")
    assert (found.protocol, found.conn_id) == ("file", "reports_conn")


@pytest.mark.parametrize(
    "hostile", ["..", "../../etc/passwd", "a/b", "a\\b", "/etc/passwd", ".hidden", "a\0b"]
)
def test_no_id_leads_out_of_the_folder(files, monkeypatch, tmp_path, hostile):
    """The plugin gets ids from requests, so they cannot be trusted."""
    monkeypatch.setenv("NER_REPORTS_PATH", str(tmp_path))
    for dag_id, run_id in ((hostile, "run"), ("dag", hostile)):
        found = str(files.report_file(dag_id, run_id)).removeprefix(f"{tmp_path}/")
        folder, name = found.split("/")
        assert not folder.startswith(".")
        assert not name.startswith(".")


def test_different_runs_have_different_files(files):
    """So do ids that differ only in their ends, or in characters that a file name cannot hold."""
    runs = ["manual__2025-01-01T00:00:00+00:00", "manual__2025-01-01T00_00_00_00_00", "x" * 250, "x" * 249]
    names = [files.file_name(run) for run in runs]
    assert len(set(names)) == 4
    assert max(map(len, names)) < 200
    assert names[1] == runs[1]
