"""The Extractor protocol, the HTTP extractor over aiohttp, and the wrapper for plain functions.

An extractor makes one attempt a call; retries, isolation of bad texts and counting are the engine's.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from inspect import isawaitable
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import aiohttp
from yarl import URL

from engine.errors import ConfigError, ExtractionError, Failure
from engine.formats import Format, failure_of, format_named, retry_after_s
from engine.model import Entity
from engine.redaction import redact

BODY_PREFIX = 300
"""Characters of an error body that are kept for people."""


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
            raise _translated(error) from error


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


class HttpExtractor(AbstractAsyncContextManager["HttpExtractor"]):
    """Calls a NER service over HTTP, through one session.

    Use it as an asynchronous context manager, or let `run` and `run_range` open it; entering it again while
    it is open shares the session.

    Args:
        url: address of the service; its path, if it has one, replaces the format's.
        format: a name in `engine.formats.FORMATS`, or a Format of one's own.
        headers: sent with every request (authorization, say); never logged.
        timeout_s: time for one attempt, plus `text_timeout_s` for each text.

    Raises:
        ConfigError: the address is no http(s) URL, or the format is unknown.
    """

    def __init__(
        self,
        url: str,
        *,
        format: str | Format = "native",  # noqa: A002
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        text_timeout_s: float = 1.0,
    ) -> None:
        self._format = format_named(format) if isinstance(format, str) else format
        self._url = _endpoint(url, self._format)
        self._headers = dict(headers or {})
        self._timeouts = timeout_s, text_timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._entered = 0

    async def __aenter__(self) -> Self:
        """Opens the session, unless it is open."""
        self._entered += 1
        if self._session is None:
            # The engine bounds what is in flight; a second bound here would only hide it.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the session when the last user leaves."""
        self._entered -= 1
        if self._entered == 0 and self._session is not None:
            await self._session.close()
            self._session = None

    async def extract(self, texts: Sequence[str]) -> list[list[Entity]]:
        """One request.

        Raises:
            ExtractionError: with its failure class, status and `Retry-After`.
        """
        if self._session is None:
            raise ConfigError("HttpExtractor is not open: use `async with HttpExtractor(...) as extractor`")
        base_s, text_s = self._timeouts
        timeout = aiohttp.ClientTimeout(total=base_s + text_s * len(texts))
        try:
            async with self._session.post(
                self._url, json=self._format.request(texts), timeout=timeout
            ) as response:
                body = await response.read()
        except TimeoutError as error:
            raise ExtractionError(
                f"no answer within {timeout.total:g} s", failure=Failure.TRANSIENT
            ) from error
        except aiohttp.ClientError as error:
            raise _translated(error) from error
        if response.status >= 300:  # noqa: PLR2004
            raise self._refused(texts, response, body)
        return self._parsed(texts, response, body)

    def _parsed(
        self, texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes
    ) -> list[list[Entity]]:
        try:
            return self._format.response(texts, json.loads(body))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise ExtractionError(
                f"the answer has not the shape of format {self._format.name!r} "
                f"({type(error).__name__}: {error}; content type {response.content_type})",
                status=response.status,
            ) from error

    def _refused(
        self, texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes
    ) -> ExtractionError:
        hint = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
        beginning = body[: 4 * BODY_PREFIX].decode("utf-8", "replace")[:BODY_PREFIX]
        failure = failure_of(self._format, response.status, beginning, hinted=hint is not None)
        return ExtractionError(
            f"HTTP {response.status}: {redact(beginning, texts)}",
            failure=failure,
            status=response.status,
            retry_after_s=hint,
        )


def _endpoint(url: str, shape: Format) -> str:
    address = URL(url)
    if address.scheme not in ("http", "https") or not address.host:
        raise ConfigError(f"service url {url!r}: give an address such as http://host:8080")
    return str(address if address.path not in ("", "/") else address.with_path(shape.path))


def _translated(error: aiohttp.ClientError) -> ExtractionError:
    """An aiohttp error as ours; a stale keep-alive connection or a reset is transient (TRAPS 21)."""
    if isinstance(error, aiohttp.InvalidURL):
        return ExtractionError(f"{type(error).__name__}: {error}")
    status = error.status if isinstance(error, aiohttp.ClientResponseError) else None
    return ExtractionError(
        f"{type(error).__name__}: {error}", failure=Failure.TRANSIENT, status=status or None
    )


def opened(extractor: Extractor) -> AbstractAsyncContextManager[Any]:
    """The extractor as a context manager, also when it is none."""
    return extractor if isinstance(extractor, AbstractAsyncContextManager) else nullcontext(extractor)
