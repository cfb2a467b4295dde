"""Decides for `pytest -n` which tests run in the same process, and in which order.

The tests of a file share its fixtures, so each file runs in one process. The tests that run DAGs in place
share an initialized Airflow, and run in one process. The tests that start an Airflow of their own, which has
four processes, run in one process too, so that there is never more than one such Airflow.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

OWN_AIRFLOW = "tests/airflow/scheduler/"
AIRFLOW_IN_PLACE = "tests/airflow/"


def group_of(nodeid: str) -> str:
    """The name of the group of tests that run in the same process as this one."""
    path = nodeid.partition("::")[0]
    if path.startswith(OWN_AIRFLOW):
        return "own Airflow"
    return AIRFLOW_IN_PLACE if path.startswith(AIRFLOW_IN_PLACE) else path


class ByGroup(LoadScopeScheduling):
    """Hands out the groups in the order of collection.

    The two large groups, those with an Airflow, are collected first. The small ones then keep both processes
    busy until the end.
    """

    def __init__(self, config, log=None):
        # By default, xdist begins with the groups that have the most tests, which here are the quickest ones.
        config.option.loadscopereorder = False
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        return group_of(nodeid)
