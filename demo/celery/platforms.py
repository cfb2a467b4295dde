"""Where the DAG of a demo runs: beside the scheduler, or on Celery's workers, of which one is lost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pymongo.database import Database

from demo.celery.airflow import CeleryAirflow, require_all
from demo.celery.findings import Finding
from demo.celery.worker_loss import WorkerKiller
from demo.following import DagRun, Document
from demo.processes.supervisor import Supervisor
from demo.servers.airflow import Airflow
from demo.servers.airflow_api import AirflowApi, Json
from demo.servers.startup import MakeAirflow


class Watcher(Protocol):
    """Looks at a run while it goes on, and may interfere."""

    def look(self) -> None:
        """Called each second."""

    def findings(self, instances: Sequence[Json]) -> tuple[Finding, ...]:
        """What there is to say about the run once it has ended, given its task instances."""


class Bystander:
    """Leaves a run alone."""

    def __init__(self, *_: object) -> None:
        pass

    def look(self) -> None:
        """See `Watcher.look`."""

    def findings(self, instances: Sequence[Json]) -> tuple[Finding, ...]:  # noqa: ARG002
        """See `Watcher.findings`."""
        return ()


@dataclass(frozen=True, slots=True)
class Platform:
    """A way to run Airflow.

    Attributes:
        command: How its demo is started.
        airflow: Makes the Airflow.
        watcher: Makes what looks at the run.
        conf: More parameters of the DAG run.
        require: Raises a DemoError if something that it needs is not installed.
    """

    command: str
    airflow: MakeAirflow
    watcher: Callable[[DagRun, AirflowApi, Database[Document], Supervisor], Watcher]
    conf: Mapping[str, Any] = field(default_factory=dict)
    require: Callable[[], object] = lambda: None


LOCAL = Platform("make demo", Airflow, Bystander)

CELERY = Platform(
    "make demo-celery",
    CeleryAirflow,
    WorkerKiller,
    # Everything is sent, also a second time: a worker is to be killed while it has work.
    {"force": True},
    require_all,
)
