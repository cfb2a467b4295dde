"""Addresses of services: what is sent, and what may be shown."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ConfigError
from engine.extractors.http.addresses import (
    UNREADABLE,
    header_secrets,
    service_address,
    shown,
    without_addresses,
    without_secrets,
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://host:8080/extract?code=SECRET", "http://host:8080/extract"),
        ("https://me:SECRET@host/extract#SECRET", "https://host/extract"),
        ("htp://user:SECRET@host", "htp://host"),
        ("http://[::1]:8080/x?SECRET", "http://[::1]:8080/x"),
        ("http://host/a;jsessionid=SECRET", "http://host/a"),
        ("host:8080?code=SECRET", "host:8080"),
        ("http://user:SE/CRET@host", UNREADABLE),
        ("http://user:SECRET?@host", UNREADABLE),
        ("http://user:SE@CRET/x@host/path", UNREADABLE),
        ("user:SECRET@host", UNREADABLE),
        ("SECRET", UNREADABLE),
        ("http://host:99999/?code=SECRET", UNREADABLE),
        ("", UNREADABLE),
    ],
)
def test_trap_57_host_and_path_of_an_address_are_shown(address, expected):
    """Where a password cannot be told from the host, nothing is."""
    assert shown(address) == expected


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("404 for url: https://h/x?api_key=SECRET&v=2", "404 for url: https://h/x"),
        (
            "Max retries exceeded with url: /x?code=SECRET (Caused by ...)",
            "Max retries exceeded with url: /x (Caused by ...)",
        ),
        ("400, message='Bad', url='http://me:SECRET@h/x'", "400, message='Bad', url='http://h/x'"),
        ("Connection to redis://:SECRET@cache:6379/0 refused", "Connection to redis://cache:6379/0 refused"),
        ("see https://h/docs. Is it so?", "see https://h/docs. Is it so?"),
        ("is it and/or? yes", "is it and/or? yes"),
    ],
)
def test_trap_57_addresses_in_messages_lose_query_and_login(message, expected):
    """Messages of the libraries that functions of users call, such as requests, httpx and urllib3."""
    assert without_addresses(message) == expected


def test_trap_57_values_of_the_address_are_taken_out_wherever_they_are_quoted():
    """A service may quote the key plain, or unescaped; words such as a format's name stay."""
    address = service_address("http://me:pass%2Fword@h/x?code=a%2Bkey%3D&format=json", "/", {})
    message = "key a+key= (a%2Bkey%3D) of me:pass/word is wrong; application/json"

    assert without_secrets(message, address.secrets) == "key *** (***) of *** is wrong; application/json"
    assert (
        without_secrets("bad token abcdef", header_secrets({"Authorization": "Bearer abcdef"}))
        == "bad token ***"
    )
    assert without_secrets("text/plain", header_secrets({"Accept": "text/plain"})) == "text/plain"


@pytest.mark.parametrize(
    ("given_url", "sent"),
    [
        (
            "http://h/x?sig=a%2Fb%3D%2b&se=2026-01-01T00%3A00%3A00Z",
            "/x?sig=a%2Fb%3D%2b&se=2026-01-01T00%3A00%3A00Z",
        ),
        ("http://h/a%2Fb/../c?x=1+2&y=~%7E", "/a%2Fb/../c?x=1+2&y=~%7E"),
        ("http://h/x?a=b=c&d&e=%e4", "/x?a=b=c&d&e=%e4"),
        ("http://h/x y?q=ä", "/x%20y?q=%C3%A4"),
        ("http://h", "/extract"),
        ("http://h?code=%2F", "/extract?code=%2F"),
        ("  http://h/x#top\n", "/x"),
    ],
)
def test_a_signed_address_is_sent_as_it_is(given_url, sent):
    """Only characters that no request may contain are quoted."""
    assert service_address(given_url, "/extract", {}).url.raw_path_qs == sent


def test_parameters_of_the_format_are_added_to_the_query():
    """Those that the address has stay, and none is quoted twice."""
    url = service_address("http://h/?sig=%2F&lang=de", "/", {"lang": "en", "properties": '{"a": "b"}'}).url
    assert url.raw_query_string == "sig=%2F&lang=de&properties=%7B%22a%22%3A%20%22b%22%7D"
    assert url.query["properties"] == '{"a": "b"}'


@pytest.mark.parametrize(
    "wrong",
    [
        "htp://user:SECRET@host",
        "http://host:SECRET/x",
        "http://me:SECRET@host:99999/",
        "http://[SECRET/x",
        "http://me:SEC@RET/x@host",
        "http://host SECRET/x",
        "SECRET",
        "user:SECRET@host",
        "http://?code=SECRET",
        "ftp://host/?code=SECRET",
    ],
)
def test_trap_57_a_wrong_address_is_told_without_its_secrets(wrong):
    """A ConfigError, and no error of the library that reads addresses."""
    with pytest.raises(ConfigError) as raised:
        service_address(wrong, "/", {})
    assert "RET" not in str(raised.value)
    assert raised.value.__cause__ is None


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_address_is_read_or_refused(before, after):
    """Never another error than a ConfigError, whatever is given."""
    for address in (
        before,
        f"http://{before}",
        f"http://{before}@host/{after}",
        f"http://host/{before}?{after}",
    ):
        shown(address)
        without_addresses(address)
        with suppress(ConfigError):
            service_address(address, "/extract", {"a": "b"})
