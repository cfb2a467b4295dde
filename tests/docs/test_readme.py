"""Runs the README's script and commands as they are written, and checks its size."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path

import pymongo
import pytest

from tests.support.documents import README, block_with, blocks
from tests.support.ner_service import serve_in_thread
from tests.support.places import ROOT
from tests.support.samples import INDEX

MOST_LINES = 150
HOURS = 100
"""One message an hour, the first of them an hour before the window of the README's examples."""


@pytest.fixture
def chat(mongod_uri):
    """The database of the README's examples, with some messages."""
    with pymongo.MongoClient(mongod_uri) as client:
        messages = client["chat"]["messages"]
        messages.create_index(INDEX)
        start = datetime(2018, 9, 30, 23, tzinfo=UTC)
        messages.insert_many(
            [
                {"_id": n, "created_at": start + timedelta(hours=n), "text": f"Anna met Bob {n}"}
                for n in range(HOURS)
            ]
        )
        yield client["chat"]
        client.drop_database("chat")


@pytest.fixture
def script(tmp_path):
    """The README's Python block, as a file."""
    (block,) = blocks("python")
    path = tmp_path / "script.py"
    path.write_text(block)
    return path


def environment(**more):
    """The environment of a user who has activated the virtual environment of these tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **more}


def call(command, **options):
    """Runs a command to its end; returns the process with its output."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **{"env": environment(), "cwd": ROOT, **options},
    )


def test_the_script_of_the_readme_runs_as_it_stands(script, chat, mongod_uri):
    """The first run writes every document of its window, and the second one finds all of them unchanged."""
    for written in (HOURS - 1, 0):
        done = call([sys.executable, str(script)], env=environment(MONGODB_URI=mongod_uri))
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["succeeded", "99", str(written), "True"]
    stored = chat["messages_entities"].find_one({"_id": 5})
    assert [(e["text"], e["label"]) for e in stored["entities"]] == [("Anna", "NAME"), ("Bob", "NAME")]


def test_the_script_is_about_ten_lines(script):
    """A reader takes it in at a glance."""
    assert len([line for line in script.read_text().splitlines() if line.strip()]) <= 11


def test_the_commands_of_the_readme_run_as_they_stand(chat, mongod_uri, tmp_path):
    """Only the two addresses are replaced; `-e` ends the shell at the first command that fails."""
    block = block_with("sh", "python -m engine")
    with serve_in_thread() as service:
        local = block.replace("mongodb://localhost:27017", f"'{mongod_uri}'")
        local = local.replace("http://localhost:8080", service.url)
        assert "localhost" not in local
        done = call(["bash", "-euc", local], cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert chat["messages_entities"].count_documents({"run_id": "october"}) == HOURS - 1


def test_there_are_five_commands():
    """`plan`, `run`, `status`, `verify` and `replay`, each once."""
    commands = re.findall(r"^python -m engine (\w+)", block_with("sh", "python -m engine"), re.MULTILINE)
    assert commands == ["plan", "run", "status", "verify", "replay"]


@pytest.mark.parametrize(
    "target", sorted(set(re.findall(r"(?:^|`)make ([a-z-]+)", README.read_text(), re.MULTILINE)))
)
def test_make_knows_the_targets_of_the_readme(target):
    """`make -n` prints the commands without running them."""
    done = call(["make", "-n", target])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module", sorted(set(re.findall(r"python -m (benchmarks\.\w+)", README.read_text())))
)
def test_the_benchmarks_of_the_readme_can_be_called(module):
    """Checks that the commands exist; the tests in tests/benchmarks run them with `--quick`."""
    assert find_spec(f"{module}.__main__")


def test_the_readme_is_short():
    """A newcomer reads it in two minutes; the rest is in docs/."""
    assert len(README.read_text().splitlines()) <= MOST_LINES


def test_every_document_can_be_reached_from_the_readme():
    """A page of docs/ that nothing links to would never be read."""
    text = README.read_text()
    missing = [path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name}" not in text]
    assert not missing
