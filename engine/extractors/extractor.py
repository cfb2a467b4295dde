"""The Extractor protocol, and the wrapper that makes one from a plain async function.

An extractor makes one attempt a call; retries, the isolation of bad texts and counting are the engine's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from inspect import isawaitable
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

import aiohttp

from engine.errors import ConfigError
from engine.extractors.http_answers import translated
from engine.model import Entity
from engine.settings import Settings

T = TypeVar("T")


@runtime_checkable
class Extractor(Protocol):
    """Finds the entities of texts: a list of lists, in the order of the texts."""

    async def extract(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """One attempt for all the texts; raises if any of them fails."""
        ...


ExtractFunction: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[list[Entity]]]]


class FunctionExtractor:
    """A plain `async def extract(texts) -> list[list[Entity]]` as an Extractor."""

    def __init__(self, function: ExtractFunction) -> None:
        self._function = function

    async def extract(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """Calls the function; translates the errors of aiohttp, which it may well use."""
        pending = self._function(texts)
        if not isawaitable(pending):
            raise ConfigError(f"extractor {self._function!r} must be an async function")
        try:
            return await pending
        except aiohttp.ClientError as error:
            raise translated(error) from error


def as_extractor(extractor: Extractor | ExtractFunction) -> Extractor:
    """The extractor itself, or a wrapper around a plain function.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(extractor, Extractor):
        return extractor
    if callable(extractor):
        return FunctionExtractor(extractor)
    raise ConfigError(f"extractor {extractor!r} is neither an Extractor nor an async function of texts")


def opened(extractor: Extractor) -> AbstractAsyncContextManager[Any]:
    """The extractor as a context manager, also when it is none."""
    return extractor if isinstance(extractor, AbstractAsyncContextManager) else nullcontext(extractor)


def within_limits(settings: Settings, extractor: object) -> Settings:
    """The settings, with `batch_texts` no more than the extractor says it takes."""
    most: int | None = getattr(extractor, "batch_texts", None)
    if most is None or settings.batch_texts <= most:
        return settings
    return settings.model_copy(update={"batch_texts": most})
