"""The loss of a Celery worker in the midst of its work, and what became of its ranges."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pymongo.database import Database

from demo.celery.airflow import WORKER_SLOTS, process_name
from demo.celery.findings import Finding
from demo.following import CHECKPOINTS, DagRun, Document
from demo.processes.supervisor import Supervisor
from demo.servers.airflow_api import AirflowApi, Json

MAPPED_TASK = "run_range"


@dataclass(frozen=True, slots=True)
class Loss:
    """A worker that was killed.

    Attributes:
        worker: Its name.
        at: When.
        ranges: The checkpoints of the ranges that it was running, as they were a moment before, by map index.
    """

    worker: str
    at: datetime
    ranges: Mapping[int, Document]


class WorkerKiller:
    """Kills one worker, once, that has work behind it and is in the midst of a range in each slot.

    Attributes:
        loss: What it has done; None as long as it has not.
    """

    def __init__(
        self, run: DagRun, api: AirflowApi, database: Database[Document], supervisor: Supervisor
    ) -> None:
        self.loss: Loss | None = None
        self._run = run
        self._api = api
        self._checkpoints = database[CHECKPOINTS]
        self._supervisor = supervisor

    def look(self) -> None:
        """Kills, if the moment has come."""
        if self.loss is not None:
            return
        instances = self._api.task_instances(self._run.dag_id, self._run.dag_run_id)
        busy = busy_worker(instances, under_way(self._checkpoints.find({"run_id": self._run.run_id})))
        if busy is not None:
            worker, ranges = busy
            self._supervisor.kill(process_name(worker))
            self.loss = Loss(worker, datetime.now(UTC), ranges)

    def findings(self, instances: Sequence[Json]) -> tuple[Finding, ...]:
        """What became of the killed worker's ranges, and who has finished how many of all."""
        return what_became(self.loss, instances)


def under_way(checkpoints: Iterable[Document]) -> dict[int, Document]:
    """Those of ranges that are neither at their beginning nor at their end, by map index."""
    return {
        int(found["range_id"]): found
        for found in checkpoints
        if found["status"] == "running" and 0 < found["read"] < found["expected"]
    }


def busy_worker(
    instances: Sequence[Json], ranges: Mapping[int, Document]
) -> tuple[str, dict[int, Document]] | None:
    """A worker that has finished a range, and whose every slot runs one of these ranges; and these."""
    running: dict[str, dict[int, Document]] = {}
    for instance in mapped(instances):
        index = instance["map_index"]
        if instance["state"] == "running" and index in ranges:
            running.setdefault(instance["hostname"], {})[index] = ranges[index]
    experienced = {instance["hostname"] for instance in mapped(instances) if instance["state"] == "success"}
    busy = (item for item in running.items() if item[0] in experienced and len(item[1]) == WORKER_SLOTS)
    return next(busy, None)


def mapped(instances: Sequence[Json]) -> list[Json]:
    """The instances of the task that runs ranges, one for each range."""
    return [instance for instance in instances if instance["task_id"] == MAPPED_TASK]


def what_became(loss: Loss | None, instances: Sequence[Json]) -> tuple[Finding, ...]:
    """See `WorkerKiller.findings`."""
    if loss is None:
        return (Finding("no worker was killed: none was seen in the midst of its ranges", passed=False),)
    by_index = {instance["map_index"]: instance for instance in mapped(instances)}
    killed = Finding(f"{loss.worker} was killed in the midst of {len(loss.ranges)} ranges", passed=True)
    ends = [_end_of(index, found, by_index[index], loss) for index, found in loss.ranges.items()]
    shares = Counter(instance["hostname"] for instance in by_index.values())
    said = ", ".join(f"{worker} {count}" for worker, count in sorted(shares.items()))
    return (killed, *ends, Finding(f"ranges finished by each worker: {said}", passed=len(shares) > 1))


def _end_of(index: int, checkpoint: Document, instance: Json, loss: Loss) -> Finding:
    """Whether another worker has finished a range that the killed one was running."""
    elsewhere = instance["hostname"] != loss.worker and instance["try_number"] > 1
    where = f"range {index:04d}, killed after {checkpoint['read']:,} of {checkpoint['expected']:,} messages"
    if not elsewhere or instance["state"] != "success":
        return Finding(f"{where}, was not finished by another worker", passed=False)
    waited_s = (datetime.fromisoformat(instance["start_date"]) - loss.at).total_seconds()
    return Finding(f"{where}: {instance['hostname']} went on {waited_s:.0f} s later", passed=True)
