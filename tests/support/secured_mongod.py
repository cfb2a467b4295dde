"""A mongod as in production: access control, and TLS with certificates on both sides."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from tests.support.certificates import Certificates, make_certificates
from tests.support.mongod import mongod

ROOT_PASSWORD = "root-pass-3c9e"


@dataclass(frozen=True)
class Secured:
    """The server.

    Attributes:
        address: `host:port`.
        options: of every client: TLS, and which server.
        admin: a client of its root user.
    """

    address: str
    certificates: Certificates
    options: dict[str, Any]
    admin: MongoClient

    def uri(self, user: str, password: str) -> str:
        """For a user of the database `admin`."""
        return f"mongodb://{user}:{password}@{self.address}/?authSource=admin"


@contextmanager
def secured_mongod(folder: Path) -> Iterator[Secured]:
    """Starts it: a replica set of one with a root user; it takes no client without a certificate."""
    folder.mkdir(exist_ok=True)
    made = make_certificates(folder)
    key_file = folder / "key"
    key_file.touch(mode=0o600)
    key_file.write_text("membersOfTheSetKnowEachOtherByThis")
    tls = ("--tlsMode", "requireTLS", "--tlsCertificateKeyFile", made.server, "--tlsCAFile", made.authority)
    options = {"tls": True, "tlsCAFile": str(made.authority), "tlsCertificateKeyFile": str(made.client)}
    replica_set = ("--replSet", "demo", "--keyFile", key_file)
    with mongod(folder / "data", *map(str, (*replica_set, *tls)), **options) as uri:
        address = uri.removeprefix("mongodb://").rstrip("/")
        _initiate(address, options)
        options["replicaSet"] = "demo"
        login = {"username": "root", "password": ROOT_PASSWORD}
        with MongoClient(address, tz_aware=True, **login, **options) as admin:
            yield Secured(address, made, options, admin)


def _initiate(address: str, options: dict[str, Any]) -> None:
    """Makes the set and its first user: both are allowed from this machine while there is none."""
    with MongoClient(address, directConnection=True, **options) as client:
        members = [{"_id": 0, "host": address}]
        client.admin.command("replSetInitiate", {"_id": "demo", "members": members})
        while not client.admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.05)
        client.admin.command("createUser", "root", pwd=ROOT_PASSWORD, roles=["root"])
