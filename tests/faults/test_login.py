"""Tokens and logins: one that expires ends the run, and one that cannot be sent is refused before it is."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from engine import ConfigError, HttpExtractor, Status
from engine.cli.commands import app
from tests.support.misbehaviour import status

DOCUMENTS = 200


def expire_after(service, calls, code):
    """Refuses every login after so many requests."""

    async def expired(request, texts):
        service.down = status(code, {"error": "token expired"})
        return await service.down(request, texts)

    service.script.extend([None] * calls + [expired])


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [401, 403, 407])
@pytest.mark.parametrize("batch_texts", [1, 8])
async def test_a_token_that_expires_in_mid_run_ends_the_run(work, code, batch_texts):
    """No outage is waited for: the message names the token, and a new one goes on with the work."""
    await work.fill(DOCUMENTS)
    expire_after(work.service, 5, code)
    settings = {"batch_texts": batch_texts, "range_documents": 20, "max_outage_s": 3600}

    report = await work.run(**settings)

    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    told = next(problem for problem in report.problems if f"HTTP {code}" in problem)
    assert "renew the " in told
    assert len(report.ranges) <= 3, "the other ranges are not begun"
    assert len(work.service.calls) < 30
    assert await work.dead_letters() == {}

    work.service.down = None
    report = await work.run(**settings)
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


@pytest.mark.asyncio
async def test_one_text_that_is_forbidden_is_a_dead_letter(work, text_of):
    """A firewall may refuse one text with 403; the probe passes, so the login is right."""
    await work.fill(40)
    work.service.poison = {text_of(7): status(403)}
    report = await work.run(max_dead_letters=1)
    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 1)
    assert set(await work.dead_letters()) == {7}


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["\n", "\r\n", "  ", "\t\n"], ids=repr)
@pytest.mark.parametrize("name", ["Authorization", "authorization", "X-Api-Key"])
async def test_a_line_break_at_the_end_of_a_token_is_left_out(work, name, end):
    """So is that of any other header: a secret that was read from a file has one."""
    async with HttpExtractor(work.service.url, headers={name: f"Bearer abc{end}"}, canary=False) as extractor:
        await extractor.extract(["Ada"])
    headers = {name.lower(): value for name, value in work.service.calls[0].headers.items()}
    assert headers[name.lower()] == "Bearer abc"


@pytest.mark.parametrize(
    ("url", "headers", "says"),
    [
        ("http://me:pw@ner", {"Authorization": "Bearer abc"}, "both a login in the service's address"),
        ("http://me@ner", {"authorization": "Bearer abc"}, "both a login in the service's address"),
        ("http://ner", {"Authorization": "Bearer a\nb"}, "headers: Authorization has a line break"),
        ("http://ner", {"X-Key": "a\x00b"}, "headers: X-Key has a line break or a control character"),
        ("http://ner", {"X Key": "a"}, "a name has a character"),
        ("http://ner", {"X-Key": "a", "x-key": "b"}, "given twice"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused(url, headers, says):
    """Before anything is sent, and without showing a value."""
    with pytest.raises(ConfigError, match=says) as raised:
        HttpExtractor(url, headers=headers)
    assert "Bearer" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "token", "says"),
    [
        ("http://me:pw@127.0.0.1:9", "abc", "both a login in the service's address"),
        ("http://127.0.0.1:9", "a\nb", "ENGINE_SERVICE_TOKEN has a line break"),
        ("http://127.0.0.1:9", "\x1babc", "ENGINE_SERVICE_TOKEN has a line break or a control character"),
    ],
)
def test_the_command_line_refuses_a_token_that_cannot_be_sent(monkeypatch, url, token, says):
    """With exit status 2, and before it connects to MongoDB."""
    monkeypatch.setenv("ENGINE_SERVICE_TOKEN", token)
    arguments = ["run", "-d", "no", "-c", "none", "--uri", "mongodb://127.0.0.1:9", "--service-url", url]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
