"""Answers that an HTTP client refuses, or should: told in plain words, and within bounds."""

from __future__ import annotations

import json
import tracemalloc
import zlib

import pytest

from engine import ExtractionError, Failure, HttpExtractor
from tests.support.raw_server import Reply, answer, no_entities, raw_server

pytestmark = pytest.mark.asyncio

EMPTY = b'{"results": [[]]}'


def head(*lines):
    """Status line and headers, followed by an answer of which no length is given."""
    return b"\r\n".join([b"HTTP/1.1 200 OK", *lines, b"", EMPTY])


BROKEN = {
    "Content-Length twice": (head(b"Content-Length: 17", b"Content-Length: 17"), "Duplicate Content-Length"),
    "two different lengths": (head(b"Content-Length: 17", b"Content-Length: 7"), "Duplicate Content-Length"),
    "brotli": (answer(b"\x0b\x02\x80{}\x03", Content_Encoding="br"), "compressed as brotli"),
    "zstd": (answer(b"\x28\xb5\x2f\xfd", Content_Encoding="zstd"), "compressed as zstandard"),
    "no gzip": (answer(b"not gzip", Content_Encoding="gzip"), "compressed as gzip"),
    "a header over 64 KiB": (head(b"X-A: " + b"SECRET" * 12_000), "headers is longer than 65536 bytes"),
    "too many headers": (head(*(b"X-%d: 1" % n for n in range(200))), "breaks the rules of HTTP"),
    "a chunk without a size": (head(b"Transfer-Encoding: chunked"), "breaks the rules of HTTP"),
    "another protocol": (b"SSH-2.0-OpenSSH_9 SECRET\r\n", "breaks the rules of HTTP"),
    "a control character": (head(b"X: SECRET\x00", b"Content-Length: 17"), "breaks the rules of HTTP"),
}


async def failing(extractor):
    """The error of one request."""
    with pytest.raises(ExtractionError) as raised:
        await extractor.extract(["Ada met Bob"])
    return raised.value


@pytest.mark.parametrize("name", BROKEN)
async def test_an_answer_that_breaks_http_is_told_in_plain_words(name):
    """There is no status, because the service sent none; from the start it is permanent, so the run ends."""
    data, told = BROKEN[name]
    async with (
        raw_server(lambda _: Reply(data, "close")) as server,
        HttpExtractor(f"{server.url}/?code=SECRET", canary=False) as extractor,
    ):
        error = await failing(extractor)

    assert told in str(error)
    assert (error.failure, error.status) == (Failure.PERMANENT, None)
    assert not any(bad in str(error) for bad in ("SECRET", "400", "b'", "\n"))


async def test_a_broken_answer_among_right_ones_may_be_an_accident():
    """One worker of many may be broken; the text is tried again, and blamed at the end."""
    script = [None, BROKEN["Content-Length twice"][0], None]

    def handler(request):
        return Reply(script.pop(0) or no_entities(request))

    async with raw_server(handler) as server, HttpExtractor(server.url, canary=False) as extractor:
        await extractor.extract(["Ada"])
        assert (await failing(extractor)).failure is Failure.TRANSIENT
        assert await extractor.extract(["Ada"]) == [[]]


@pytest.mark.parametrize("size", [9_000, 60_000])
async def test_headers_up_to_64_kib_are_read(size):
    """Gateways add such: traces, policies, tokens."""
    async with (
        raw_server(lambda request: Reply(no_entities(request, X_Policy="x" * size))) as server,
        HttpExtractor(server.url, canary=False) as extractor,
    ):
        assert await extractor.extract(["Ada"]) == [[]]


def bomb(encoding):
    """300 MB of blanks, compressed to 300 kB."""
    packer = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    blanks = b" " * 1_000_000
    return b"".join(packer.compress(blanks) for _ in range(300)) + packer.flush()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_small_body_that_inflates_is_cut_off(encoding):
    """The answer is refused at the bound, and memory stays near it."""
    reply = Reply(answer(bomb(encoding), Content_Encoding=encoding))
    async with (
        raw_server(lambda _: reply) as server,
        HttpExtractor(server.url, canary=False, max_answer_bytes=8 << 20) as extractor,
    ):
        tracemalloc.start()
        error = await failing(extractor)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert (error.failure, error.status) == (Failure.PERMANENT, 200)
    assert "more than 8388608 bytes (tuning.max_answer_bytes)" in str(error)
    assert peak < 40 << 20


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_large_answer_is_refused_or_allowed(chunked):
    """The bound holds for plain bodies too, with a length or without; an error page is bounded as well."""
    body = json.dumps({"results": [[]], "debug": "x" * 100_000}).encode()
    data = answer(body)
    if chunked:
        piece = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + piece
    async with (
        raw_server(lambda _: Reply(data)) as server,
        HttpExtractor(server.url, canary=False, max_answer_bytes=100_000) as extractor,
    ):
        assert "more than 100000 bytes" in str(await failing(extractor))
        async with HttpExtractor(server.url, canary=False, max_answer_bytes=101_000) as allowing:
            assert await allowing.extract(["Ada"]) == [[]]


@pytest.mark.parametrize("status", ["204 No Content", "205 Reset Content"])
async def test_an_empty_answer_is_called_so(status):
    """No proxy is suspected, and no attempt is repeated."""
    data = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with (
        raw_server(lambda _: Reply(data)) as server,
        HttpExtractor(server.url, canary=False) as extractor,
    ):
        error = await failing(extractor)
    assert str(error).startswith(f"HTTP {status[:3]}: an empty answer")
    assert (error.failure, error.status) == (Failure.PERMANENT, int(status[:3]))


NAMES = "Zoë Müller traf José in Besançon"


@pytest.mark.parametrize(
    ("charset", "codec"),
    [
        ("iso-8859-1", "latin-1"),
        ('"windows-1252"', "cp1252"),
        ("ISO-8859-15; profile=x", "iso8859-15"),
        ("utf-16", "utf-16"),
        ("UTF-8", "utf-8"),
        ("unknown", "utf-8"),
        ("base64", "utf-8"),
        ("ascii", "utf-8"),
    ],
)
async def test_a_declared_charset_is_obeyed(charset, codec):
    """Also where the bytes would be UTF-8 by chance; a charset that is none, or wrong, counts as none."""
    entity = {"start": 4, "end": 10, "label": "PERSON", "text": NAMES[4:10], "score": None}
    body = json.dumps({"results": [[entity]], "by": "Ã©"}, ensure_ascii=False).encode(codec, "replace")
    reply = Reply(answer(body, Content_Type=f"application/json; charset={charset}"))
    async with (
        raw_server(lambda _: reply) as server,
        HttpExtractor(server.url, canary=False) as extractor,
    ):
        ((found,),) = await extractor.extract([NAMES])
    assert found.text == "Müller"


async def test_an_error_in_a_declared_charset_is_told_rightly():
    """The message would have question marks else."""
    body = '{"error": "ungültig"}'.encode("latin-1")
    reply = Reply(answer(body, "422 No", Content_Type="application/json; charset=latin1"))
    async with (
        raw_server(lambda _: reply) as server,
        HttpExtractor(server.url, canary=False) as extractor,
    ):
        assert "ungültig" in str(await failing(extractor))
