"""Airflow Connections for MongoDB and the NER service."""

import pytest

from demo.servers.connections import http_connection, mongo_connection


def test_the_options_of_a_connection_string_become_extras():
    """The provider's hook passes them on to the client."""
    assert mongo_connection("mongodb://127.0.0.1:27018/?replicaSet=demo&directConnection=true") == {
        "conn_type": "mongo",
        "host": "127.0.0.1:27018",
        "extra": {"replicaSet": "demo", "directConnection": True},
    }


def test_credentials_are_decoded_and_hosts_stay_together():
    """A replica set's hosts are one netloc for the hook; it quotes the password itself."""
    connection = mongo_connection("mongodb://me:p%40ss%2F@a:1,b:2/chat")
    assert connection["host"] == "a:1,b:2"
    assert (connection["login"], connection["password"], connection["schema"]) == ("me", "p@ss/", "chat")


def test_a_seed_list_address_says_so():
    """The hook wants `srv` among the extras and no port."""
    assert mongo_connection("mongodb+srv://cluster.example/")["extra"] == {"srv": True}


@pytest.mark.parametrize("port", [1, 65_535])
def test_the_service_is_plain_http(port):
    """The port is a number, as Airflow's Connection has it."""
    assert http_connection("127.0.0.1", port) == {
        "conn_type": "http",
        "host": "127.0.0.1",
        "port": port,
        "schema": "http",
    }
