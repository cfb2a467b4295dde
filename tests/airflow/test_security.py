"""Servers as in production (TLS, certificates, least privileges), used through Airflow's Connections."""

# ruff: noqa: PLC0415  (Airflow reads its environment at import, so a fixture has to set it first)
from __future__ import annotations

import json
import ssl
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
from tenacity import wait_none

from demo.servers.ports import free_port
from engine.mongo import calls
from tests.support.in_place import run_in_place
from tests.support.ner_service import serve_in_thread
from tests.support.roles import PASSWORD, TARGET, commands
from tests.support.secured_mongod import secured_mongod

TOKEN = "tls-token-40fa"
WRONG_PASSWORD = "wrong-pass-8d2f"
DOCUMENTS = 50
X509_USER = "CN=client"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A mongod that accepts logins over TLS only, with the roles of docs/security.md.

    One user has a certificate instead of a password.
    """
    with secured_mongod(tmp_path_factory.mktemp("secured")) as server:
        for command in commands():
            server.admin.admin.command(command)
        server.admin["$external"].command(
            "createUser", X509_USER, roles=[{"role": "ner_target", "db": "admin"}]
        )
        yield server


@pytest.fixture(scope="module")
def tls_service(server):
    """A service with TLS that accepts only clients with a certificate of the same authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=server.certificates.authority)
    context.load_cert_chain(server.certificates.server)
    context.verify_mode = ssl.CERT_REQUIRED
    with serve_in_thread(tls=context) as service:
        yield service


@pytest.fixture
def messages(server, text_of):
    """The source collection that the roles are for, and no results yet."""
    server.admin.drop_database("chat")
    server.admin.drop_database(TARGET)
    messages = server.admin["chat"]["messages"]
    messages.create_index([("created_at", 1), ("_id", 1)])
    messages.insert_many(
        {"_id": n, "created_at": datetime(2025, 1, 1) + timedelta(minutes=n), "text": text_of(n)}
        for n in range(DOCUMENTS)
    )
    return messages


@pytest.fixture
def define(airflow, monkeypatch):
    """Defines a Connection."""

    def define(name, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))

    return define


@pytest.fixture
def connections(define, server, tls_service):
    """Connections: documents (a password), results (a certificate), service (a token and a certificate)."""
    files = server.certificates
    login = {"authSource": "admin", "authMechanism": "SCRAM-SHA-256"}
    certificate = {"authSource": "$external", "authMechanism": "MONGODB-X509"}
    host, _, port = tls_service.url.removeprefix("https://").partition(":")
    source = {
        "conn_type": "mongo",
        "host": server.address,
        "login": "ner_reader",
        "password": PASSWORD,
        "extra": {**server.options, **login},
    }
    service = {
        "conn_type": "http",
        "schema": "https",
        "host": host,
        "port": int(port),
        "password": TOKEN,
        "extra": {"verify": str(files.authority), "cert": str(files.client), "headers": {"X-Tenant": "shop"}},
    }
    define("source", **source)
    define("target", conn_type="mongo", host=server.address, extra={**server.options, **certificate})
    define("service", **service)
    return SimpleNamespace(source=source, service=service)


PARAMS = {
    "database": "chat",
    "target_database": TARGET,
    "mongo_conn_id": "source",
    "target_conn_id": "target",
    "service_conn_id": "service",
}


def expect_no_traces(seen, *ended):
    """Checks that no secret, and neither a text nor a part of one, is in what was printed or returned."""
    seen += json.dumps([list(run.xcoms.values()) for run in ended])
    assert [word for word in (PASSWORD, TOKEN, WRONG_PASSWORD, "in Paris", "Ada1") if word in seen] == []


def test_tls_certificates_and_least_roles(connections, server, messages, tls_service, dags, capfd):
    """Backfill, replay and verification work with password and certificate, and leave no traces."""
    tls_service.reset()
    dag_ids = ("ner_backfill", "ner_replay", "ner_verify")
    ended = [run_in_place(dags[dag_id], messages, **PARAMS) for dag_id in dag_ids]

    assert [run.state for run in ended] == ["success"] * 3
    assert ended[2].xcoms["conclude"]["present"] == DOCUMENTS
    headers = {(call.headers["Authorization"], call.headers["X-Tenant"]) for call in tls_service.calls}
    assert headers == {(f"Bearer {TOKEN}", "shop")}
    expect_no_traces("".join(capfd.readouterr()), *ended)


