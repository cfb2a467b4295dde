"""Clients made from Airflow's Connections: of MongoDB, of the NER service, of Airflow's API.

It imports drivers and HTTP clients, so the other modules import it inside functions, when a task runs.
"""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from typing import Any

import httpx
from airflow.exceptions import AirflowConfigException
from airflow.providers.mongo.hooks.mongo import MongoHook
from airflow.sdk import Connection
from airflow.sdk.log import mask_secret

from engine.errors import ConfigError
from engine.extractors.formats import format_named
from engine.extractors.http.addresses import joined, service_address
from engine.extractors.http.headers import clean
from engine.extractors.http_extractor import HttpExtractor
from engine.mongo.clients import client_of
from engine.settings import Settings

SERVICE_EXTRAS = {"path", "headers", "offsets", "parameters", "verify", "cert"}
"""What the extra of a service's Connection may contain."""

API_TIMEOUT_S = 30.0


def mongo_client(conn_id: str) -> Any:
    """A Motor client for a Connection of type mongo; the provider reads its address, login and options.

    Raises:
        ConfigError: the Connection has another type, or the driver refuses its options.
    """
    kind = Connection.get(conn_id).conn_type
    if kind != "mongo":
        raise ConfigError(f"connection {conn_id!r} is of type {kind!r}: MongoDB needs one of type 'mongo'")
    try:
        hook = MongoHook(conn_id)  # builds the address; connects to nothing
        options = dict(hook.extras)
        if hook.allow_insecure:
            options["tlsAllowInvalidCertificates"] = True
        return client_of(hook.uri, **options)
    except (AirflowConfigException, ConfigError) as error:
        raise ConfigError(f"connection {conn_id!r}: {error}") from None


def extractor_of(params: Mapping[str, Any], settings: Settings) -> HttpExtractor:
    """A client of the NER service: its address from a Connection of type http, its format from the params.

    Raises:
        ConfigError: the Connection's extra or its address is wrong.
    """
    conn_id = params["service_conn_id"]
    connection = Connection.get(conn_id)
    extra = connection.extra_dejson
    if unknown := sorted(set(extra) - SERVICE_EXTRAS):
        raise ConfigError(
            f"connection {conn_id!r}: extra {', '.join(unknown)} is unknown; known are "
            f"{', '.join(sorted(SERVICE_EXTRAS))}"
        )
    return HttpExtractor(
        _checked(connection, str(extra.get("path", ""))),
        format=format_named(params["service_format"]),
        headers=_headers(connection, extra.get("headers", {})),
        timeout_s=settings.request_timeout_s,
        text_timeout_s=settings.text_timeout_s,
        offsets=extra.get("offsets"),
        parameters=extra.get("parameters"),
        tls=tls_of(connection),
        trust_env=settings.trust_env,
        max_answer_bytes=settings.tuning.max_answer_bytes,
    )


def service_url(connection: Any, path: str = "") -> str:
    """The address `schema://host:port/path`. The host may be a whole URL, as for the provider's hook.

    Raises:
        ConfigError: the host contains a login, which error messages would then show.
    """
    host = connection.host or ""
    if "@" in host:
        raise ConfigError(f"connection {connection.conn_id!r}: login and password have fields of their own")
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    return joined(base, connection.port, path)


def _checked(connection: Any, path: str = "") -> str:
    """The address of a Connection, once it is known to be one; a message names the Connection."""
    url = service_url(connection, path)
    try:
        service_address(url, "/", {})
    except ConfigError as error:
        raise ConfigError(f"connection {connection.conn_id!r}: {error}") from None
    return url


def tls_of(connection: Any) -> ssl.SSLContext | None:
    """The TLS context of a Connection of type http; None if its extra has neither `verify` nor `cert`.

    `verify` is the file of the authorities to trust. `cert` is the file of the client's certificate and key,
    or a list of two files. All are in PEM; the names are those of the provider's hook.

    Raises:
        ConfigError: a file cannot be read, or `verify` is false.
    """
    authorities, own = (connection.extra_dejson.get(name) for name in ("verify", "cert"))
    if authorities is None and own is None:
        return None
    if not isinstance(authorities, str | None):
        raise ConfigError(
            f"connection {connection.conn_id!r}: extra verify must be the file of an authority; verification "
            "cannot be switched off, since texts and tokens would go to any server"
        )
    try:
        context = ssl.create_default_context(cafile=authorities)
        if own is not None:
            context.load_cert_chain(*([own] if isinstance(own, str) else own))
    except OSError as error:
        raise ConfigError(f"connection {connection.conn_id!r}: extra verify, cert: {error}") from error
    return context


def _headers(connection: Any, given: Mapping[str, str]) -> dict[str, str]:
    """The headers of requests to the service; an authorization in the extra wins over login and password."""
    has_own = any(name.lower() == "authorization" for name in given)
    return {**({} if has_own else _authorization(connection)), **given}


def _authorization(connection: Any) -> dict[str, str]:
    """The header of a login: a password alone is a bearer token, with a login it is basic authentication.

    A line break at an end, as a secret that was read from a file has, is left out.
    """
    what = f"connection {connection.conn_id!r}: its password"
    login, password = clean(connection.login or "", what), clean(connection.password or "", what)
    if not (login or password):
        return {}
    if not login:
        return {"Authorization": f"Bearer {password}"}
    encoded = base64.b64encode(f"{login}:{password}".encode()).decode()
    mask_secret(encoded)
    return {"Authorization": f"Basic {encoded}"}


def pool_slots(conn_id: str, pool: str) -> int:
    """The number of slots that a pool has now. A task can only learn it from Airflow's public API.

    Args:
        conn_id: a Connection of type http to the API server. With login and password it gets a token there; a
            password alone is the token. With neither, the server must treat everybody as an administrator.

    Raises:
        ConfigError: the server refuses the login, or does not know the pool.
        httpx.HTTPError: the server does not answer, or answers with an error of its own.
    """
    connection = Connection.get(conn_id)
    url, tls = _checked(connection), tls_of(connection)
    with httpx.Client(base_url=url, verify=tls or True, timeout=API_TIMEOUT_S) as client:
        token = _token(client, connection)
        answer = client.get(f"api/v2/pools/{pool}", headers={"Authorization": f"Bearer {token}"})
        _refuse_errors(
            answer, f"connection {conn_id!r}: Airflow's API does not tell the slots of pool {pool!r}"
        )
        return int(answer.json()["slots"])


def _token(client: httpx.Client, connection: Any) -> str:
    if connection.password and not connection.login:
        return str(connection.password)
    login = {"username": connection.login, "password": connection.password}
    answer = client.post("auth/token", json=login) if connection.login else client.get("auth/token")
    _refuse_errors(answer, f"connection {connection.conn_id!r}: Airflow's API gives no token")
    token = str(answer.json()["access_token"])
    mask_secret(token)
    return token


def _refuse_errors(answer: httpx.Response, problem: str) -> None:
    """Raises if the answer is an error. For a 4xx it is a `ConfigError`, which no retry would change."""
    if answer.is_client_error:
        raise ConfigError(f"{problem} (status {answer.status_code})")
    if answer.is_error or answer.is_redirect:  # httpx would show the address
        told = f"{problem} (status {answer.status_code})"
        raise httpx.HTTPStatusError(told, request=answer.request, response=answer)
