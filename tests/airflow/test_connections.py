"""Clients made from Airflow's Connections: addresses, logins, options."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import base64
import traceback

import pytest

from engine import ConfigError, Settings


@pytest.fixture
def connections(tasks):
    """The module that makes clients from Connections."""
    from keyset_batch_airflow import connections

    return connections


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": "ner", "port": 8900}, "http://ner:8900/"),
        ({"host": "ner", "schema": "https"}, "https://ner/"),
        ({"host": "https://ner.example"}, "https://ner.example/"),
        ({"host": "ner", "port": 80, "extra": {"path": "/v2/extract"}}, "http://ner:80/v2/extract"),
        ({"host": "https://ner.example/v2", "port": 8443}, "https://ner.example:8443/v2"),
        ({"host": "https://ner.example/v2?sig=a%2Fb"}, "https://ner.example/v2?sig=a%2Fb"),
        ({"host": "ner?a=1", "extra": {"path": "extract?code=x%3D"}}, "http://ner/extract?a=1&code=x%3D"),
    ],
)
def test_the_address_of_the_service(connections, connection, fields, url):
    """Scheme, host, port and the extra `path` make the address, as in the provider's own hook."""
    from airflow.sdk import Connection

    connection(conn_type="http", **fields)
    given = Connection.get("given")
    assert connections.service_url(given, given.extra_dejson.get("path", "")) == url


@pytest.mark.parametrize(
    ("fields", "authorization"),
    [
        ({}, None),
        ({"password": "a-token"}, "Bearer a-token"),
        (
            {"login": "me", "password": "päss:word"},
            "Basic " + base64.b64encode("me:päss:word".encode()).decode(),
        ),
        ({"password": "unused", "extra": {"headers": {"Authorization": "Own"}}}, "Own"),
        ({"password": "unused", "extra": {"headers": {"authorization": "Own\n"}}}, "Own"),
        ({"password": "a-token\r\n"}, "Bearer a-token"),
        ({"login": "me", "password": "pass\n"}, "Basic " + base64.b64encode(b"me:pass").decode()),
    ],
    ids=["none", "token", "basic", "header", "header in another case", "token of a file", "basic of a file"],
)
def test_the_service_is_told_who_asks(tasks, in_task, service, connection, fields, authorization):
    """A password alone is sent as a bearer token, with a login as basic authentication; extra headers win."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    connection(conn_type="http", host=host, port=int(port), **fields)
    in_task(service_conn_id="given")
    (key_range,) = tasks.plan()

    tasks.run_range(key_range, deadline_s=60)

    assert {call.headers.get("Authorization") for call in service.calls} == {authorization}


def test_an_unknown_extra_of_the_service_is_refused(connections, connection):
    """A misplaced option is not silently ignored."""
    connection(conn_type="http", host="ner", extra={"Authorization": "Bearer x"})
    with pytest.raises(
        ConfigError, match="Authorization is unknown; known are cert, headers, offsets, parameters"
    ):
        connections.extractor_of({"service_conn_id": "given", "service_format": "native"}, Settings())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"extra": {"verify": False}}, "extra verify must be the file of an authority"),
        ({"extra": {"verify": "/nowhere.pem"}}, "extra verify, cert: .*No such file"),
        ({"extra": {"cert": "/nowhere.pem"}}, "extra verify, cert: .*No such file"),
        ({"host": "https://me:secret@ner"}, "login and password have fields of their own"),
        ({"host": "ner:secret"}, "service url 'an address that cannot be read' is not"),
        ({"host": "htp://ner?code=secret"}, "service url 'htp://ner/' is not an http"),
        (
            {"host": "", "extra": {"path": "x?code=secret"}},
            "service url 'an address that cannot be read' is not",
        ),
    ],
    ids=["unverified", "no authority", "no certificate", "login", "port", "scheme", "no host"],
)
def test_a_service_is_verified_and_its_address_has_no_login(connections, connection, fields, message):
    """Insecure options are refused, and a missing file is named."""
    connection(**{"conn_type": "http", "schema": "https", "host": "ner", **fields})
    with pytest.raises(ConfigError, match=f"connection 'given': {message}") as raised:
        connections.extractor_of({"service_conn_id": "given", "service_format": "native"}, Settings())
    assert "secret" not in "".join(traceback.format_exception(raised.value))


def test_options_of_the_mongodb_connection_reach_the_driver(connections, connection):
    """Several hosts, login, TLS and replica set reach Motor through the provider's hook."""
    extra = {"tls": True, "authSource": "admin", "replicaSet": "rs0", "allow_insecure": "true"}
    connection(conn_type="mongo", host="one:27017,two:27018", login="me", password="p@ss", extra=extra)

    client = connections.mongo_client("given").delegate
    options = client.options

    assert options.replica_set_name == "rs0"
    assert options.pool_options._credentials.username == "me"
    assert options.pool_options._credentials.password == "p@ss"
    assert options.pool_options._credentials.source == "admin"
    assert options.pool_options._ssl_context is not None
    client.close()


def test_an_option_the_driver_refuses_is_a_configuration_error(connections, connection):
    """The message names the Connection and the option."""
    connection(conn_type="mongo", host="one", extra={"replicaSat": "rs0"})
    with pytest.raises(ConfigError, match=r"connection 'given': .*replicaSat"):
        connections.mongo_client("given")


@pytest.mark.parametrize(
    "fields",
    [
        {"host": "one", "extra": {"authMechanism": "MONGODB-AWS", "authMechanismProperties": "xK9qSecret"}},
        {"host": "one", "extra": {"readPreferenceTags": "xK9qSecret"}},
        {"host": "me:xK9qSecret@one", "login": "me", "password": "p"},
        {"host": "one:xK9qSecret"},
        {"host": "one,x%K9qSecret", "login": "me", "password": "xK9qSecret"},
        {"host": "one", "extra": {"tls": True, "tlsCAFile": "/no/xK9qSecret", "proxyPassword": "xK9qSecret"}},
    ],
    ids=["token", "tags", "login in the host", "port", "percent", "files"],
)
def test_trap_57_what_is_wrong_with_an_address_is_told_without_secrets(connections, connection, fields):
    """Neither the message, nor the traceback that Airflow writes into the task's log, holds one."""
    connection(conn_type="mongo", **fields)
    with pytest.raises(ConfigError, match="connection 'given': MongoDB at ") as raised:
        connections.mongo_client("given")
    assert "xK9qSecret" not in "".join(traceback.format_exception(raised.value))


def test_an_srv_connection_with_a_port_is_a_configuration_error(connections, connection):
    """The provider's hook refuses it; a retry would not change that."""
    connection(conn_type="mongo", host="one", port=27017, extra={"srv": True})
    with pytest.raises(ConfigError, match="connection 'given': srv URI should not specify a port"):
        connections.mongo_client("given")
