"""The environment and commands of the demo with Celery, and which worker is killed when."""

from datetime import UTC, datetime, timedelta

import mongomock
import pytest
from rich.console import Console

from demo.celery import airflow as celery_airflow
from demo.celery import worker_name
from demo.celery.airflow import WORKER_SLOTS, WORKERS, CeleryAirflow, worker_command, worker_environment
from demo.celery.platforms import CELERY, LOCAL
from demo.celery.programs import Programs
from demo.celery.worker_loss import WorkerKiller, WorkerLoss, busy_worker, under_way, what_became
from demo.errors import DemoError
from demo.following import DagRun
from demo.processes.supervisor import Supervisor
from demo.servers.airflow import POOL_SLOTS, AirflowSettings
from demo.session import Options, run_demo
from demo.window import DEFAULT_WINDOW

RUN = DagRun("ner_backfill", "demo-1")
AT = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def airflow(monkeypatch, tmp_path):
    """An Airflow with Celery that is never started."""
    monkeypatch.setattr(
        celery_airflow, "find_programs", lambda: Programs(tmp_path / "pg", tmp_path / "redis")
    )
    settings = AirflowSettings(tmp_path / "airflow", tmp_path, extra_env={"NER_RETRY_DELAY_S": "7"})
    with Supervisor(tmp_path) as supervisor:
        yield CeleryAirflow(settings, supervisor)


def test_airflow_is_led_to_the_servers_of_the_demo(airflow):
    """The environment names executor, database, results and broker; `extra_env` overrides it."""
    environment = airflow.environment()
    database = environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    place = database.partition("://")[2]
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert database.startswith("postgresql+psycopg2://airflow:")
    assert "@127.0.0.1:" in place
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] == f"postgresql+asyncpg://{place}"
    assert environment["AIRFLOW__CELERY__RESULT_BACKEND"] == f"db+{database}"
    assert environment["AIRFLOW__CELERY__BROKER_URL"].startswith("redis://:")
    assert environment["NER_RETRY_DELAY_S"] == "7"


