"""The two platforms that run the demo's DAG: LocalExecutor, or Celery workers of which one is killed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pymongo.database import Database

from demo.celery.airflow import CeleryAirflow, require_all
from demo.celery.checks import Check
from demo.celery.worker_loss import WorkerKiller
from demo.following import DagRun, Document
from demo.processes.supervisor import Supervisor
from demo.servers.airflow import Airflow
from demo.servers.airflow_api import AirflowApi, Json
from demo.servers.startup import MakeAirflow


class Watcher(Protocol):
    """Observes a run while it goes on, and may interfere with it."""

    def poll(self) -> None:
        """Called every second while the run goes on."""

    def checks(self, instances: Sequence[Json]) -> tuple[Check, ...]:
        """Check the run, which has ended, by its task instances."""


class NullWatcher:
    """A watcher that does nothing and checks nothing."""

    def __init__(self, *_: object) -> None:
        pass

    def poll(self) -> None:
        """See `Watcher.poll`."""

    def checks(self, instances: Sequence[Json]) -> tuple[Check, ...]:  # noqa: ARG002
        """See `Watcher.checks`."""
        return ()


@dataclass(frozen=True, slots=True)
class Platform:
    """A way to run Airflow in the demo.

    Attributes:
        command: The command that starts its demo.
        airflow: Makes the Airflow servers.
        watcher: Makes the watcher of the run.
        conf: More params of the DAG run.
        require: Raises DemoError if something is not installed.
    """

    command: str
    airflow: MakeAirflow
    watcher: Callable[[DagRun, AirflowApi, Database[Document], Supervisor], Watcher]
    conf: Mapping[str, Any] = field(default_factory=dict)
    require: Callable[[], object] = lambda: None


LOCAL = Platform("make demo", Airflow, NullWatcher)

CELERY = Platform(
    "make demo-celery",
    CeleryAirflow,
    WorkerKiller,
    # Every message is sent, also in a second demo: a worker must have work when it is killed.
    {"force": True},
    require_all,
)
