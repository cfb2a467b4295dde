"""What a task tells of its report: lines of its log, numbers for Airflow, and the saved HTML file."""

from __future__ import annotations

import logging
from typing import Any

import engine
from engine.report import COLUMNS, RunReport, rows
from engine.settings import Settings
from engine.verdict import verdict_of
from engine.wording import reasons_of
from keyset_batch_airflow.report_files import report_file, reports_path

log = logging.getLogger(__name__)


def show(report: RunReport) -> None:
    """Writes a report into the log: table, notes, reasons of dead letters, and verdict."""
    for line in table(report):
        log.info(line)
    for note in report.notes:
        log.warning("%s", note)
    for reason in reasons_of(report.dead_letter_reasons):
        log.warning("dead letters: %s", reason)
    log.info(verdict_of(report).title)


def table(report: RunReport) -> list[str]:
    """A report as aligned lines: the column names, one line for each range, one for the run."""
    cells = [COLUMNS, *rows(report)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(COLUMNS))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


def summary_of(report: RunReport) -> dict[str, Any]:
    """The numbers of a run as JSON, without those of its ranges."""
    whole = report.to_json()
    del whole["ranges"], whole["range_id"]
    return whole


async def html_of(plan: engine.Plan, report: RunReport, target: Any, settings: Settings) -> str | None:
    """The HTML report of a run; None if no reports are saved, or if it cannot be made.

    A failure is only logged: the run does not fail because of its report.
    """
    if not reports_path():
        return None
    try:
        return await engine.report_html(plan, report, target, settings)
    except Exception:
        log.warning("the report could not be made", exc_info=True)
        return None


def save(html: str | None, dag_id: str, run_id: str) -> None:
    """Saves the HTML report of a DAG run, if there is one. A failure is only logged."""
    if html is None:
        return
    try:
        file = report_file(dag_id, run_id)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(html, encoding="utf-8")
            log.info("report in %s", file)
    except Exception:
        log.warning("the report could not be saved", exc_info=True)


def numbers_of(found: engine.Verification) -> dict[str, Any]:
    """The numbers of a verification as JSON, with the keys of the first missing documents; logs them too."""
    from engine.keys.bson_values import to_relaxed_json

    numbers = {name: getattr(found, name) for name in ("read", "present", "dead_lettered", "missing")}
    log.info("%s", ", ".join(f"{name} {count:,}" for name, count in numbers.items()))
    first = [to_relaxed_json(list(key.values)) for key in found.first_missing]
    for key in first:
        log.warning("missing: %s", key)
    return {**numbers, "first_missing": first, "outside": dict(found.outside), "digest": found.digest}
