"""The engine bounds every attempt itself, whatever the extractor is (trap 65, docs/traps.md)."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from aiohttp import web

from engine import HttpExtractor, Settings, Status, Tuning, Window, run

pytestmark = pytest.mark.asyncio

SLOW_S = 3.0
QUICK = Settings(
    request_timeout_s=0.2, text_timeout_s=0.0, tuning=Tuning(timeout_charge_s=0.0, retry_base_s=0.0)
)
MODULE = f"""
import asyncio
asked = []

async def slow_at_first(texts):
    asked.append(texts)
    if len(asked) == 1:
        await asyncio.sleep({SLOW_S})
    return [[] for _ in texts]
"""


async def slow(_request, texts):
    """A fault: a right answer, but three seconds late."""
    await asyncio.sleep(SLOW_S)
    return web.json_response({"results": [[] for _ in texts]})


def expect_one_retry(report):
    """The slow attempt was ended and made again; nothing is blamed."""
    assert (report.status, report.read, report.dead_lettered) == (Status.SUCCEEDED, 8, 0)
    assert (report.retries, report.requests) == (1, 2)


async def test_trap_65_a_timeout_of_the_settings_ends_an_attempt_over_http(work):
    """The extractor's own timeout is longer."""
    await work.fill(8)
    work.service.script.append(slow)
    extractor = HttpExtractor(work.service.url, canary=False)
    where = {"source": work.source, "target": work.database, "settings": QUICK}
    expect_one_retry(await run(Window(), extractor=extractor, **where))


async def test_trap_65_a_timeout_of_the_settings_ends_an_attempt_of_a_function(work):
    """A plain function knows nothing of timeouts."""
    await work.fill(8)
    namespace = {}
    exec(MODULE, namespace)
    where = {"source": work.source, "target": work.database, "settings": QUICK}
    expect_one_retry(await run(Window(), extractor=namespace["slow_at_first"], **where))


async def test_trap_65_a_timeout_of_the_command_line_ends_an_attempt(work, mongod_uri, tmp_path):
    """The setting has the same name and the same effect there."""
    await work.fill(8)
    (tmp_path / "mine.py").write_text(MODULE)
    settings = ["request_timeout_s=0.2", "text_timeout_s=0", "tuning.retry_base_s=0"]
    chosen = [word for setting in settings for word in ("-s", setting)]
    place = ["-d", work.database.name, "-c", "messages", "--uri", mongod_uri]
    command = [sys.executable, "-m", "engine", "run", *place, "--extractor", "mine:slow_at_first", *chosen]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    kept = await work.database["engine_checkpoints"].find_one()
    assert (kept["retries"], kept["requests"], kept["written"]) == (1, 2, 8)
