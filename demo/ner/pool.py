"""Worker processes that hold the model, so that the event loop never waits for it."""

import asyncio
import multiprocessing
from collections.abc import Awaitable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from demo.ner import model
from demo.ner.model import Entities


class Model(Protocol):
    """What the service asks of a model."""

    def describe(self) -> Awaitable[dict[str, str]]:
        """Name and version, once it is loaded."""

    def extract(self, texts: list[str]) -> Awaitable[list[Entities]]:
        """The entities of each text, in order."""

    def close(self) -> None:
        """End what it has started."""


class ModelPool:
    """A model in `workers` processes.

    A pool whose worker was killed is useless for ever: it is replaced, and the request that met it fails.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._executor = self._new_executor()

    async def describe(self) -> dict[str, str]:
        """Start all workers, and wait until they have loaded the model.

        Raises:
            BrokenProcessPool: It cannot be loaded; the worker has written why to standard error.
        """
        loop = asyncio.get_running_loop()
        calls = (loop.run_in_executor(self._executor, model.describe) for _ in range(self._workers))
        answers = await asyncio.gather(*calls)
        return answers[0]

    async def extract(self, texts: list[str]) -> list[Entities]:
        """The entities of each text, in order.

        Raises:
            BrokenProcessPool: A worker died; the next request finds new ones.
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
