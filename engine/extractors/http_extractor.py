"""The extractor that calls a NER service over HTTP, with aiohttp.

Each call is one attempt. The engine retries, isolates texts that fail, and counts.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache, partial
from types import TracebackType
from typing import Any, Self, TypeAlias

import aiohttp

from engine.errors import NO_ANSWER, ConfigError, ExtractionError, Failure
from engine.extractors.canary import Canary
from engine.extractors.formats import Format, body_of, entities_of, format_named, query_of
from engine.extractors.http.addresses import header_secrets, service_address
from engine.extractors.http.answers import AnswerReader, cause_of, translated
from engine.extractors.http.connections import Connections
from engine.extractors.http.headers import request_headers
from engine.extractors.offsets import parse_unit
from engine.model import Entity

Send: TypeAlias = Callable[[bytes, aiohttp.ClientTimeout], Awaitable[tuple[aiohttp.ClientResponse, bytes]]]


class HttpExtractor(AbstractAsyncContextManager["HttpExtractor"]):
    """Calls a NER service over HTTP, over connections that it keeps.

    Use it as an asynchronous context manager, or let `run` and `run_range` open it; entering it again while
    it is open shares the connections. No redirect is followed. Before the first text, it sends known texts of
    its own (`canary.py`), and no text is sent before these are answered, or refused for good.

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
        trust_env: whether to go through the proxy that `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` name.
        max_answer_bytes: largest answer, after decompression.

    Attributes:
        batch_texts: largest number of texts in a request; None means any number.
        max_text_chars: longer texts may be read only in part; None if there is no such limit, or none known.

    Raises:
        ConfigError: the address is not an http(s) URL, or the format or the unit is unknown.
    """

    def __init__(  # noqa: PLR0913  (all but the address are by keyword, and have defaults)
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
        trust_env: bool = False,
        max_answer_bytes: int = 64 << 20,
    ) -> None:
        self._format = format_named(format) if isinstance(format, str) else format
        self._parameters = dict(parameters or {})
        address = service_address(url, self._format.path, query_of(self._format, self._parameters))
        defaults = {"Content-Type": "application/json", **self._format.headers}
        headers = request_headers(address.url, defaults, headers or {})
        secrets = (*address.secrets, *header_secrets(headers))
        self._answers = AnswerReader(self._format, address.url, secrets)
        self._connect = partial(
            Connections, address.url, headers, tls=tls, trust_env=trust_env, max_bytes=max_answer_bytes
        )
        self._timeout = cache(lambda texts: aiohttp.ClientTimeout(total=timeout_s + text_timeout_s * texts))
        self._unit = parse_unit(offsets or self._format.offsets)
        self.batch_texts = self._format.batch_texts
        self.max_text_chars = self._format.max_text_chars
        self._with_canary = canary
        self._canary: Canary | None = None
        self._connections: Connections | None = None
        self._works = False
        self._entered = 0

    async def __aenter__(self) -> Self:
        """Makes ready to connect, unless that is done already."""
        self._entered += 1
        if self._connections is None:
            self._connections, self._works = self._connect(), False
            ask = partial(self._answer, self._connections.post)
            hide = self._answers.hide_secrets
            self._canary = Canary(self._format, self._unit, ask, hide) if self._with_canary else None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections when the last user has left."""
        self._entered -= 1
        if self._entered == 0 and self._connections is not None:
            await self._connections.close()
            self._connections = None

    @property
    def ready(self) -> bool:
        """Whether texts may be sent: the canary was answered rightly, or refused for good."""
        return self._canary is None or self._canary.ready

    async def prepare(self) -> None:
        """Sends the canary, unless that has been done, while all other calls wait for its result.

        Raises:
            ConfigError: the answer shows that the service cannot be used so; no text will be sent.
            ExtractionError: the failure may pass, and the canary is still due.
        """
        if self._canary is not None:
            await self._canary.send()

    async def extract(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """Sends one request, after the canary if that has not been sent yet.

        Raises:
            ExtractionError: with its failure class, status and `Retry-After`.
            ConfigError: the extractor is not open, the texts are too many for the format, or the canary has
                shown that the service cannot be used so.
        """
        return await self._extracted(texts, anew=False)

    async def probe(self, texts: Sequence[str]) -> Sequence[list[Entity]]:
        """Does the same as `extract` over a new connection.

        The engine asks so whether the service works: a kept connection may be dead while the service is not.
        """
        return await self._extracted(texts, anew=True)

    async def _extracted(self, texts: Sequence[str], *, anew: bool) -> Sequence[list[Entity]]:
        if self._connections is None:
            raise ConfigError("HttpExtractor is not open: use `async with HttpExtractor(...) as extractor`")
        if self.batch_texts is not None and len(texts) > self.batch_texts:
            raise ConfigError(
                f"format {self._format.name!r} takes {self.batch_texts} texts a request at most, "
                f"got {len(texts)}"
            )
        if not self.ready:
            await self.prepare()
        send = self._connections.post_once if anew else self._connections.post
        answer = await self._answer(send, texts)
        try:
            return entities_of(self._format, self._unit, texts, answer)
        except ExtractionError as error:
            self._answers.hide_secrets(error)
            raise

    async def _answer(self, send: Send, texts: Sequence[str]) -> Any:
        """Sends one request and returns the JSON of its answer."""
        timeout = self._timeout(len(texts))
        data = body_of(self._format, texts, self._parameters)
        try:
            response, body = await send(data, timeout)
        except TimeoutError as error:
            raise ExtractionError(
                f"no answer within {timeout.total:g} s", failure=Failure.TRANSIENT, reason=NO_ANSWER
            ) from cause_of(error)
        except aiohttp.ClientError as error:
            raise translated(error, works=self._works) from cause_of(error)
        self._works = True
        if response.status >= 300:  # noqa: PLR2004
            raise self._answers.refusal_of(texts, response, body)
        return self._answers.json_of(texts, response, body)
