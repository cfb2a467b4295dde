"""Starts everything that the demo needs, as much at the same time as two cores allow."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from demo import messages
from demo.display import Display
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.airflow import Airflow, AirflowSettings
from demo.servers.connections import http_connection, mongo_connection
from demo.servers.environment import server_environment
from demo.servers.http_json import request_json
from demo.servers.mongod import Mongod
from demo.servers.ports import LOOPBACK, free_port

DAG_ID = "ner_backfill"
_OK = 200
_NER_START_S = 120.0
_MONGO_MS = 5_000

Document = dict[str, Any]
MakeAirflow = Callable[[AirflowSettings, Supervisor], Airflow]


@dataclass(frozen=True, slots=True)
class Servers:
    """The running servers.

    Attributes:
        mongod: The database server.
        airflow: Airflow's processes.
        client: A client of the database server.
    """

    mongod: Mongod
    airflow: Airflow
    client: MongoClient[Document]


@contextmanager
def running_servers(
    state_dir: Path,
    dags_folder: Path,
    supervisor: Supervisor,
    display: Display,
    make_airflow: MakeAirflow = Airflow,
) -> Iterator[Servers]:
    """Start all servers, load the messages, and wait for the DAG. The supervisor's owner ends the servers."""
    ner_port = free_port()
    with _threads(supervisor) as in_parallel:
        # In a thread, like the others: Ctrl-C interrupts only the main thread, so it cannot come between the
        # start of a process and its record.
        (mongod,) = in_parallel(lambda: _start_mongod(state_dir, supervisor, display))
        connections = {
            "mongo_default": mongo_connection(mongod.uri),
            "ner_default": http_connection(LOOPBACK, ner_port),
        }
        settings = AirflowSettings(state_dir / "airflow", dags_folder, connections)
        airflow = make_airflow(settings, supervisor)
        with MongoClient[Document](mongod.uri, serverSelectionTimeoutMS=_MONGO_MS, tz_aware=True) as client:
            in_parallel(
                lambda: _start_airflow(airflow, display),
                lambda: _start_ner(ner_port, supervisor, display),
                lambda: _load_corpus(client, supervisor, display),
            )
            yield Servers(mongod, airflow, client)


@contextmanager
def _threads(supervisor: Supervisor) -> Iterator[Callable[..., list[Any]]]:
    """Yield a function that runs its arguments at the same time and returns their results."""
    with ThreadPoolExecutor() as pool:

        def in_parallel(*parts: Callable[[], Any]) -> list[Any]:
            futures = [pool.submit(part) for part in parts]
            for future in wait(futures, return_when=FIRST_EXCEPTION).done:
                future.result()
            return [future.result() for future in futures]

        try:
            yield in_parallel
        except BaseException:
            supervisor.stop()  # The other parts end with their servers. Leaving the pool waits for them.
            raise


def _start_mongod(state_dir: Path, supervisor: Supervisor, display: Display) -> Mongod:
    with display.step("MongoDB") as step:
        mongod = Mongod(state_dir, supervisor=supervisor).__enter__()
        step.note = "your own server" if mongod.own else mongod.uri
    return mongod


def _start_airflow(airflow: Airflow, display: Display) -> None:
    with display.step("Airflow") as step:
        step.update("making its database")
        airflow.migrate()
        step.update("starting api-server, scheduler, dag-processor")
        airflow.start()
        airflow.await_dag(DAG_ID)
        step.note = f"{airflow.api.url} knows {DAG_ID}"


def _start_ner(port: int, supervisor: Supervisor, display: Display) -> None:
    url = f"http://{LOOPBACK}:{port}"
    with display.step("NER service") as step:
        step.update("loading the model")
        command = [sys.executable, "-m", "demo.ner.server", "--port", str(port)]
        supervisor.start("ner-server", command, env=server_environment())
        about = wait_for(
            lambda: _healthy(url), "the NER service", timeout_s=_NER_START_S, check=supervisor.check
        )
        step.note = f"{url} {about['model']} {about['version']}"


def _healthy(url: str) -> Document | None:
    status, about = request_json("GET", f"{url}/healthz")
    return about if status == _OK else None


def _load_corpus(client: MongoClient[Document], supervisor: Supervisor, display: Display) -> None:
    with display.step("messages") as step:
        step.update("reading the chat history")

        def progress(done: int) -> None:
            supervisor.check()
            step.update(f"{done:,} of {messages.TOTAL:,} in place", done=done, total=messages.TOTAL)

        documents = messages.messages(messages.read_conversations())
        loaded = messages.load(client[messages.DATABASE][messages.COLLECTION], documents, progress=progress)
        step.note = f"{messages.TOTAL:,} in place, {loaded:,} of them new"
