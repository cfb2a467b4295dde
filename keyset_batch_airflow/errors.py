"""How tasks fail, as the DAGs' retry policy tells failures apart. Light: it is imported when DAGs are parsed.

What a retry cannot change (a setting, a Connection, a missing index) is Airflow's own `AirflowFailException`:
it fails a task at once.
"""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException


class Unfinished(AirflowException):
    """Work stopped before its end, and nothing is lost: the next try goes on from there."""


class ServiceOutage(Unfinished):
    """The service did not work for longer than the engine waits for it; nothing is blamed on documents."""
