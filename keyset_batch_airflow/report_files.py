"""Where the HTML reports of runs are saved: tasks write them, and the plugin in the API server reads them.

The environment variable `NER_REPORTS_PATH` names a folder, or a place in an object storage in the form that
Airflow's `ObjectStoragePath` takes (`s3://connection@bucket/reports`). Without it no report is saved. Each
run has one file: `<dag id>/<run id>.html`.
"""

from __future__ import annotations

import hashlib
import os
import re

from airflow.sdk import ObjectStoragePath

MOST_CHARS = 150
"""Characters kept of an id. Airflow's ids have up to 250; file systems allow 255 bytes with the suffix."""


def report_file(dag_id: str, run_id: str) -> ObjectStoragePath | None:
    """The path of a run's report, whether the file exists or not; None if no reports are saved."""
    place = reports_path()
    if place is None:
        return None
    return ObjectStoragePath(place) / file_name(dag_id) / f"{file_name(run_id)}.html"


def reports_path() -> str | None:
    """The value of `NER_REPORTS_PATH`; None if no reports are saved."""
    return os.environ.get("NER_REPORTS_PATH") or None


def file_name(name: str) -> str:
    """Turns an id into a file name; different ids give different names.

    Ids come from requests to the plugin, and may be `..` or contain slashes. No such id gives a path outside
    the folder.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:MOST_CHARS]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
