"""Where run reports are saved. Light: tasks write there, and a plugin of the API server reads there.

`NER_REPORTS_PATH` names a folder, or an object storage as Airflow's `ObjectStoragePath` takes its address
(`s3://connection@bucket/reports`); where it is not set, no report is saved. One file a run:
`<dag id>/<run id>.html`.
"""

from __future__ import annotations

import hashlib
import os
import re

from airflow.sdk import ObjectStoragePath

MOST_CHARS = 150
"""Of a name; Airflow's ids have up to 250, file systems take 255 with the suffix."""


def report_file(dag_id: str, run_id: str) -> ObjectStoragePath | None:
    """The file of a run's report, whether it is there or not; None where none is to be saved."""
    place = reports_path()
    if place is None:
        return None
    return ObjectStoragePath(place) / file_name(dag_id) / f"{file_name(run_id)}.html"


def reports_path() -> str | None:
    """The setting; None where no report is to be saved."""
    return os.environ.get("NER_REPORTS_PATH") or None


def file_name(name: str) -> str:
    """An id as the name of a file: different ids give different names, none of which leads elsewhere.

    Ids come with a request of the API server's plugin, and may be `..` or hold slashes.
    """
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name).lstrip(".")[:MOST_CHARS]
    return safe if safe == name else f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
