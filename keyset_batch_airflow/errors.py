"""The errors of tasks that Airflow retries; the retry policy chooses the delay by their class.

What a retry cannot change (a setting, a Connection, a missing index) is Airflow's own `AirflowFailException`,
which fails a task at once.
"""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowException


class Unfinished(AirflowException):
    """The work stopped before its end. Nothing is lost: the next try goes on from the checkpoint."""


class ServiceOutage(Unfinished):
    """The service was down for longer than `max_outage_s`. No document is a dead letter because of it."""
