"""The place in which the tests of the command line run it."""

from __future__ import annotations

import uuid

import pymongo
import pytest

from tests.support.samples import INDEX, message
from tests.support.workplace import EXTRACTOR, Workplace


@pytest.fixture
def workplace(mongod_uri, tmp_path, monkeypatch):
    """A database with 500 messages, a folder with extractors, and a way to run commands there."""
    (tmp_path / "mine.py").write_text(EXTRACTOR)
    name = f"test_{uuid.uuid4().hex[:12]}"
    with pymongo.MongoClient(mongod_uri) as client:
        client[name]["messages"].create_index(INDEX)
        client[name]["messages"].insert_many([message(n, n) for n in range(500)])
        yield Workplace(mongod_uri, client[name], tmp_path, monkeypatch)
        client.drop_database(name)
