"""What came back over HTTP: JSON, a refusal, the page of a proxy, or an error of the connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp

from engine.errors import ExtractionError, Failure
from engine.extractors.formats import Format, failure_of, retry_after_s
from engine.extractors.json_bodies import decoded
from engine.extractors.redaction import redact

_TRUST = (
    "pass `tls`, a context that trusts its authority (of HttpExtractor; SSL_CERT_FILE in the environment; "
    "extra `verify` of the Airflow Connection)"
)

BODY_PREFIX = 300
"""Characters of an error body that are kept for people."""


def json_of(texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes) -> Any:
    """The body as JSON, whatever its content type says: frameworks serve JSON as text/html by default.

    What is no JSON and does not claim to be comes from something in between, a proxy's page: that says
    nothing about the texts, and may have passed when the call is repeated.
    """
    try:
        return decoded(body)
    except ValueError as error:
        claimed = "json" in response.content_type
        raise ExtractionError(
            f"the answer is no JSON: content type {response.content_type}, {len(body)} bytes that begin with "
            f"{redact(_beginning(body), texts)!r}" + ("" if claimed else "; is a proxy in the way?"),
            failure=Failure.PERMANENT if claimed else Failure.TRANSIENT,
            status=response.status,
        ) from error


def refusal_of(
    shape: Format, texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes
) -> ExtractionError:
    """An answer whose status is no success, with its failure class and `Retry-After`."""
    hint = retry_after_s(response.headers.get("Retry-After"), datetime.now(UTC))
    beginning = _beginning(body)
    failure = failure_of(shape, response.status, beginning, hinted=hint is not None)
    return ExtractionError(
        f"HTTP {response.status}: {redact(beginning, texts)}",
        failure=failure,
        status=response.status,
        retry_after_s=hint,
    )


def translated(error: aiohttp.ClientError) -> ExtractionError:
    """An aiohttp error as ours; a stale keep-alive connection or a reset is transient (TRAPS 21)."""
    if isinstance(error, aiohttp.InvalidURL):
        return ExtractionError(f"{type(error).__name__}: {error}")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):  # waiting would change nothing
        return ExtractionError(f"{type(error).__name__}: {error}; {_TRUST}")
    status = error.status if isinstance(error, aiohttp.ClientResponseError) else None
    return ExtractionError(
        f"{type(error).__name__}: {error}", failure=Failure.TRANSIENT, status=status or None
    )


def _beginning(body: bytes) -> str:
    return body[: 4 * BODY_PREFIX].decode("utf-8", "replace")[:BODY_PREFIX]
