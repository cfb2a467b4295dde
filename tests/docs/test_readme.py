"""The README's script does what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pymongo
import pytest

from tests.support.places import ROOT
from tests.support.samples import INDEX

README = ROOT / "README.md"


@pytest.fixture
def script(tmp_path):
    """The README's Python block, as a file."""
    (block,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    path = tmp_path / "script.py"
    path.write_text(block)
    return path


def test_the_script_of_the_readme_runs_as_it_stands(script, mongod_uri):
    """Twice: all written, then all unchanged; only documents of its window."""
    with pymongo.MongoClient(mongod_uri) as client:
        messages = client["chat"]["messages"]
        messages.create_index(INDEX)
        start = datetime(2018, 9, 30, 23, tzinfo=UTC)
        messages.insert_many(
            [
                {"_id": n, "created_at": start + timedelta(hours=n), "text": f"Anna met Bob {n}"}
                for n in range(100)
            ]
        )
        try:
            for written in (99, 0):
                done = subprocess.run(
                    [sys.executable, str(script)],
                    env={**os.environ, "MONGODB_URI": mongod_uri},
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert done.returncode == 0, done.stderr
                assert done.stdout.split() == ["succeeded", "99", str(written), "True"]
            stored = client["chat"]["messages_entities"].find_one({"_id": 5})
            assert [(e["text"], e["label"]) for e in stored["entities"]] == [
                ("Anna", "NAME"),
                ("Bob", "NAME"),
            ]
        finally:
            client.drop_database("chat")


def test_the_script_is_about_ten_lines(script):
    """Short enough to be read at once."""
    assert len([line for line in script.read_text().splitlines() if line.strip()]) <= 11
