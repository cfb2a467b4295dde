"""What the headers of an answer say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from engine.extractors.http_answers import retry_after_s

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5.0),
        (" 0 ", 0.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(seconds=30), usegmt=True), 0.0),
        (None, None),
        ("soon", None),
        ("-5", None),
        ("1e9", None),
        ("٣", None),
        ("Mon, 99 Foo 2026", None),
    ],
)
def test_trap_19_retry_after_is_seconds_or_a_date_or_nothing(header, seconds):
    """A malformed value is ignored."""
    assert retry_after_s(header, NOW) == seconds
