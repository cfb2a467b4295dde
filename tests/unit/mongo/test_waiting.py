"""A command that goes unanswered is told, and is known to whoever stops the process."""

from __future__ import annotations

import asyncio
import threading

import pytest
from mongomock_motor import AsyncMongoMockClient

from engine.mongo import calls, waiting
from engine.mongo.clients import close
from tests.support.virtual_time import run_virtually


def messages():
    """A collection without a server."""
    return AsyncMongoMockClient()["chat"]["messages"]


@pytest.mark.parametrize(
    ("send", "waits_for"),
    [
        (calls.write_target, "a majority of the replica set that confirms a write"),
        (calls.read_source, "an answer of the server"),
        (calls.read_target, "an answer of the server"),
    ],
)
def test_trap_49_a_long_wait_is_told_once_while_it_lasts(caplog, send, waits_for):
    """The line says what is waited for, and is there before the answer."""
    told = []

    async def command():
        await asyncio.sleep(waiting.TELL_AFTER_S - 1)
        told.append(len(caplog.messages))
        await asyncio.sleep(60)
        told.append(len(caplog.messages))

    run_virtually(send(messages(), command))
    assert told == [0, 1]
    assert caplog.messages == [
        f'waiting_for_mongodb collection=chat.messages waits_for="{waits_for}" waited_s=5.000'
    ]


def test_an_answer_in_time_is_not_told(caplog):
    """No line, and nothing is left unanswered."""

    async def command():
        return 1

    async def later():
        assert await calls.read_source(messages(), command) == 1
        await asyncio.sleep(60)

    run_virtually(later())
    assert (caplog.messages, waiting.silent()) == ([], False)


def test_mongodb_is_silent_while_a_command_has_waited_for_long(monkeypatch):
    """A command that was cancelled is no longer waited for."""
    monkeypatch.setattr(waiting, "SILENT_AFTER_S", 0.0)

    async def never():
        await asyncio.Event().wait()

    async def cancelled():
        command = asyncio.create_task(calls.read_source(messages(), never))
        await asyncio.sleep(0)
        assert waiting.silent()
        command.cancel()
        await asyncio.wait([command])
        assert not waiting.silent()

    asyncio.run(cancelled())


def test_trap_49_closing_does_not_wait_for_a_silent_server(monkeypatch):
    """The driver ends its sessions by a command without a time limit."""
    monkeypatch.setattr("engine.mongo.clients.CLOSE_S", 0.01)
    answered, closed = threading.Event(), []

    class Silent:
        def close(self):
            answered.wait()

    class Answering:
        def close(self):
            closed.append(True)

    close(Silent(), Answering())
    answered.set()
    assert closed == [True]
