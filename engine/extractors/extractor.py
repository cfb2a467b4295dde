"""The Extractor protocol, and the wrapper that turns a function into an Extractor.

Each call of an extractor is one attempt. The engine retries, isolates texts that fail, and counts.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Protocol, TypeAlias, runtime_checkable

from engine.errors import ConfigError
from engine.extractors.functions.signatures import check_call, is_async, name_of
from engine.extractors.http.addresses import without_addresses
from engine.model import Entity

MOST_THREADS = 1024
"""Threads of a plain function, at most: as many as requests may be in flight. They start when needed."""


@runtime_checkable
class Extractor(Protocol):
    """Finds the entities of texts and returns a list for each text, in the order of the texts."""

    async def extract(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """Makes one attempt for all the texts; raises if any of them fails."""
        ...


@runtime_checkable
class Preparable(Extractor, Protocol):
    """An extractor that asks the service something before the first text is sent."""

    @property
    def ready(self) -> bool:
        """Whether texts may be sent."""
        ...

    async def prepare(self) -> None:
        """Makes one attempt to become ready.

        Raises:
            ConfigError: the service cannot be used as it is set up.
            Exception: what may pass; the extractor is not ready, and may be asked again.
        """
        ...


ExtractFunction: TypeAlias = Callable[
    [Sequence[str]], Awaitable[Sequence[list[Entity]]] | Sequence[list[Entity]]
]
"""A function of texts: `async`, or a plain one, which is called in threads."""


class FunctionExtractor:
    """Wraps `async def extract(texts) -> list[list[Entity]]`, or a plain function, as an Extractor.

    A plain function is called in a thread, so that it does not stop the requests of the others. It may be
    called in several threads at once; `max_concurrency=1` prevents that.
    """

    def __init__(self, function: ExtractFunction) -> None:
        self.function = function
        self._threads = None if is_async(function) else ThreadPoolExecutor(MOST_THREADS, "extractor")

    async def extract(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """Calls the function."""
        found: Any = (
            self.function(texts)
            if self._threads is None
            else await asyncio.get_running_loop().run_in_executor(self._threads, self.function, texts)
        )
        return await found if inspect.isawaitable(found) else found  # type: ignore[no-any-return]


def as_extractor(extractor: Extractor | ExtractFunction) -> Extractor:
    """Returns the extractor itself, or a wrapper around a function. It is called before any work.

    Raises:
        ConfigError: it is neither, or cannot be called with a list of texts.
    """
    if isinstance(extractor, FunctionExtractor):
        return extractor
    if inspect.isclass(extractor):
        raise ConfigError(f"extractor {name_of(extractor)} is a class: give an object of it")
    if isinstance(extractor, Extractor):
        check_call(extractor.extract)
        if inspect.ismethod(extractor.extract) and not is_async(extractor.extract):
            raise ConfigError(f"extractor {name_of(extractor.extract)} must be an `async def`")
        return extractor
    if not callable(extractor):
        raise ConfigError(
            without_addresses(f"extractor {extractor!r} is neither an Extractor nor a function of texts")
        )
    check_call(extractor)
    return FunctionExtractor(extractor)


def opened(extractor: Extractor) -> AbstractAsyncContextManager[Any]:
    """Returns the extractor as a context manager; one that is not a context manager needs no closing."""
    return extractor if isinstance(extractor, AbstractAsyncContextManager) else nullcontext(extractor)
