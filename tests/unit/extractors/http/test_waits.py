"""How long an answer asks to wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from multidict import CIMultiDict

from engine.extractors.http.waits import reset_s, retry_after_s

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("0.25", 0.25),
        (str(int(NOW.timestamp()) + 7), 7.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("9" * 400, None),
        ("1.", None),
        ("٣", None),
        ("Mon, 99 Foo 2026", None),
    ],
)
def test_trap_19_retry_after_is_seconds_or_a_date_or_nothing(header, seconds):
    """A malformed value is ignored."""
    assert retry_after_s(CIMultiDict({} if header is None else {"Retry-After": header}), NOW) == seconds


@pytest.mark.parametrize("name", ["retry-after-ms", "Retry-After-Ms", "x-ms-retry-after-ms"])
def test_milliseconds_come_before_seconds(name):
    """They are more exact than the `Retry-After` beside them, which is rounded up."""
    assert retry_after_s(CIMultiDict({"Retry-After": "2", name: "1234"}), NOW) == 1.234
    assert retry_after_s(CIMultiDict({"Retry-After": "2", name: "soon"}), NOW) == 2.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": "30"}, 30.0),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 40)}, 40.0),
        ({"X-Rate-Limit-Reset": str(int(NOW.timestamp() * 1000) + 2500)}, 2.5),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-reset-tokens": "20ms"}, 360.0),
        (
            {
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "1.5s",
            },
            1.5,
        ),
        ({"anthropic-ratelimit-tokens-reset": "2026-01-01T00:00:09Z"}, 9.0),
        ({"ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset-after": "0.5"}, 0.5),
        ({"RateLimit": "limit=10, remaining=0, reset=7"}, 7.0),
        ({"RateLimit": '"default";r=0;t=8'}, 8.0),
        ({"x-ratelimit-reset": "soon"}, None),
        ({"x-ratelimit-limit": "100", "x-reset": "5"}, None),
    ],
)
def test_the_reset_of_an_exceeded_limit_is_understood(headers, seconds):
    """Limits that are not used up say nothing."""
    assert reset_s(CIMultiDict(headers), NOW) == seconds
