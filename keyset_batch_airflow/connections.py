"""Airflow's Connections as the engine's clients. Only tasks import this."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Mapping
from typing import Any

import httpx
from airflow.providers.mongo.hooks.mongo import MongoHook
from airflow.sdk import Connection
from airflow.sdk.log import mask_secret
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import ConfigurationError

from engine import ConfigError, HttpExtractor, Settings

SERVICE_EXTRAS = {"path", "headers", "offsets", "parameters", "verify", "cert"}

API_TIMEOUT_S = 30.0


def mongo_client(conn_id: str) -> Any:
    """A Motor client for a Connection of type mongo: address, login and options as the provider reads them.

    Raises:
        ConfigError: the provider or the driver refuses the Connection.
    """
    kind = Connection.get(conn_id).conn_type
    if kind != "mongo":
        raise ConfigError(f"connection {conn_id!r} is of type {kind!r}: MongoDB needs one of type 'mongo'")
    hook = MongoHook(conn_id)  # builds the address; connects to nothing
    options = dict(hook.extras)
    if hook.allow_insecure:
        options["tlsAllowInvalidCertificates"] = True
    try:
        return AsyncIOMotorClient(hook.uri, **options)
    except (ConfigurationError, TypeError, ValueError) as error:
        raise ConfigError(f"connection {conn_id!r}: {error}") from error


def extractor_of(params: Mapping[str, Any], settings: Settings) -> HttpExtractor:
    """The service of a Connection of type http, spoken to in the format of the params."""
    conn_id = params["service_conn_id"]
    connection = Connection.get(conn_id)
    extra = connection.extra_dejson
    if unknown := sorted(set(extra) - SERVICE_EXTRAS):
        raise ConfigError(
            f"connection {conn_id!r}: extra {', '.join(unknown)} is unknown; known are "
            f"{', '.join(sorted(SERVICE_EXTRAS))}"
        )
    return HttpExtractor(
        service_url(connection, str(extra.get("path", ""))),
        format=params["service_format"],
        headers={**_authorization(connection), **extra.get("headers", {})},
        timeout_s=settings.request_timeout_s,
        text_timeout_s=settings.text_timeout_s,
        offsets=extra.get("offsets"),
        parameters=extra.get("parameters"),
        tls=tls_of(connection),
    )


def service_url(connection: Any, path: str = "") -> str:
    """`schema://host:port/path`; as for the provider's hook, the host may be a whole URL.

    Raises:
        ConfigError: it holds a login, which messages would show.
    """
    host = connection.host or ""
    if "@" in host:
        raise ConfigError(f"connection {connection.conn_id!r}: login and password have fields of their own")
    base = host if "://" in host else f"{connection.schema or 'http'}://{host}"
    port = f":{connection.port}" if connection.port else ""
    return f"{base.rstrip('/')}{port}/{path.lstrip('/')}"


def tls_of(connection: Any) -> ssl.SSLContext | None:
    """Extra `verify`, the file of the authorities to trust, and `cert`, of the own certificate and its key.

    Both are in PEM, and named as by the provider's hook; `cert` may be two files. None: neither is given.

    Raises:
        ConfigError: a file cannot be read, or the server is not to be verified.
    """
    authorities, own = (connection.extra_dejson.get(name) for name in ("verify", "cert"))
    if authorities is None and own is None:
        return None
    if not isinstance(authorities, str | None):
        raise ConfigError(
            f"connection {connection.conn_id!r}: extra verify must be the file of an authority: texts and "
            "tokens go to no server that nobody vouches for"
        )
    try:
        context = ssl.create_default_context(cafile=authorities)
        if own is not None:
            context.load_cert_chain(*([own] if isinstance(own, str) else own))
    except OSError as error:
        raise ConfigError(f"connection {connection.conn_id!r}: extra verify, cert: {error}") from error
    return context


def _authorization(connection: Any) -> dict[str, str]:
    """A password alone is a token; a login with a password is basic authentication."""
    login, password = connection.login or "", connection.password or ""
    if not (login or password):
        return {}
    if not login:
        return {"Authorization": f"Bearer {password}"}
    encoded = base64.b64encode(f"{login}:{password}".encode()).decode()
    mask_secret(encoded)
    return {"Authorization": f"Basic {encoded}"}


def pool_slots(conn_id: str, pool: str) -> int:
    """The slots that a pool has now, asked of Airflow's public API: a task has no other way to know them.

    Args:
        conn_id: a Connection of type http to the API server. Login and password get a token from it, a
            password alone is the token; with neither, the server must make everybody an administrator.

    Raises:
        ConfigError: the server refuses the login, or knows no such pool.
        httpx.HTTPError: it does not answer, or not as it should.
    """
    connection = Connection.get(conn_id)
    place = {"base_url": service_url(connection), "verify": tls_of(connection) or True}
    with httpx.Client(**place, timeout=API_TIMEOUT_S) as client:
        token = _token(client, connection)
        answer = client.get(f"api/v2/pools/{pool}", headers={"Authorization": f"Bearer {token}"})
        _accepted(answer, f"connection {conn_id!r}: Airflow's API does not tell the slots of pool {pool!r}")
        return int(answer.json()["slots"])


def _token(client: httpx.Client, connection: Any) -> str:
    if connection.password and not connection.login:
        return str(connection.password)
    login = {"username": connection.login, "password": connection.password}
    answer = client.post("auth/token", json=login) if connection.login else client.get("auth/token")
    _accepted(answer, f"connection {connection.conn_id!r}: Airflow's API gives no token")
    token = str(answer.json()["access_token"])
    mask_secret(token)
    return token


def _accepted(answer: httpx.Response, problem: str) -> None:
    """Refusals of the client's making are no matter for a retry."""
    if answer.is_client_error:
        raise ConfigError(f"{problem} (status {answer.status_code})")
    answer.raise_for_status()
