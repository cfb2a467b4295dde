"""A plugin of Airflow: the tab *Progress* of a DAG run, and links from tasks to it and to the run's report.

Airflow finds it by the entry point `airflow.plugins` of this package. Every process of Airflow imports this
module; what the routes need is imported only by the API server, when it mounts them.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.plugins_manager import AirflowPlugin

from keyset_batch_airflow.report_files import report_file
from keyset_batch_airflow.tasks import ExtractionOperator

PREFIX = "ner"
"""The first part of the routes' paths."""

TAB = "ner-progress"
"""The name of the tab in the addresses of the user interface."""


class ProgressLink(BaseOperatorLink):
    """The link from a task to the progress of its run; it is there as soon as the task exists."""

    name = "Progress"
    operators = [ExtractionOperator]  # noqa: RUF012  (declared so by Airflow)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """The address of the tab, relative to the base of the user interface."""
        return f"dags/{quote(ti_key.dag_id)}/runs/{quote(ti_key.run_id, safe='')}/plugin/{TAB}"


class ReportLink(BaseOperatorLink):
    """The link from `summarize` to the report of its run."""

    name = "Run report"
    operators = [ExtractionOperator]  # noqa: RUF012  (declared so by Airflow)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The address of the report; empty, so that no link is shown, for other tasks and without reports."""
        if operator.task_id != "summarize" or report_file(ti_key.dag_id, ti_key.run_id) is None:
            return ""
        return f"{PREFIX}/report/{quote(ti_key.dag_id)}/{quote(ti_key.run_id, safe='')}"


class ProgressPlugin(AirflowPlugin):
    """The plugin as Airflow reads it."""

    name = "ner_progress"
    external_views = [  # noqa: RUF012  (declared so by Airflow)
        {
            "name": "Progress",
            "href": f"{PREFIX}/progress/{{DAG_ID}}/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": TAB,
        }
    ]
    operator_extra_links = [ProgressLink(), ReportLink()]  # noqa: RUF012

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # read once, and only there
        """The routes; only the API server reads this attribute."""
        from keyset_batch_airflow.plugin.routes import make_app

        return [{"app": make_app(), "url_prefix": f"/{PREFIX}", "name": "Progress of extractions"}]
