"""A MongoDB server as in production: it requires a login and, through TLS, a certificate of each client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from tests.support.certificates import Certificates, make_certificates
from tests.support.mongod import replica_set

ROOT_PASSWORD = "root-pass-3c9e"


@dataclass(frozen=True)
class Secured:
    """A running server.

    Attributes:
        address: `host:port`.
        options: what every client needs to connect: the files for TLS, and the name of the replica set.
        admin: a client that is logged in as root.
    """

    address: str
    certificates: Certificates
    options: dict[str, Any]
    admin: MongoClient

    def uri(self, user: str, password: str) -> str:
        """The address with the login of a user who is defined in the database `admin`."""
        return f"mongodb://{user}:{password}@{self.address}/?authSource=admin"


@contextmanager
def secured_mongod(folder: Path) -> Iterator[Secured]:
    """Runs a replica set of one with a root user; it refuses clients that show no certificate."""
    folder.mkdir(exist_ok=True)
    made = make_certificates(folder)
    key_file = folder / "key"
    key_file.touch(mode=0o600)
    key_file.write_text("membersOfTheSetKnowEachOtherByThis")
    tls = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", made.server, "--tlsCAFile", made.authority)
    arguments = map(str, ("--keyFile", key_file, *tls))
    options = {"tls": True, "tlsCAFile": str(made.authority), "tlsCertificateKeyFile": str(made.client)}
    with replica_set(folder / "data", *arguments, **options) as uri:
        with MongoClient(uri, **options) as client:
            # The server lets a client on the same machine make the first user without a login.
            client.admin.command("createUser", "root", pwd=ROOT_PASSWORD, roles=["root"])
        found = parse_uri(uri)
        host, port = found["nodelist"][0]
        options["replicaSet"] = found["options"]["replicaSet"]
        login = {"username": "root", "password": ROOT_PASSWORD}
        with MongoClient(host, port, tz_aware=True, **login, **options) as admin:
            yield Secured(f"{host}:{port}", made, options, admin)
