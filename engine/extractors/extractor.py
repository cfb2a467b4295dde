"""The Extractor protocol, and the wrapper that turns a plain async function into an Extractor.

Each call of an extractor is one attempt. The engine retries, isolates texts that fail, and counts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from inspect import isawaitable
from typing import Any, Protocol, TypeAlias, runtime_checkable

import aiohttp

from engine.errors import ConfigError
from engine.extractors.http.addresses import without_addresses
from engine.extractors.http.answers import cause_of, translated
from engine.model import Entity


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


ExtractFunction: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[list[Entity]]]]


class FunctionExtractor:
    """Wraps a plain `async def extract(texts) -> list[list[Entity]]` as an Extractor."""

    def __init__(self, function: ExtractFunction) -> None:
        self.function = function

    async def extract(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """Calls the function and translates the errors of aiohttp, in case the function uses it."""
        pending = self.function(texts)
        if not isawaitable(pending):
            raise ConfigError(f"extractor {without_addresses(repr(self.function))} must be an async function")
        try:
            return await pending
        except aiohttp.ClientError as error:
            raise translated(error) from cause_of(error)


def as_extractor(extractor: Extractor | ExtractFunction) -> Extractor:
    """Returns the extractor itself, or a wrapper around a plain function.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(extractor, Extractor):
        return extractor
    if callable(extractor):
        return FunctionExtractor(extractor)
    raise ConfigError(
        without_addresses(f"extractor {extractor!r} is neither an Extractor nor an async function of texts")
    )


def opened(extractor: Extractor) -> AbstractAsyncContextManager[Any]:
    """Returns the extractor as a context manager; one that is not a context manager needs no closing."""
    return extractor if isinstance(extractor, AbstractAsyncContextManager) else nullcontext(extractor)
