"""Turns what came back over HTTP into JSON or into an ExtractionError: a refusal, a proxy's page, a reset."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp.http_exceptions import ContentLengthError, HttpProcessingError, TransferEncodingError
from yarl import URL

from engine.errors import ExtractionError, Failure
from engine.extractors.formats import FORMATS, Format, failure_of, paths_of_others
from engine.extractors.http.addresses import shown, without_addresses, without_secrets
from engine.extractors.http.json_bodies import decoded
from engine.extractors.http.refusals import words_of
from engine.extractors.http.waits import reset_s, retry_after_s
from engine.extractors.item_errors import MULTI_STATUS, item_error
from engine.extractors.redaction import redact

_TRUST = (
    "pass `tls`, a context that trusts its authority (of HttpExtractor; SSL_CERT_FILE in the environment; "
    "extra `verify` of the Airflow Connection)"
)

BODY_PREFIX = 300
"""Characters of an error body that are kept in the message."""

_LOOKED_AT = 16_384
"""Bytes of an error body that are searched for secrets, before it is cut: a cut secret would not be found."""

MAX_HEADER_BYTES = 65_536
"""Bytes of one header of an answer. Services behind gateways send longer ones than aiohttp's 8 KiB."""

NOT_JSON = "the answer is not JSON"

NOT_THERE = frozenset({404, 405})
"""Statuses of an address that is not there, or takes no POST."""

_EMPTY = (204, 205)
_REDIRECTIONS = range(300, 400)

