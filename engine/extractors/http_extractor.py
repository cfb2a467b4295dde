"""The extractor that calls a NER service over HTTP, with aiohttp.

Each call is one attempt. The engine retries, isolates texts that fail, and counts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from engine.errors import ConfigError, ExtractionError, Failure, WrongAnswer
from engine.extractors.extractor import T
from engine.extractors.formats import Format, body_of, entities_of, format_named, query_of
from engine.extractors.http_answers import json_of, refusal_of, translated
from engine.extractors.offsets import CANARY_TEXT, OffsetUnit, detect_unit, parse_unit
from engine.model import Entity
from engine.observing.events import Events


class HttpExtractor(AbstractAsyncContextManager["HttpExtractor"]):
    """Calls a NER service over HTTP, through one session.

    Use it as an asynchronous context manager, or let `run` and `run_range` open it; entering it again while
    it is open shares the session. Before the first text, it sends a known text of its own, the canary, and
    checks in which unit the service counts offsets (`engine.extractors.offsets`). The canary is not retried,
    and no document is blamed if it fails.

    Args:
        url: address of the service; its path, if it has one, replaces that of the format.
        format: a name in `engine.extractors.formats.FORMATS`, or a Format of your own.
        headers: sent with every request, such as authorization; never logged.
        timeout_s: time for one attempt, plus `text_timeout_s` for each text.
        offsets: the unit that the service counts offsets in, if it differs from the format's: a value of
            `engine.extractors.offsets.OffsetUnit`.
        parameters: added to every request: fields of a JSON body (`{"language": "de"}`,
            `{"labels": [...]}`), or of the query string in a format that has one.
        canary: whether to send the canary.
        tls: trusted authorities and client certificate for https; by default the authorities of the system.

    Attributes:
        batch_texts: largest number of texts in a request; None means any number.

    Raises:
        ConfigError: the address is not an http(s) URL, or the format or the unit is unknown.
    """

    def __init__(
        self,
        url: str,
        *,
        format: str | Format = "native",  # noqa: A002
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
        text_timeout_s: float = 1.0,
        offsets: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        canary: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._format = format_named(format) if isinstance(format, str) else format
        self._parameters = dict(parameters or {})
        self._url = _endpoint(url, self._format, self._parameters)
        self._headers = {"Content-Type": "application/json", **self._format.headers, **(headers or {})}
        self._timeout = cache(lambda texts: aiohttp.ClientTimeout(total=timeout_s + text_timeout_s * texts))
        self._unit = parse_unit(offsets or self._format.offsets)
        self.batch_texts = self._format.batch_texts
        self._tls: ssl.SSLContext | bool = tls or True
        self._canary = canary
        self._canary_due = canary
        self._wrong_unit: str | None = None
        self._session: aiohttp.ClientSession | None = None
        self._entered = 0

    async def __aenter__(self) -> Self:
        """Opens the session, unless it is open already."""
        self._entered += 1
        if self._session is None:
            # The engine limits the requests in flight; a second limit here would only hide that.
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls)
            # No cookies: a service that sets them would slow down each request.
            self._session = aiohttp.ClientSession(
                connector=connector, headers=self._headers, cookie_jar=aiohttp.DummyCookieJar()
            )
            self._canary_due, self._wrong_unit = self._canary, None
            self._alone = asyncio.Lock()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the session when the last user has left."""
        self._entered -= 1
        if self._entered == 0 and self._session is not None:
            await self._session.close()
            self._session = None

    async def prepare(self) -> None:
        """Sends the canary, unless that has been done; the engine calls this before each attempt."""
        if self._canary_due:
            await self._send_canary()

    async def extract(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """Sends one request, after the canary if that has not been sent yet.

        Raises:
            ExtractionError: with its failure class, status and `Retry-After`.
            ConfigError: the extractor is not open, the texts are too many for the format, or the service
                counts offsets in another unit.
        """
        if self._session is None:
            raise ConfigError("HttpExtractor is not open: use `async with HttpExtractor(...) as extractor`")
        if self.batch_texts is not None and len(texts) > self.batch_texts:
            raise ConfigError(
                f"format {self._format.name!r} takes {self.batch_texts} texts a request at most, "
                f"got {len(texts)}"
            )
        await self.prepare()
        if self._wrong_unit is not None:
            raise ConfigError(self._wrong_unit)
        answer = await self._answer(self._session, texts)
        return self._parsed(lambda: entities_of(self._format, self._unit, texts, answer))

    async def _send_canary(self) -> None:
        """Sends the canary, while all other calls wait for its result."""
        async with self._alone:
            if not self._canary_due or self._session is None:
                return
            events = Events(format=self._format.name, offsets=self._unit)
            try:
                answer = await self._answer(self._session, [CANARY_TEXT])
                (found,) = self._parsed(lambda: self._format.response([CANARY_TEXT], answer))
                detected = detect_unit(found, self._unit)
            except (ExtractionError, ValueError) as error:
                events.warning("canary_failed", problem=error)
            else:
                self._wrong_unit = _unit_problem(detected, self._unit)
                events.info("canary_answered", shown=detected)
            self._canary_due = False

    async def _answer(self, session: aiohttp.ClientSession, texts: Sequence[str]) -> Any:
        """Sends one request and returns the JSON of its answer."""
        timeout = self._timeout(len(texts))
        data = body_of(self._format, texts, self._parameters)
        try:
            async with session.post(self._url, data=data, timeout=timeout) as response:
                body = await response.read()
        except TimeoutError as error:
            raise ExtractionError(
                f"no answer within {timeout.total:g} s", failure=Failure.TRANSIENT
            ) from error
        except aiohttp.ClientError as error:
            raise translated(error) from error
        if response.status >= 300:  # noqa: PLR2004
            raise refusal_of(self._format, texts, response, body)
        return json_of(texts, response, body)

    def _parsed(self, read: Callable[[], T]) -> T:
        """Calls `read`, and raises an ExtractionError if the answer has another shape than the format's."""
        try:
            return read()
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise WrongAnswer(
                f"the answer does not have the shape of format {self._format.name!r} "
                f"({type(error).__name__}: {error})",
                status=200,
            ) from error


def _endpoint(url: str, shape: Format, parameters: Mapping[str, Any]) -> URL:
    """Returns the URL of requests. A path or query given in the address wins over the format's."""
    address = URL(url)
    if address.scheme not in ("http", "https") or not address.host:
        raise ConfigError(f"service url {url!r} is not an http(s) address; give one such as http://host:8080")
    if address.path in ("", "/"):
        address = address.with_path(shape.path).with_query(address.query)
    missing = {n: value for n, value in query_of(shape, parameters).items() if n not in address.query}
    return address.update_query(missing)


def _unit_problem(detected: OffsetUnit | None, declared: OffsetUnit) -> str | None:
    """Says what to do if the canary shows another unit than the declared one; None if it does not."""
    if detected is None or detected is declared:
        return None
    return (
        f"the service counts offsets in {detected.noun}, not in {declared.noun}: "
        f"set offsets={detected.value!r} (of HttpExtractor; --offsets; extra of the Airflow Connection)"
    )
