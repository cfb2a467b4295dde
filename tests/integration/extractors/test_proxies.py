"""Proxies of the environment: obeyed by a setting only, and told without their logins."""

from __future__ import annotations

import base64
import ssl

import pytest
from yarl import URL

from engine import ConfigError, ExtractionError, Failure, HttpExtractor
from engine.extractors.http.connections import proxy_of
from tests.support.raw_server import Reply, answer, no_entities, raw_server

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture
def environment(monkeypatch):
    """A function that sets the variables of proxies; all others of them are unset."""

    def use(**variables):
        for name in NAMES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    use()
    return use


@pytest.mark.asyncio
async def test_requests_go_through_the_proxy_if_trust_env_is_set(environment):
    """Without it they go straight to the service; the login of the proxy is sent to it."""
    async with (
        raw_server(lambda request: Reply(no_entities(request))) as proxy,
        raw_server(lambda request: Reply(no_entities(request))) as service,
    ):
        environment(HTTP_PROXY=proxy.url.replace("http://", "http://me:pass%2Fword@"))
        for trust_env in (False, True):
            async with HttpExtractor(service.url, canary=False, trust_env=trust_env) as extractor:
                assert await extractor.extract(["Ada"]) == [[]]

    assert (len(service.requests), len(proxy.requests)) == (1, 1)
    login = base64.b64encode(b"me:pass/word").decode()
    assert proxy.requests[0].head.startswith(f"POST {service.url}/extract HTTP/1.1")
    assert f"Proxy-Authorization: Basic {login}" in proxy.requests[0].head


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "http://h/", "http://p:1"),
        ({"http_proxy": "p:1"}, "http://h/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://h/", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://h/", None),
        ({"ALL_PROXY": "http://p:1"}, "https://h/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "h"}, "http://h/", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".example"}, "http://ner.example:80/", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "h:81"}, "http://h:80/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "h:81"}, "http://h:81/", None),
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "*"}, "http://h/", None),
        ({}, "http://h/", None),
    ],
)
def test_the_environment_names_the_proxy_of_an_address(environment, variables, url, proxy):
    """As for the standard library, curl and requests: in capitals or not, with exceptions."""
    environment(**variables)
    found = proxy_of(URL(url))
    assert (found and str(found)) == proxy


@pytest.mark.parametrize(
    "proxy", ["socks5://me:SECRET@p:1", "http://me:SECRET@p:99999", "http://me:SEC/RET@p:1"]
)
def test_a_proxy_that_is_none_is_told_without_its_login(environment, proxy):
    """A ConfigError that names the variable."""
    environment(HTTP_PROXY=proxy)
    with pytest.raises(ConfigError, match="HTTP_PROXY") as raised:
        proxy_of(URL("http://h/"))
    assert "RET" not in str(raised.value)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "failure"),
    [("407 Login", Failure.PERMANENT), ("403 No", Failure.PERMANENT), ("502 Bad", Failure.TRANSIENT)],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_refusal_of_the_proxy_is_told_without_its_login(environment, status, failure, scheme):
    """Whether the request itself is refused, or the tunnel (CONNECT)."""
    refusing = Reply(answer(b"no", status), "close")
    async with raw_server(lambda _: refusing) as proxy:
        environment(**{f"{scheme}_proxy": proxy.url.replace("http://", "http://me:SECRET@")})
        url = f"{scheme}://ner.example/?code=SECRET"
        context = ssl.create_default_context()
        async with HttpExtractor(url, canary=False, trust_env=True, tls=context) as extractor:
            with pytest.raises(ExtractionError) as raised:
                await extractor.extract(["Ada"])
    assert (raised.value.failure, raised.value.status) == (failure, int(status[:3]))
    assert "SECRET" not in str(raised.value)


@pytest.mark.asyncio
async def test_a_proxy_that_is_not_there_is_an_outage_and_is_named(environment):
    """The host of the proxy is in the message, the login is not."""
    environment(HTTP_PROXY="http://me:SECRET@127.0.0.1:9")
    async with HttpExtractor("http://ner.example/", canary=False, trust_env=True) as extractor:
        with pytest.raises(ExtractionError, match=r"127\.0\.0\.1:9") as raised:
            await extractor.extract(["Ada"])
    assert raised.value.failure is Failure.TRANSIENT
    assert "SECRET" not in str(raised.value)