_NO_CHARSETS = frozenset({"idna", "punycode", "raw_unicode_escape", "undefined", "unicode_escape"})
"""Codecs of Python that are no encodings of answers."""


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Reads the answers of one service.

    Attributes:
        url: where the requests went.
        secrets: what no message may show: values of the address and of the headers.
    """

    shape: Format
    url: URL
    secrets: tuple[str, ...]

    def json_of(self, texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes) -> Any:
        """Returns the body as JSON, whatever its content type, because frameworks serve JSON as text/html.

        Raises:
            ExtractionError: the body is empty or not JSON, or reports errors of texts. If its content type
                does not claim JSON either, it is probably the page of a proxy: that says nothing about the
                texts, so the failure is transient.
        """
        try:
            answer = decoded(body, charset_of(response.headers.get("Content-Type")))
        except (ValueError, RecursionError) as error:
            claimed = "json" in response.content_type or response.status in _EMPTY
            what, begin = f"HTTP {response.status}: an empty answer", ""
            if body:
                what = NOT_JSON
                begin = f" that begin with {self._beginning(texts, response, body)!r}"
            raise ExtractionError(
                f"{what}: content type {response.content_type}, {len(body)} bytes{begin}"
                + ("" if claimed else "; is a proxy in the way?"),
                failure=Failure.PERMANENT if claimed else Failure.TRANSIENT,
                status=response.status,
                reason=what,
            ) from (None if self.secrets else error)
        if response.status == MULTI_STATUS and (reported := item_error(texts, answer)) is not None:
            self.hide_secrets(reported)
            raise reported
        return answer

    def refusal_of(
        self, texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes
    ) -> ExtractionError:
        """Returns the error for an answer with an error status, with its failure class and its wait."""
        if response.status in _REDIRECTIONS:
            return self._redirection(texts, response)
        now = datetime.now(UTC)
        hint = retry_after_s(response.headers, now)
        words = words_of(self.shape, texts, body, charset_of(response.headers.get("Content-Type")))
        failure = failure_of(self.shape, response.status, words, hinted=hint is not None)
        if failure is Failure.THROTTLED and hint is None:
            hint = reset_s(response.headers, now)
        status = f"HTTP {response.status}"
        asked = self._asked(response.method) if response.status in NOT_THERE else ""
        return ExtractionError(
            f"{status}: {asked}{self._beginning(texts, response, body)}",
            failure=failure,
            status=response.status,
            retry_after_s=hint,
            reason=status,
        )

    def hide_secrets(self, error: ExtractionError) -> None:
        """Takes the secrets out of the message of an error that quotes the answer."""
        error.args = (without_secrets(str(error), self.secrets),)

    def _asked(self, method: str) -> str:
        """Says what was asked for and what other formats ask for: the format or the path may be wrong."""
        address = without_secrets(shown(str(self.url)), self.secrets)
        return (
            f"format {self.shape.name!r} asked {method} {address}; other formats ask "
            f"{paths_of_others(self.shape)}: choose another format, or a path in the address; it says: "
        )

    def _redirection(self, texts: Sequence[str], response: aiohttp.ClientResponse) -> ExtractionError:
        """Returns the error for a redirect, which is not followed: texts and keys go to no other address."""
        location = response.headers.get("Location", "")
        try:
            target = shown(str(self.url.join(URL(location)))) if location else "no address"
        except ValueError:
            target = shown("")
        told = redact(without_secrets(target, self.secrets), texts)
        return ExtractionError(
            f"HTTP {response.status}: the service redirects to {told}; no redirect is followed, because "
            "texts and keys would go to an address that nobody has given; set the address that answers",
            status=response.status,
            reason=f"HTTP {response.status}",
        )

    def _beginning(self, texts: Sequence[str], response: aiohttp.ClientResponse, body: bytes) -> str:
        """The beginning of a body, without secrets and texts."""
        charset = charset_of(response.headers.get("Content-Type")) or "utf-8"
        text = without_secrets(body[:_LOOKED_AT].decode(charset, "replace"), self.secrets)
        return redact(text[:BODY_PREFIX], texts)


@lru_cache(maxsize=64)
def charset_of(content_type: str | None) -> str | None:
    """Returns the codec of an answer whose content type declares another charset than UTF-8, UTF-16, UTF-32.

    These are told apart by the bytes. An unknown charset counts as none.
    """
    _, _, parameters = (content_type or "").lower().partition("charset")
    name = parameters.lstrip(" =").split(";")[0].strip(" \t\"'")
    if not name or name in ("utf-8", "utf8"):
        return None
    try:
        codec = codecs.lookup(name).name
        "".encode(codec)  # refuses what encodes no text, such as base64
    except (LookupError, ValueError):
        return None
    return None if codec.startswith(("utf-", "utf_")) or codec in _NO_CHARSETS else codec


def translated(error: aiohttp.ClientError, *, works: bool = True) -> ExtractionError:
    """Returns an aiohttp error as an ExtractionError, without the address that it may show.

    A reset is transient (trap 21, docs/traps.md).

    Args:
        works: whether the service is known to speak HTTP rightly. If it is, an answer that breaks HTTP is
            an accident and transient; if not, it will be so for ever.
    """
    if isinstance(error, aiohttp.ClientConnectorCertificateError):  # a retry would fail in the same way
        return ExtractionError(f"{type(error).__name__}: {error}; {_TRUST}", reason=type(error).__name__)
    if isinstance(error, aiohttp.InvalidURL):
        return ExtractionError(_plain(error), reason=type(error).__name__)
    if (fault := _broken_http(error)) is not None:
        return ExtractionError(
            f"the answer cannot be read: {fault}",
            failure=Failure.TRANSIENT if works else Failure.PERMANENT,
            reason="the answer cannot be read",
        )
    if isinstance(error, aiohttp.ClientResponseError) and error.status:
        return _answered(error)
    if isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str):
        closed = "the connection was closed in the middle of an answer"
        return ExtractionError(closed, failure=Failure.TRANSIENT, reason=closed)
    return ExtractionError(_plain(error), failure=Failure.TRANSIENT, reason=type(error).__name__)


def cause_of(error: BaseException) -> BaseException | None:
    """Returns the error to be named as a cause, unless it shows an address: tracebacks print causes."""
    if without_addresses(str(error)) == str(error):
        return error
    return TimeoutError() if isinstance(error, TimeoutError) else None


def _plain(error: BaseException) -> str:
    return without_addresses(f"{type(error).__name__}: {error}")


def _answered(error: aiohttp.ClientResponseError) -> ExtractionError:
    """The error for a status that a function has raised (`raise_for_status`), or that a proxy has sent."""
    hint = retry_after_s(error.headers, datetime.now(UTC)) if error.headers is not None else None
    who = "the proxy: " if isinstance(error, aiohttp.ClientHttpProxyError) else ""
    return ExtractionError(
        without_addresses(f"{who}HTTP {error.status}: {error.message}"),
        failure=failure_of(FORMATS["native"], error.status, "", hinted=hint is not None),
        status=error.status,
        retry_after_s=hint,
    )


def _broken_http(error: aiohttp.ClientError) -> str | None:
    """Says how an answer breaks HTTP, or why it cannot be decoded; None for another error.

    aiohttp gives such answers the status 400, which no service has sent, and quotes their bytes.
    """
    cause = error.__cause__
    if not isinstance(cause, HttpProcessingError) or isinstance(
        cause, ContentLengthError | TransferEncodingError
    ):
        return None
    said = cause.message.splitlines()[0].partition(" b'")[0].rstrip(": ")
    if "content-encoding" in said.lower():
        encoding = said.lower().partition("content-encoding:")[2].partition(".")[0].strip()
        return f"it is compressed as {encoding}, which was not asked for, or its compression is damaged"
    if "more than" in said:
        return f"one of its headers is longer than {MAX_HEADER_BYTES} bytes"
    return f"it breaks the rules of HTTP ({said})"
