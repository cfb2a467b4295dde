"""Kills a Celery worker during the run, and checks that other workers finish its ranges."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo.database import Database

from demo.celery.airflow import WORKER_SLOTS, process_name
from demo.celery.checks import Check
from demo.following import CHECKPOINTS, DagRun, Document
from demo.processes.supervisor import Supervisor
from demo.servers.airflow_api import AirflowApi, Json

MAPPED_TASK = "run_range"


@dataclass(frozen=True, slots=True)
class WorkerLoss:
    """A worker that was killed.

    Attributes:
        worker: Its name.
        at: When it was killed.
        ranges: The checkpoints, just before, of the ranges that it was running, by map index.
    """

    worker: str
    at: datetime
    ranges: Mapping[int, Document]


class WorkerKiller:
    """Kills one worker, once.

    The worker must have finished a range, and each of its slots must be in the middle of another one.

    Attributes:
        loss: The worker that was killed; None before.
    """

    def __init__(
        self, run: DagRun, api: AirflowApi, database: Database[Document], supervisor: Supervisor
    ) -> None:
        self.loss: WorkerLoss | None = None
        self._run = run
        self._api = api
        self._checkpoints = database[CHECKPOINTS]
        self._supervisor = supervisor

    def poll(self) -> None:
        """Kill a worker if one meets the conditions now."""
        if self.loss is not None:
            return
        instances = self._api.task_instances(self._run.dag_id, self._run.dag_run_id)
        busy = busy_worker(instances, under_way(self._checkpoints.find({"run_id": self._run.run_id})))
        if busy is not None:
            worker, ranges = busy
            self._supervisor.kill(process_name(worker))
            self.loss = WorkerLoss(worker, datetime.now(UTC), ranges)

    def checks(self, instances: Sequence[Json]) -> tuple[Check, ...]:
        """Check what became of the killed worker's ranges, and how many ranges each worker has finished."""
        return what_became(self.loss, instances)


def under_way(checkpoints: Iterable[Document]) -> dict[int, Document]:
    """Keep the checkpoints of ranges that are between their beginning and their end, by map index."""
    return {
        int(found["range_id"]): found
        for found in checkpoints
        if found["status"] == "running" and 0 < found["read"] < found["expected"]
    }


def busy_worker(
    instances: Sequence[Json], ranges: Mapping[int, Document]
) -> tuple[str, dict[int, Document]] | None:
    """Find a worker that has finished a range and now runs one of `ranges` in each slot.

    Returns:
        Its name and the ranges that it runs; None if there is no such worker.
    """
    running: dict[str, dict[int, Document]] = {}
    for instance in mapped(instances):
        index = instance["map_index"]
        if instance["state"] == "running" and index in ranges:
            running.setdefault(instance["hostname"], {})[index] = ranges[index]
    experienced = {instance["hostname"] for instance in mapped(instances) if instance["state"] == "success"}
    busy = (item for item in running.items() if item[0] in experienced and len(item[1]) == WORKER_SLOTS)
    return next(busy, None)


def mapped(instances: Sequence[Json]) -> list[Json]:
    """Keep the instances of the task that runs ranges: one instance per range."""
    return [instance for instance in instances if instance["task_id"] == MAPPED_TASK]


def what_became(loss: WorkerLoss | None, instances: Sequence[Json]) -> tuple[Check, ...]:
    """Check what became of the ranges of a killed worker; see `WorkerKiller.checks`."""
    if loss is None:
        return (Check("no worker was killed: none was seen in the middle of its ranges", passed=False),)
    by_index = {instance["map_index"]: instance for instance in mapped(instances)}
    killed = Check(f"{loss.worker} was killed in the middle of {len(loss.ranges)} ranges", passed=True)
    ends = [_end_of(index, found, by_index[index], loss) for index, found in loss.ranges.items()]
    shares = Counter(instance["hostname"] for instance in by_index.values())
    counts = ", ".join(f"{worker} {count}" for worker, count in sorted(shares.items()))
    return (killed, *ends, Check(f"ranges finished by each worker: {counts}", passed=len(shares) > 1))


def _end_of(index: int, checkpoint: Document, instance: Json, loss: WorkerLoss) -> Check:
    """Check that another worker has finished a range that the killed worker was running."""
    elsewhere = instance["hostname"] != loss.worker and instance["try_number"] > 1
    where = f"range {index:04d}, killed after {checkpoint['read']:,} of {checkpoint['expected']:,} messages"
    if not elsewhere or instance["state"] != "success":
        return Check(f"{where}, was not finished by another worker", passed=False)
    waited_s = (datetime.fromisoformat(instance["start_date"]) - loss.at).total_seconds()
    return Check(f"{where}: {instance['hostname']} continued it {waited_s:.0f} s later", passed=True)
