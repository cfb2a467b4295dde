"""The name of a Celery worker of the demo, in the place of its machine's, which all of them share here."""

import os

VARIABLE = "DEMO_WORKER_NAME"
CALLABLE = f"{__name__}.worker_name"
"""For Airflow's setting `[core] hostname_callable`."""


def worker_name() -> str:
    """What Airflow takes for the host that a task runs on."""
    return os.environ[VARIABLE]
