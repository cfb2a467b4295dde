"""Names a Celery worker of the demo. Airflow uses it as the host name, which all workers share here."""

import os

VARIABLE = "DEMO_WORKER_NAME"
CALLABLE = f"{__name__}.worker_name"
"""The value of Airflow's setting `[core] hostname_callable`."""


def worker_name() -> str:
    """The name that Airflow records as the host of a task."""
    return os.environ[VARIABLE]
