"""How `pytest -n` spreads the tests: whole files, and together what starts something costly.

A file's tests share its fixtures, so each file runs in one process. Those that run DAGs in place share one
initialized Airflow. Those that start an Airflow of their own, of four processes, run one after another.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

OWN_AIRFLOW = ("tests/airflow/scheduler/", "tests/demo/servers/test_airflow_real.py")
AIRFLOW_IN_PLACE = "tests/airflow/"


def group_of(nodeid: str) -> str:
    """What runs together with this test, in the order of collection."""
    path = nodeid.partition("::")[0]
    if path.startswith(OWN_AIRFLOW):
        return "own Airflow"
    return AIRFLOW_IN_PLACE if path.startswith(AIRFLOW_IN_PLACE) else path


class ByGroup(LoadScopeScheduling):
    """Groups in the order of collection: the long ones come first, the many quick ones fill what is left."""

    def __init__(self, config, log=None):
        config.option.loadscopereorder = False  # By default most tests first, which here are the quickest.
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        return group_of(nodeid)
