"""Makes Airflow Connections for the servers of the demo."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Connection = dict[str, Any]

_BOOLEANS = {"true": True, "false": False}


def mongo_connection(uri: str) -> Connection:
    """Convert a MongoDB connection string to an Airflow Connection of type `mongo`.

    Several hosts stay together in `host`, as the provider's hook expects; options go to `extra`.
    """
    parts = urlsplit(uri)
    login, _, hosts = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    options = {name: _BOOLEANS.get(value, value) for name, value in parse_qsl(parts.query)}
    if parts.scheme == "mongodb+srv":
        options["srv"] = True
    connection = {
        "conn_type": "mongo",
        "host": hosts,
        "login": unquote(user),
        "password": unquote(password),
        "schema": parts.path.strip("/"),
        "extra": options,
    }
    return {name: value for name, value in connection.items() if value}


def http_connection(host: str, port: int) -> Connection:
    """Make an Airflow Connection of type `http`."""
    return {"conn_type": "http", "host": host, "port": port, "schema": "http"}
