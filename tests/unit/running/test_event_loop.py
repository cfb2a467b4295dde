"""The event loop of a process is uvloop's if that is installed, else asyncio's; nothing else changes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from engine.running.event_loop import loop_factory, loop_runner

uvloop = pytest.importorskip("uvloop")


@pytest.fixture(params=["uvloop", "asyncio"])
def loop_class(request, monkeypatch):
    """The class of the event loop, with and without uvloop."""
    if request.param == "uvloop":
        return uvloop.Loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    return asyncio.SelectorEventLoop


async def own_loop():
    """The loop that runs this coroutine."""
    return asyncio.get_running_loop()


def test_the_runner_takes_the_fastest_loop_there_is(loop_class):
    """It closes the loop at the end."""
    with loop_runner() as loop:
        running = loop.run(own_loop())
    assert isinstance(running, loop_class)
    assert running.is_closed()


def test_without_uvloop_asyncio_decides(monkeypatch):
    """None lets asyncio choose, also on platforms with a loop of their own."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_trap_31_a_signal_cancels_and_cleans_up(loop_class, number):
    """The command line and the DAG set such a handler; it works on both loops."""
    before, saved = signal.getsignal(number), []

    async def work():
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
        try:
            os.kill(os.getpid(), number)
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0)
            saved.append("checkpoint")

    try:
        with pytest.raises((asyncio.CancelledError, KeyboardInterrupt)), loop_runner() as loop:
            loop.run(work())
    finally:
        signal.signal(number, before)
    assert saved == ["checkpoint"]
