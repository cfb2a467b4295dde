"""A reference NER service: `python -m demo.ner.server --port 8900`.

    POST /extract  {"texts": [...]} -> {"results": [[{"start", "end", "label", "text", "score"}, ...], ...]}
    GET  /healthz  200 with the model's name and version; 503 while it loads
    GET  /stats    counters since the start

It works on a bounded number of requests at once, and answers the others with 429 and `Retry-After`. A body
that it cannot use gets 400, and a text that is too long for the model 413.
"""

import argparse
import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress

from aiohttp import web

from demo.ner.pool import Model, ModelPool
from demo.servers.ports import LOOPBACK

_MAX_BODY_BYTES = 16 * 2**20
_MAX_TEXT_CHARACTERS = 1_000_000  # spaCy refuses more.
_RETRY_AFTER_S = 1
_MAX_WORKERS = 2
_SHUTDOWN_S = 5.0


class NerService:
    """Answers requests, at most `queue` of them at once."""

    def __init__(self, model: Model, *, queue: int) -> None:
        self._model = model
        self._queue = queue
        self._held = 0
        self._about: dict[str, str] = {}
        self._counts = Counter[str](requests=0, texts=0, rejected=0)

    def application(self) -> web.Application:
        """The service as an aiohttp application, which loads the model at its start."""
        application = web.Application(client_max_size=_MAX_BODY_BYTES)
        application.add_routes(
            [
                web.post("/extract", self.extract),
                web.get("/healthz", self.healthz),
                web.get("/stats", self.stats),
            ]
        )
        application.cleanup_ctx.append(self._model_lifetime)
        return application

    async def extract(self, request: web.Request) -> web.Response:
        """Find the entities of a batch of texts."""
        self._counts["requests"] += 1
        try:
            with self._slot():
                return await self._answer(request)
        except Refusal as refusal:
            return refusal.response()
        except BrokenProcessPool:
            return Refusal(503, "a worker died and is being replaced", retry=True).response()

    async def healthz(self, _: web.Request) -> web.Response:
        """Say whether the model is loaded, and which one it is."""
        if not self._about:
            return web.json_response({"status": "loading"}, status=503)
        return web.json_response({"status": "ok", **self._about})

    async def stats(self, _: web.Request) -> web.Response:
        """Return the counters since the start, and the number of requests in progress."""
        return web.json_response({**self._counts, "held": self._held})

    async def _answer(self, request: web.Request) -> web.Response:
        texts = _texts(await request.read())
        results = await self._model.extract(texts) if texts else []
        self._counts["texts"] += len(texts)
        return web.json_response({"results": results})

    async def _model_lifetime(self, _: web.Application) -> AsyncIterator[None]:
        loading = asyncio.create_task(self._load())
        yield
        loading.cancel()
        with suppress(asyncio.CancelledError):
            await loading
        self._model.close()

    async def _load(self) -> None:
        try:
            self._about = await self._model.describe()
        except BrokenProcessPool as error:
            raise web.GracefulExit from error  # The worker has printed the reason; there is nothing to serve.

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if self._held >= self._queue:
            self._counts["rejected"] += 1
            raise Refusal(429, "the queue is full", retry=True)
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, reason: str, *, retry: bool = False) -> None:
        super().__init__(reason)
        self._status = status
        self._headers = {"Retry-After": str(_RETRY_AFTER_S)} if retry else {}

    def response(self) -> web.Response:
        """The answer in JSON."""
        return web.json_response({"error": str(self)}, status=self._status, headers=self._headers)


def _texts(body: bytes) -> list[str]:
    try:
        texts = json.loads(body)["texts"]
        lengths = [_length(text) for text in texts] if isinstance(texts, list) else None
    except (ValueError, TypeError, KeyError, AttributeError):
        lengths = None
    if lengths is None:
        raise Refusal(400, 'the body must be {"texts": ["...", ...]} in Unicode')
    if max(lengths, default=0) > _MAX_TEXT_CHARACTERS:
        raise Refusal(413, f"a text has more than {_MAX_TEXT_CHARACTERS} characters")
    return list(texts)


def _length(text: str) -> int:
    text.encode()  # Fails for lone surrogates, which JSON can contain: the model would fail on them.
    return len(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo.ner.server", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, _MAX_WORKERS))
    parser.add_argument("--queue", type=int, default=32, help="requests in progress at once")
    return parser.parse_args()


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments()
    service = NerService(ModelPool(arguments.workers), queue=arguments.queue)
    web.run_app(
        service.application(),
        host=arguments.host,
        port=arguments.port,
        shutdown_timeout=_SHUTDOWN_S,
        access_log=None,
    )


if __name__ == "__main__":
    main()
