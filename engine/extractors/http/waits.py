"""How long a service asks to wait, in the headers of its answers. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|d|h|m|s))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FIELD = re.compile(r"\b(?:reset|t)=(\d+)", re.ASCII)

_EPOCH_S, _EPOCH_MS = 1e9, 1e12
"""Larger numbers are no waits, but moments: seconds or milliseconds since 1970."""


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds that an answer asks to wait; None if it does not, or in a form that is unknown.

    Accepts both forms of RFC 9110, section 10.2.3, seconds or an HTTP date, also with a fraction (`1.5`), and
    the milliseconds of Azure and OpenAI (`retry-after-ms`, `x-ms-retry-after-ms`).

    Args:
        headers: of the answer; their names are found in any case.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if (value := headers.get(name)) is not None and _NUMBER.fullmatch(value.strip()):
            return float(value) / 1000
    value = headers.get("retry-after")
    return None if value is None else _wait_s(value.strip(), now)


def reset_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Returns the seconds until a limit of the service is reset, for an answer that says it is exceeded.

    Services that send no `Retry-After` have headers such as `x-ratelimit-reset`, `RateLimit`,
    `x-ratelimit-reset-requests` or `anthropic-ratelimit-tokens-reset`. Those with a `remaining` other than 0
    are not what was exceeded. Of several limits, the last to be reset counts.
    """
    return max(_resets(headers, now), default=None)


def _resets(headers: Mapping[str, str], now: datetime) -> Iterator[float]:
    for given, value in headers.items():
        name = given.lower()
        if "ratelimit" not in name.replace("-", ""):
            continue
        if name == "ratelimit":
            yield from (float(seconds) for seconds in _FIELD.findall(value))
        elif "reset" in name and headers.get(name.replace("reset", "remaining"), "0").strip() == "0":
            seconds = _wait_s(value.strip(), now)
            if seconds is not None:
                yield seconds / 1000 if name.endswith("-ms") else seconds


def _wait_s(value: str, now: datetime) -> float | None:
    """Reads a number of seconds, a moment since 1970, a duration such as `6m0s`, or a date."""
    if _NUMBER.fullmatch(value):
        number = float(value)
        if number < _EPOCH_S:
            return number
        return max(0.0, number / (1000 if number >= _EPOCH_MS else 1) - now.timestamp())
    if _DURATION.fullmatch(value):
        return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError, IndexError, TypeError, OverflowError):
            moment = read(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return max(0.0, (moment - now).total_seconds())
    return None
