"""Sends requests to one service with aiohttp, over connections that are kept open."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
from yarl import URL

from engine.errors import ConfigError, ExtractionError
from engine.extractors.http.addresses import shown
from engine.extractors.http.answers import MAX_HEADER_BYTES
from engine.extractors.http.sent_again import SENT_AGAIN

KEEP_ALIVE_S = 4.0
"""Seconds that a connection is kept without a request. Many servers close theirs after 5 s, and a request
that is sent at that moment is lost."""

_LOST = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionResetError)
"""How aiohttp says that a connection was closed."""


class _Connector(aiohttp.TCPConnector):
    """Keeps connections, and knows which tasks have just got a new one."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.got_new: set[asyncio.Task[Any] | None] = set()

    async def _create_connection(self, *given: Any, **named: Any) -> Any:
        self.got_new.add(asyncio.current_task())
        return await super()._create_connection(*given, **named)


class Connections:
    """The connections to one service.

    Args:
        max_bytes: bytes of an answer at most, after it was decompressed.
        trust_env: whether to go through the proxy that the environment names for the address.

    Raises:
        ConfigError: the proxy's address is no http address.
    """

    def __init__(
        self,
        url: URL,
        headers: Mapping[str, str],
        *,
        tls: ssl.SSLContext | None,
        max_bytes: int,
        trust_env: bool,
    ) -> None:
        self._url, self._max_bytes = url, max_bytes
        proxy = proxy_of(url) if trust_env else None
        # The engine limits the requests in flight; a second limit here would only hide that.
        self._connector = _Connector(limit=0, ssl=tls or True, keepalive_timeout=KEEP_ALIVE_S)
        once = aiohttp.TCPConnector(limit=0, ssl=tls or True, force_close=True)
        # No cookies: a service that sets them would slow down each request.
        self._kept, self._once = (
            aiohttp.ClientSession(
                connector=connector,
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                max_line_size=MAX_HEADER_BYTES,
                max_field_size=MAX_HEADER_BYTES,
                proxy=proxy,
            )
            for connector in (self._connector, once)
        )

    async def close(self) -> None:
        """Closes all connections."""
        async with AsyncExitStack() as stack:
            for session in (self._kept, self._once):
                stack.push_async_callback(session.close)

    async def post(self, body: bytes, within: aiohttp.ClientTimeout) -> tuple[aiohttp.ClientResponse, bytes]:
        """Sends a request over a kept connection; returns the answer and its body.

        A connection that was used before may have been closed by the server meanwhile. If it gives no byte
        of an answer, the request is sent again at once over a new one (trap 58, docs/traps.md).

        Raises:
            aiohttp.ClientError, TimeoutError, ExtractionError: as of `post_once`.
        """
        answered = False
        try:
            async with self._kept.post(
                self._url, data=body, timeout=within, allow_redirects=False
            ) as response:
                answered = True
                return response, await self._body_of(response)
        except _LOST as error:
            if answered or not self._was_stale(error):
                raise
        finally:
            if self._connector.got_new:
                self._connector.got_new.discard(asyncio.current_task())
        SENT_AGAIN.get()()
        return await self.post_once(body, within)

    async def post_once(
        self, body: bytes, within: aiohttp.ClientTimeout
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """Sends a request over a new connection, which is closed after it.

        Raises:
            aiohttp.ClientError: no answer came, or it cannot be read.
            TimeoutError: it took too long.
            ExtractionError: the answer is too large.
        """
        async with self._once.post(self._url, data=body, timeout=within, allow_redirects=False) as response:
            return response, await self._body_of(response)

    async def _body_of(self, response: aiohttp.ClientResponse) -> bytes:
        """Reads the body in the pieces in which it comes, because a small one may decompress to gigabytes."""
        pieces, size, content = [], 0, response.content
        while piece := await content.readany():
            size += len(piece)
            if size > self._max_bytes:
                response.close()
                raise ExtractionError(
                    f"the answer has more than {self._max_bytes} bytes (tuning.max_answer_bytes); "
                    "send fewer texts a request (batch_texts), or allow more",
                    status=response.status,
                    reason="the answer is too large",
                )
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _was_stale(self, error: aiohttp.ClientError) -> bool:
        """Whether the connection was used before, and has given no byte of an answer."""
        if isinstance(error, aiohttp.ClientConnectorError):
            return False
        if isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str):
            return False  # the message is the part of an answer that has come
        return asyncio.current_task() not in self._connector.got_new


def proxy_of(url: URL) -> URL | None:
    """Returns the proxy that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name for an address.

    Raises:
        ConfigError: it is no http address.
    """
    proxies = urllib.request.getproxies()
    given = proxies.get(url.scheme) or proxies.get("all")
    if not given or urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    try:
        proxy = URL(given if "://" in given else f"http://{given}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise ConfigError(
            f"the proxy of the environment ({url.scheme.upper()}_PROXY) is {shown(given)!r}; "
            "give one such as http://host:3128, or set trust_env=false"
        )
    return proxy
