"""Whatever a function or a service says, the command line prints lines and a status, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pymongo
import pytest

from tests.support.samples import INDEX, message

EXTRACTOR = """
from engine import Entity

def failing(error):
    async def extract(texts):
        if "Hello 7" in texts:
            raise error
        return [[Entity(0, 5, "WORD", text[:5])] for text in texts]
    return extract

def down(words):
    async def extract(texts):
        raise ConnectionError(words)
    return extract

half_a_pair = failing(ValueError("\\ud83d is odd"))
markup = failing(ValueError("[/red] [bold] [link=x]"))
controls = failing(ValueError("\\x1b[2J\\x00\\r\\n" * 9))
down_half_a_pair = down("\\ud83d")
down_markup = down("[/b] [/i]")
down_long = down("x" * (17 << 20))

async def unstorable(texts):
    wrong = [Entity(0, 5, "\\udc00", "Hello", 0.5)]
    return [wrong if text == "Hello 7" else [] for text in texts]
"""


@pytest.fixture
def call(mongod_uri, tmp_path):
    """Runs a command with a function over 40 documents; its output is ASCII. Returns status and output."""
    (tmp_path / "odd.py").write_text(EXTRACTOR)
    name = f"test_{uuid.uuid4().hex[:12]}"
    environment = {**os.environ, "MONGODB_URI": mongod_uri, "PYTHONIOENCODING": "ascii:strict"}

    def run(command, *arguments):
        line = [sys.executable, "-m", "engine", command, *arguments, "--database", name]
        done = subprocess.run(
            line, cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False
        )
        return done.returncode, (done.stdout + done.stderr).decode("ascii")

    with pymongo.MongoClient(mongod_uri) as client:
        client[name]["messages"].create_index(INDEX)
        client[name]["messages"].insert_many([message(n, n) for n in range(40)])
        yield run
        client.drop_database(name)


@pytest.mark.parametrize("function", ["half_a_pair", "markup", "controls", "unstorable"])
def test_one_document_fails_whatever_is_said(call, function):
    """`run` and `status` exit with 1, and tell the reason of the one dead letter."""
    settings = ("-s", "batch_texts=4", "-s", f"run_id=é[/b]{function}")
    code, printed = call("run", "--collection", "messages", "--extractor", f"odd:{function}", *settings)
    assert (code, "Traceback" in printed) == (1, False), printed
    assert "dead letters: 1 x " in printed
    code, printed = call("status", f"é[/b]{function}", "--html", "report.html")
    assert (code, "Traceback" in printed, "dead letters: 1 x " in printed) == (1, False, True), printed


@pytest.mark.parametrize("function", ["down_half_a_pair", "down_markup", "down_long"])
def test_an_outage_is_told_whatever_is_said(call, function):
    """The problem is printed by `run`, and by `status` from the checkpoint."""
    quick = ("-s", "max_attempts=1", "-s", "max_outage_s=0.1", "-s", "run_id=odd")
    code, printed = call("run", "--collection", "messages", "--extractor", f"odd:{function}", *quick)
    assert (code, "Traceback" in printed, "ConnectionError" in printed) == (1, False, True), printed
    assert len(printed) < 5000
    code, printed = call("status", "odd")
    assert (code, "Traceback" in printed, "ConnectionError" in printed) == (1, False, True), printed
