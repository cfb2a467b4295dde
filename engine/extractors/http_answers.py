"""Turns what came back over HTTP into JSON or into an ExtractionError: a refusal, a proxy's page, a reset."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from engine.errors import ExtractionError, Failure
from engine.extractors.formats import Format, failure_of
from engine.extractors.json_bodies import decoded
from engine.extractors.redaction import redact

_TRUST = (
    "pass `tls`, a context that trusts its authority (of HttpExtractor; SSL_CERT_FILE in the environment; "
    "extra `verify` of the Airflow Connection)"
)

BODY_PREFIX = 300
"""Characters of an error body that are kept in the message."""


def json_of(texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes) -> Any:
    """Returns the body as JSON, whatever its content type, because frameworks serve JSON as text/html.

    Raises:
        ExtractionError: the body is not JSON. If its content type does not claim JSON either, it is probably
            the page of a proxy: that says nothing about the texts, so the failure is transient.
    """
    try:
        return decoded(body)
    except ValueError as error:
        claimed = "json" in response.content_type
        raise ExtractionError(
            f"the answer is not JSON: content type {response.content_type}, {len(body)} bytes that begin "
            f"with {redact(_beginning(body), texts)!r}" + ("" if claimed else "; is a proxy in the way?"),
            failure=Failure.PERMANENT if claimed else Failure.TRANSIENT,
            status=response.status,
        ) from error


def refusal_of(
    shape: Format, texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes
) -> ExtractionError:
    """Returns the error for an answer with an error status, with its failure class and `Retry-After`."""
    hint = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
    beginning = _beginning(body)
    failure = failure_of(shape, response.status, beginning, hinted=hint is not None)
    return ExtractionError(
        f"HTTP {response.status}: {redact(beginning, texts)}",
        failure=failure,
        status=response.status,
        retry_after_s=hint,
    )


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Returns the seconds that a `Retry-After` header asks to wait; None if it is absent or malformed.

    Accepts both forms of RFC 9110, section 10.2.3: seconds, or an HTTP date.
    """
    if header is None:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, IndexError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def translated(error: aiohttp.ClientError) -> ExtractionError:
    """Returns an aiohttp error as an ExtractionError.

    A stale keep-alive connection or a reset is transient (trap 21, docs/traps.md).
    """
    if isinstance(error, aiohttp.InvalidURL):
        return ExtractionError(f"{type(error).__name__}: {error}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):  # a retry would fail in the same way
        return ExtractionError(f"{type(error).__name__}: {error}; {_TRUST}")
    status = error.status if isinstance(error, aiohttp.ClientResponseError) else None
    return ExtractionError(
        f"{type(error).__name__}: {error}", failure=Failure.TRANSIENT, status=status or None
    )


def _beginning(body: bytes) -> str:
    return body[: 4 * BODY_PREFIX].decode("utf-8", "replace")[:BODY_PREFIX]
