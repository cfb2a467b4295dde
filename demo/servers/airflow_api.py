"""A client for the parts of Airflow's REST API that the demo and the tests use."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from demo.errors import DemoError
from demo.servers.http_json import request_json

FINAL_STATES = frozenset({"success", "failed"})
_OK = 200
_UNAUTHORIZED = 401
_NOT_FOUND = 404
_CONFLICT = 409
_PAGE = 100

Json = dict[str, Any]


class AirflowApi:
    """A client of one Airflow, whose simple auth manager makes every user an administrator.

    Attributes:
        url: The address of the API server and of the user interface.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._token = ""

    def healthy(self, components: tuple[str, ...] = ("metadatabase", "scheduler", "dag_processor")) -> bool:
        """Whether the server answers and all `components` are healthy."""
        status, health = request_json("GET", f"{self.url}/api/v2/monitor/health")
        return status == _OK and all(health[name]["status"] == "healthy" for name in components)

    def set_pool(self, name: str, slots: int) -> None:
        """Create a pool, or change the slots of an existing one."""
        body = {
            "name": name,
            "slots": slots,
            "description": "calls to the NER service",
            "include_deferred": False,
        }
        status, answer = self._request("POST", "pools", body)
        if status == _CONFLICT:
            status, answer = self._request("PATCH", f"pools/{_part(name)}", body)
        _expect_success(status, answer, f"pool {name}")

    def dag_parsed(self, dag_id: str) -> bool:
        """Whether Airflow has parsed the DAG.

        Raises:
            DemoError: A DAG file cannot be imported.
        """
        status, _ = self._request("GET", f"dags/{_part(dag_id)}")
        if status == _NOT_FOUND:
            self._raise_import_errors()
        return status == _OK

    def trigger(self, dag_id: str, dag_run_id: str, conf: Mapping[str, Any]) -> Json:
        """Trigger a run."""
        body = {"dag_run_id": dag_run_id, "conf": dict(conf), "logical_date": None}
        status, answer = self._request("POST", f"dags/{_part(dag_id)}/dagRuns", body)
        return _expect_success(status, answer, f"a run of {dag_id}")

    def run(self, dag_id: str, dag_run_id: str) -> Json:
        """Fetch a run, with `state, queued_at, start_date, end_date, ...`."""
        status, answer = self._request("GET", _run_path(dag_id, dag_run_id))
        return _expect_success(status, answer, f"run {dag_run_id}")

    def run_state(self, dag_id: str, dag_run_id: str) -> str:
        """Fetch the state of a run: `queued`, `running`, `success` or `failed`."""
        return str(self.run(dag_id, dag_run_id)["state"])

    def task_instances(self, dag_id: str, dag_run_id: str) -> list[Json]:
        """Fetch all task instances of a run, with `task_id, map_index, state, try_number, pid, ...`."""
        found: list[Json] = []
        while True:
            path = f"{_run_path(dag_id, dag_run_id)}/taskInstances?limit={_PAGE}&offset={len(found)}"
            status, answer = self._request("GET", path)
            page = _expect_success(status, answer, f"tasks of {dag_run_id}")
            found += page["task_instances"]
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def run_url(self, dag_id: str, dag_run_id: str) -> str:
        """The address of a run in the user interface."""
        return f"{self.url}/dags/{_part(dag_id)}/runs/{_part(dag_run_id)}"

    def _raise_import_errors(self) -> None:
        _, answer = self._request("GET", "importErrors")
        for failure in (answer or {}).get("import_errors", []):
            raise DemoError(f"Airflow cannot import {failure['filename']}:\n{failure['stack_trace']}")

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        status, answer = self._authorized(method, path, body)
        if status == _UNAUTHORIZED:
            _, answer = request_json("GET", f"{self.url}/auth/token")
            self._token = (answer or {}).get("access_token", "")
            status, answer = self._authorized(method, path, body)
        return status, answer

    def _authorized(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self._token}"}
        return request_json(method, f"{self.url}/api/v2/{path}", body, headers)


def _run_path(dag_id: str, dag_run_id: str) -> str:
    return f"dags/{_part(dag_id)}/dagRuns/{_part(dag_run_id)}"


def _part(name: str) -> str:
    return quote(name, safe="")


def _expect_success(status: int, answer: Any, what: str) -> Json:
    if status == 0:
        raise DemoError(f"Airflow did not answer a request about {what}: is the machine overloaded?")
    if not _OK <= status < _OK + 100 or not isinstance(answer, dict):
        raise DemoError(f"Airflow refused {what} with status {status}: {answer}")
    return answer
