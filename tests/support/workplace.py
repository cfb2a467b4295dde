"""A place to run the command line in: a database with messages, and a folder with extractors."""

from __future__ import annotations

import os
import subprocess
import sys

from typer.testing import CliRunner

from engine.cli import display
from engine.cli.commands import app

EXTRACTOR = """
import asyncio
from engine import Entity

async def extract(texts):
    return [[Entity(0, 5, "WORD", text[:5])] for text in texts]

async def refuse(texts):
    if any(text == "Hello 7" for text in texts):
        raise ValueError("refused")
    return await extract(texts)

async def only_late(texts):
    if not all(text.startswith("Late") for text in texts):
        raise ConnectionError("down")
    return await extract(texts)

async def slow(texts):
    await asyncio.sleep(0.05)
    return await extract(texts)
"""


class Workplace:
    """The place where the command line is run."""

    def __init__(self, uri, database, folder, monkeypatch):
        self.database, self.folder, self._monkeypatch = database, folder, monkeypatch
        self.environment = {**os.environ, "MONGODB_URI": uri, "COLUMNS": "200"}

    def start(self, command, *arguments, collection="messages"):
        """Starts `python -m engine COMMAND ...` on the messages."""
        line = [sys.executable, "-m", "engine", command, *arguments, "--database", self.database.name]
        if collection:
            line += ["--collection", collection]
        return subprocess.Popen(
            line,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def call_alone(self, command, *arguments):
        """Does the same in a process of its own."""
        process = self.start(command, *arguments)
        output, errors = process.communicate(timeout=120)
        return process.returncode, output + errors

    def call(self, command, *arguments, collection="messages"):
        """Runs the command in this process; returns the exit status and all that it printed."""
        line = [command, *arguments, "--database", self.database.name]
        if collection:
            line += ["--collection", collection]
        with self._monkeypatch.context() as patch:
            patch.chdir(self.folder)
            patch.delitem(sys.modules, "mine", raising=False)
            for console in (display.out, display.err):
                patch.setattr(console, "_width", 200)
            ended = CliRunner(env=self.environment).invoke(app, line)
        assert isinstance(ended.exception, SystemExit | None), ended.exception
        return ended.exit_code, ended.output
