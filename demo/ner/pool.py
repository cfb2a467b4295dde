"""Worker processes that run the model, so that the event loop never waits for it."""

import asyncio
import multiprocessing
from collections.abc import Awaitable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from demo.ner import model
from demo.ner.model import Entities


class Model(Protocol):
    """What the service needs from a model."""

    def describe(self) -> Awaitable[dict[str, str]]:
        """The name and version, once the model is loaded."""

    def extract(self, texts: list[str]) -> Awaitable[list[Entities]]:
        """Find the entities of each text, in order."""

    def close(self) -> None:
        """End the processes that it has started."""


class ModelPool:
    """Runs the model in `workers` processes.

    An executor is broken for good once one of its workers was killed. It is then replaced, and the requests
    that it was working on fail.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor = self._new_executor()

    async def describe(self) -> dict[str, str]:
        """Start all workers, and wait until they have loaded the model.

        Raises:
            BrokenProcessPool: The model cannot be loaded; standard error has the reason.
        """
        loop = asyncio.get_running_loop()
        calls = (loop.run_in_executor(self._executor, model.describe) for _ in range(self._workers))
        answers = await asyncio.gather(*calls)
        return answers[0]

    async def extract(self, texts: list[str]) -> list[Entities]:
        """Find the entities of each text, in order.

        Raises:
            BrokenProcessPool: A worker died. The next request gets new workers.
        """
        executor = self._executor
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, model.extract, texts)
        except BrokenProcessPool:
            if executor is self._executor:
                self._executor = self._new_executor()
            raise

    def close(self) -> None:
        """End the workers."""
        self._executor.shutdown(cancel_futures=True)

    def _new_executor(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._workers,
            # Forking a process that already runs threads (NumPy starts some) may deadlock its child.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=model.start_worker,
        )
