"""Sends small JSON requests to servers on this machine."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

# Without proxies: a proxy of the environment cannot reach the loopback interface.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_TIMEOUT_S = 30.0


def request_json(
    method: str,
    url: str,
    body: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = _TIMEOUT_S,
) -> tuple[int, Any]:
    """Send a request and read the answer.

    Returns:
        The status and the decoded body, which is None if it is not JSON. Without an answer the status is 0.
    """
    data = None if body is None else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, fields, method=method)  # noqa: S310 - loopback only
    try:
        with _OPENER.open(request, timeout=timeout_s) as response:
            return response.status, _decoded(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, _decoded(error.read())
    except OSError:
        return 0, None


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