def test_a_task_may_miss_several_heartbeats_before_it_is_lost(airflow):
    """A task that waits for a free slot of the surviving worker does not count as stuck at once."""
    environment = airflow.environment()
    timeout_s = int(environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"])
    assert timeout_s >= 5 * int(environment["AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL"])
    assert float(environment["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"]) > 2 * timeout_s


def test_each_worker_has_a_name_and_half_of_the_pool(monkeypatch):
    """Airflow records the name as the host of a task."""
    assert len(WORKERS) * WORKER_SLOTS == POOL_SLOTS
    for name in WORKERS:
        command = worker_command(name)
        assert command[command.index("--celery-hostname") + 1] == name
        assert command[command.index("--concurrency") + 1] == str(WORKER_SLOTS)
        assert "--skip-serve-logs" in command
        monkeypatch.setenv(worker_name.VARIABLE, worker_environment(name)[worker_name.VARIABLE])
        assert worker_name.worker_name() == name
    assert (
        worker_environment("a")["AIRFLOW__CORE__HOSTNAME_CALLABLE"] == "demo.celery.worker_name.worker_name"
    )


def test_what_is_missing_is_told_before_anything_is_started(monkeypatch, tmp_path):
    """Not even the state directory is created."""

    def missing():
        raise DemoError("apt-get install redis-server")

    monkeypatch.setattr(celery_airflow, "find_programs", missing)
    options = Options(tmp_path / "state", tmp_path, DEFAULT_WINDOW, 500, platform=CELERY)
    with pytest.raises(DemoError, match="apt-get install redis-server"):
        run_demo(options, Console())
    assert list(tmp_path.iterdir()) == []


def test_everything_is_sent_a_second_time_too(tmp_path):
    """Otherwise a second demo would have no work in which a worker could be killed."""
    options = Options(tmp_path, tmp_path, DEFAULT_WINDOW, 500, platform=CELERY)
    assert options.all_sent
    assert options.conf()["force"] is True
    assert not Options(tmp_path, tmp_path, DEFAULT_WINDOW, 500, platform=LOCAL).all_sent


def instance(index, state, hostname, **more):
    """An instance of the mapped task, as Airflow's API returns it."""
    return {"task_id": "run_range", "map_index": index, "state": state, "hostname": hostname, **more}


def checkpoint(index, read, status="running"):
    """The checkpoint of a range of 500 documents."""
    return {"range_id": f"{index:04d}", "read": read, "expected": 500, "status": status, "run_id": RUN.run_id}


def test_only_ranges_between_their_beginning_and_their_end_are_under_way():
    """A kill before the first checkpoint, or after the last, would show nothing."""
    found = under_way(
        [checkpoint(0, 0), checkpoint(1, 250), checkpoint(2, 500), checkpoint(3, 250, "succeeded")]
    )
    assert list(found) == [1]


BUSY = [
    instance(0, "success", "worker-2"),
    instance(1, "running", "worker-2"),
    instance(2, "running", "worker-2"),
    instance(3, "running", "worker-1"),
    {"task_id": "plan", "map_index": -1, "state": "success", "hostname": "worker-1"},
]


@pytest.mark.parametrize(
    ("ranges", "instances", "worker"),
    [
        ({1, 2, 3}, BUSY, "worker-2"),
        ({1, 3}, BUSY, None),  # a slot of worker-2 is at the beginning of its range
        ({1, 2, 3}, BUSY[1:], None),  # worker-1 has not finished a range yet
    ],
)
def test_a_worker_with_work_behind_it_and_in_every_slot_is_found(ranges, instances, worker):
    """Each of the three conditions is necessary."""
    found = busy_worker(instances, {index: checkpoint(index, 100) for index in ranges})
    assert found == (None if worker is None else (worker, {i: checkpoint(i, 100) for i in (1, 2)}))


class Api:
    """Returns the same instances each time, and counts the calls."""

    def __init__(self, instances):
        self.instances, self.asked = instances, 0

    def task_instances(self, dag_id, dag_run_id):
        """All instances of the run."""
        assert (dag_id, dag_run_id) == (RUN.dag_id, RUN.dag_run_id)
        self.asked += 1
        return self.instances


def test_one_worker_is_killed_once():
    """Ranges of another run do not count; the checkpoints of the killed worker's ranges are kept."""
    killed = []

    class Supervisor:
        def kill(self, name):
            killed.append(name)

    with mongomock.MongoClient() as client:
        checkpoints = client["chat"]["engine_checkpoints"]
        api = Api(BUSY)
        killer = WorkerKiller(RUN, api, client["chat"], Supervisor())
        checkpoints.insert_many([{**checkpoint(index, 300), "run_id": "another"} for index in (1, 2)])
        killer.poll()
        assert killed == []
        checkpoints.insert_many([checkpoint(1, 100), checkpoint(2, 200)])
        for _ in range(3):
            killer.poll()
    assert killed == ["celery-worker-2"]
    assert killer.loss.worker == "worker-2"
    assert {index: found["read"] for index, found in killer.loss.ranges.items()} == {1: 100, 2: 200}
    assert api.asked == 2


LOST = WorkerLoss("worker-2", AT, {1: checkpoint(1, 100)})
LATER = (AT + timedelta(seconds=18)).isoformat()
ENDED = [instance(0, "success", "worker-2", try_number=1, start_date=LATER)]


def test_a_range_that_another_worker_has_finished_is_told_with_its_wait():
    """The checks say how far it was, who continued it and when, and how many ranges each worker finished."""
    again = instance(1, "success", "worker-1", try_number=2, start_date=LATER)
    found = what_became(LOST, [*ENDED, again])
    assert [check.passed for check in found] == [True] * 3
    killed, ended, shares = (check.text for check in found)
    assert killed == "worker-2 was killed in the middle of 1 ranges"
    assert ended == "range 0001, killed after 100 of 500 messages: worker-1 continued it 18 s later"
    assert shares == "ranges finished by each worker: worker-1 1, worker-2 1"


@pytest.mark.parametrize(
    "again",
    [
        instance(1, "success", "worker-2", try_number=1, start_date=LATER),
        instance(1, "failed", "worker-1", try_number=2, start_date=LATER),
    ],
)
def test_a_range_that_nobody_has_taken_over_is_a_problem(again):
    """It was finished by the killed worker after all, or failed."""
    ended = what_became(LOST, [*ENDED, again])[1]
    assert not ended.passed
    assert "was not finished by another worker" in ended.text


def test_a_run_in_which_nobody_was_killed_is_a_problem():
    """The demo has not shown what it is meant to show."""
    (check,) = what_became(None, ENDED)
    assert not check.passed
    assert "no worker was killed" in check.text
