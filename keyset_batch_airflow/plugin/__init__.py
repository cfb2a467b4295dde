"""A plugin of Airflow 3: the tab *Progress* on a DAG run, and links to it and to the run's report.

Every process of Airflow loads it, so this file imports little: what the routes need is imported by the API
server, when it asks for them. `docs/dags.md` says how to install it.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink
from airflow.sdk.plugins_manager import AirflowPlugin

PREFIX = "ner"
TAB = "ner-progress"

OPERATOR = type("ExtractionOperator", (), {"__module__": "airflow_factory"})
"""Stands for the operator of the DAGs' tasks, which Airflow knows by the names of class and module: the API
server cannot import the DAGs."""


class ProgressLink(BaseOperatorLink):
    """From a task to the progress of its run, from the moment it is planned."""

    name = "Progress"
    operators = [OPERATOR]  # noqa: RUF012  (declared so by Airflow)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002
        """Relative to the base of the user interface, wherever it is mounted."""
        return f"dags/{quote(ti_key.dag_id)}/runs/{quote(ti_key.run_id, safe='')}/plugin/{TAB}"


class ReportLink(BaseOperatorLink):
    """From `summarize`, which saves the report of its run, to that report."""

    name = "Run report"
    operators = [OPERATOR]  # noqa: RUF012  (declared so by Airflow)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Empty, and not shown, at other tasks, and where no reports are saved."""
        from keyset_batch_airflow.plugin.routes import report_file

        if operator.task_id != "summarize" or report_file(ti_key.dag_id, ti_key.run_id) is None:
            return ""
        return f"{PREFIX}/report/{quote(ti_key.dag_id)}/{quote(ti_key.run_id, safe='')}"


class NerProgressPlugin(AirflowPlugin):
    """What Airflow reads of the plugin."""

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
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The routes; asked for by the API server alone."""
        from keyset_batch_airflow.plugin.routes import make_app

        return [{"app": make_app(), "url_prefix": f"/{PREFIX}", "name": "Progress of extractions"}]
