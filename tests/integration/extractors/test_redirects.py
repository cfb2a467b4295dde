"""Redirects: none is followed, and what they say is told without secrets."""

from __future__ import annotations

import pytest

from engine import ExtractionError, Failure, HttpExtractor
from tests.support.raw_server import Reply, answer, no_entities, raw_server

pytestmark = pytest.mark.asyncio


async def refused(url, **arguments):
    """The error of one request."""
    arguments = {"canary": False, **arguments}
    async with HttpExtractor(url, **arguments) as extractor:
        with pytest.raises(ExtractionError) as raised:
            await extractor.extract(["Ada met Bob"])
    return raised.value


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_trap_56_no_text_and_no_key_goes_to_another_address(status):
    """The other server gets nothing, whatever the status is."""
    async with raw_server(lambda request: Reply(no_entities(request))) as other:
        location = f"{other.url}/extract?code=OTHER"
        async with raw_server(lambda _: Reply(answer(b"", status, Location=location))) as server:
            error = await refused(f"{server.url}/extract?code=SECRET", headers={"X-Api-Key": "KEYKEY"})

    assert (other.connections, len(server.requests)) == (0, 1)
    assert (error.failure, error.status) == (Failure.PERMANENT, int(status[:3]))
    assert f"redirects to {other.url}/extract;" in str(error)
    assert "OTHER" not in str(error)


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("/extract/?code=SECRET", "{url}/extract/;"),
        ("extract/", "{url}/extract/;"),
        (
            "https://me:SECRET@login.example/start;id=SECRET?next=SECRET#SECRET",
            "https://login.example/start;",
        ),
        ("//login.example/sso?next=%2Fextract%3Fcode%3DSECRET", "http://login.example/sso;"),
        ("http://[SECRET", "an address that cannot be read;"),
        ("", "no address;"),
    ],
)
async def test_trap_56_the_target_is_told_without_query_and_login(location, told):
    """A relative address is told as a whole one."""
    async with raw_server(lambda _: Reply(answer(b"", "302 Found", Location=location))) as server:
        error = await refused(f"{server.url}/extract?code=SECRET")

    assert f"redirects to {told.format(url=server.url)}" in str(error)
    assert "SECRET" not in str(error)


@pytest.mark.parametrize("status", ["300 Multiple Choices", "304 Not Modified", "399 Odd"])
async def test_trap_56_every_status_of_this_kind_is_permanent(status):
    """Those that HTTP clients do not follow by themselves, too."""
    async with raw_server(lambda _: Reply(answer(b"", status))) as server:
        error = await refused(server.url)
    assert (error.failure, error.status) == (Failure.PERMANENT, int(status[:3]))
    assert "redirects to no address" in str(error)