@pytest.fixture
def at_once(monkeypatch):
    """Commands are repeated without waits in between."""
    monkeypatch.setattr(calls, "WAIT", wait_none())


def without(fields, name):
    """A Connection without one of its extras, and with a short timeout."""
    extra = {key: value for key, value in fields["extra"].items() if key != name}
    return {**fields, "extra": {**extra, "serverSelectionTimeoutMS": 100}}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("changed", "tries", "said"),
    [
        (lambda source: {**source, "password": WRONG_PASSWORD}, 1, "MongoDB refuses the login"),
        (lambda source: without(source, "tlsCAFile"), 4, "certificate verify failed"),
        (
            lambda source: {**without(source, "none"), "host": f"127.0.0.1:{free_port()}"},
            4,
            "Connection refused",
        ),
    ],
    ids=["wrong password", "unknown authority", "no server"],
)
def test_a_mongod_that_does_not_let_in(connections, define, messages, dags, capfd, changed, tries, said):
    """A refused login fails at once; an error that may go away is retried; neither shows secrets."""
    define("source", **changed(connections.source))

    ended = run_in_place(dags["ner_verify"], messages, **PARAMS)

    assert (ended.state, ended.tries["find"]) == ("failed", tries)
    output = "".join(capfd.readouterr())
    assert said in output
    expect_no_traces(output, ended)


@pytest.mark.parametrize(("extra", "said"), [("verify", "certificate verify failed"), ("cert", "")])
def test_a_service_that_is_not_trusted_or_does_not_trust(
    connections, define, messages, tls_service, dags, capfd, extra, said
):
    """No text is sent to a service of an unknown authority, or to one that demands a certificate."""
    tls_service.reset()
    left = {name: value for name, value in connections.service["extra"].items() if name != extra}
    define("service", **{**connections.service, "extra": left})

    ended = run_in_place(dags["ner_verify"], messages, **PARAMS, repair=True)

    assert (ended.state, ended.states["repair"]) == ("failed", "failed")
    assert tls_service.calls == []
    output = "".join(capfd.readouterr())
    assert "the service does not work" in output
    assert said in output
    expect_no_traces(output, ended)


def test_a_missing_right_is_said_before_work(connections, define, server, messages, tls_service, dags, capfd):
    """With a login for results that may only read, the plan fails at once and names the missing privilege."""
    tls_service.reset()
    ended = run_in_place(dags["ner_backfill"], messages, **{**PARAMS, "target_conn_id": "source"})

    assert (ended.states["plan"], ended.tries["plan"]) == ("failed", 1)
    assert (
        "MongoDB user ner_reader lacks find on results.messages_entities, insert on" in capfd.readouterr().out
    )
    assert server.admin[TARGET].list_collection_names() == []
    assert tls_service.calls == []


def test_a_login_that_is_refused_in_mid_run_fails_at_once(tasks, in_task, connections, define, messages):
    """The password changes after planning: a retry cannot help, so Airflow makes none."""
    from airflow.sdk.exceptions import AirflowFailException

    in_task(**PARAMS)
    (key_range,) = tasks.plan()
    define("source", **{**connections.source, "password": WRONG_PASSWORD})

    with pytest.raises(AirflowFailException, match="MongoDB refuses the login: check user, password"):
        tasks.run_range(key_range, deadline_s=60)


def test_a_target_that_refuses_documents_is_told_without_them(run_dag, source, capfd):
    """The driver's error contains the whole write; neither message nor traceback shows it."""
    source.database.create_collection("messages_entities", validator={"entities": {"$size": 0}})

    ended = run_dag(end="2025-01-01T00:00:05Z")

    assert ended.states["run_range", 0] == "failed"
    output = "".join(capfd.readouterr())
    assert "documents refused by the target: _id 0: Document failed validation" in output
    expect_no_traces(output, ended)
