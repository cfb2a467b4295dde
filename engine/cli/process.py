"""Runs a command of the command line: signals cancel it, and errors become one line and an exit status."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable

import typer
from rich.logging import RichHandler

from engine.cli import display
from engine.errors import ConfigError, EngineError, PlanError
from engine.running.event_loop import loop_runner

LEAVE_S = 0.2
"""Time that an interrupted process has to end by itself."""


def finish(command: Callable[[], Awaitable[int]], *, verbose: bool) -> None:
    """Runs a command and exits with its status; an error of the engine is printed as one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # nothing that is printed can fail to be encoded
    if verbose:
        logging.basicConfig(
            level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=display.err)]
        )
    try:
        with loop_runner() as loop:
            code = loop.run(_cancelled_by_signals(command))
    except (ConfigError, PlanError) as error:
        display.fail(error)
        code = 2
    except EngineError as error:
        display.fail(error)
        code = 1
    except (asyncio.CancelledError, KeyboardInterrupt):
        display.fail("interrupted; run the same command again to resume from the checkpoints")
        code = 1
        _leave(code)
    raise typer.Exit(code)


async def _cancelled_by_signals(command: Callable[[], Awaitable[int]]) -> int:
    task = asyncio.current_task()
    if task is not None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await command()


def _leave(code: int) -> None:
    """Makes sure that the process ends, although threads of the driver wait for a server that is silent.

    Python waits for the threads of an executor, and nothing can interrupt their reading from a socket.
    """
    sys.stdout.flush()
    leaving = threading.Timer(LEAVE_S, os._exit, [code])
    leaving.daemon = True
    leaving.start()
