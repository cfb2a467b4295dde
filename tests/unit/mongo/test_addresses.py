"""Of an address only the hosts are shown, whatever stands in it and wherever it is wrong."""

from __future__ import annotations

import traceback
import warnings
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import ConfigError
from engine.mongo.addresses import UNREADABLE, hosts_of, without_secrets
from engine.mongo.clients import client_of

SECRET = "xK9qSecretZ"


@pytest.mark.parametrize(
    ("uri", "hosts"),
    [
        (f"mongodb://me:{SECRET}@db1", "db1"),
        (f"mongodb://me:{SECRET}@db1:27017,db2.example:27018/chat?w=1", "db1:27017,db2.example:27018"),
        (f"mongodb+srv://me:{SECRET}@cluster0.example.net/?retryWrites=true", "cluster0.example.net"),
        (f"mongodb://me:p%40{SECRET}%2F%3A@db1/", "db1"),
        (f"mongodb://me:{SECRET}@[::1]:27017,[fe80::1%25eth0]/chat", "[::1]:27017,[fe80::1%25eth0]"),
        (f"mongodb://me:{SECRET}@%2Ftmp%2Fmongodb-27017.sock/chat", "%2Ftmp%2Fmongodb-27017.sock"),
        (f"mongodb://db1/?authMechanismProperties=AWS_SESSION_TOKEN:{SECRET}", "db1"),
        (f"mongodb://db1/?appName=me@{SECRET}", "db1"),
        (f"mongodb://db1?proxyHost=p&proxyPassword={SECRET}@x", "db1"),
        (f"mongodb://me:a/{SECRET}@db1/chat", "db1"),
        (f"mongodb://me:a@{SECRET}@db1/chat", "db1"),
        (f"me:{SECRET}@db1", "db1"),
    ],
)
def test_trap_57_the_hosts_of_an_address_are_shown(uri, hosts):
    """Logins, databases and options are not, in any form that a driver accepts or refuses."""
    assert hosts_of(uri) == hosts


@pytest.mark.parametrize(
    "uri",
    [
        f"mongodb://me:{SECRET}",
        f"mongodb://me:{SECRET}/chat",
        f"mongodb://me:1?{SECRET}@db1/chat",
        f"mongodb://me:1?x={SECRET}@db1/chat",
        f"mongodb://me:1/2/{SECRET}",
        f"mongodb://me:99999/{SECRET}",
        f"mongodb://{SECRET}:{SECRET}:{SECRET}",
        f"mongodb:/me:{SECRET}@/db1",
        "",
        "mongodb://",
    ],
)
def test_trap_57_an_address_that_is_not_clear_shows_nothing(uri):
    """What may be a part of a password is not taken for a host."""
    assert hosts_of(uri) == UNREADABLE


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=6),
    st.sampled_from(
        [
            "mongodb://me:{}@127.0.0.1:1,db2/chat?w=1",
            "mongodb+srv://{}:me@127.0.0.1/",
            "mongodb://127.0.0.1/?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:{}",
            "mongodb://[::1]:27017/?tls=true&tlsCertificateKeyFilePassword={}",
            "mongodb://127.0.0.1/?proxyHost=db3&proxyPassword={}&replicaSet=rs0",
        ]
    ),
)
@example("p@ss/w?rd=x", "mongodb://me:{}@127.0.0.1:1,db2/chat?w=1")
def test_trap_57_no_escaped_secret_is_shown_among_the_hosts(secret, form):
    """A secret is anything, and is escaped as the driver asks for."""
    shown = hosts_of(form.format(quote_plus(secret)))
    assert shown == hosts_of(form.format("nothing"))
    assert shown != UNREADABLE


REFUSED = {
    "scheme": f"mongo://me:{SECRET}@db1/x",
    "port": f"mongodb://me:{SECRET}@db1:x{SECRET}",
    "no host": f"mongodb://me:{SECRET}",
    "percent": f"mongodb://%zz{SECRET}",
    "unescaped": f"mongodb://me:a@{SECRET}@db1/",
    "slash": f"mongodb://me:a/{SECRET}@db1/chat",
    "question mark": f"mongodb://me:a?{SECRET}@db1/chat",
    "two addresses": f"mongodb://db1/?authMechanismProperties=AWS_SESSION_TOKEN:a,{SECRET}&authMechanism=MONGODB-AWS",
    "read preference": f"mongodb://db1/?readPreferenceTags={SECRET}",
    "no option": f"mongodb://db1/?{SECRET}",
    "key file": f"mongodb://db1/?tls=true&tlsCertificateKeyFile=/no/{SECRET}&tlsCertificateKeyFilePassword={SECRET}",
    "mechanism": f"mongodb://db1/?authMechanism=MONGODB-OIDC&authMechanismProperties=ENVIRONMENT:{SECRET}",
    "database": f"mongodb://db1/a${SECRET}",
}


@pytest.mark.parametrize("uri", REFUSED.values(), ids=REFUSED)
def test_trap_57_what_the_driver_refuses_is_told_without_secrets(uri):
    """Neither the error, nor what it comes from, nor a warning holds one."""
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            client_of(uri).close()
        except ConfigError as error:
            said = [str(error), *traceback.format_exception(error)]
    said += [str(warning.message) for warning in warned]
    assert said
    assert [line for line in said if SECRET.lower() in line.lower()] == []


def test_trap_57_options_beside_the_address_are_secrets_too():
    """Airflow gives the extra of a Connection to the driver as options."""
    options = {"authMechanismProperties": {"AWS_SESSION_TOKEN": SECRET}, "replicaSet": "rs0"}
    said = without_secrets(f"{SECRET!r} of rs0 at db1 is wrong", "mongodb://db1/", options)
    assert said == "'***' of rs0 at db1 is wrong"


def test_what_is_no_secret_remains_readable():
    """Short words, numbers and the hosts stay as they are."""
    uri = "mongodb://a:is@127.0.0.1:27017/test?w=1&retryWrites=true&maxPoolSize=27017"
    said = "127.0.0.1:27017 is the latest address; retryWrites is true"
    assert without_secrets(said, uri) == said
