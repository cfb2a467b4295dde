"""Formats: how services are spoken to, how they tell their failures, and what is believed of an answer. Pure.

To add a format, write its two functions and register it in `FORMATS`, or pass a Format of one's own to
`HttpExtractor`; docs/formats.md shows how.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from engine.errors import ConfigError, Failure
from engine.extractors import known_formats as services
from engine.extractors.json_bodies import encoded
from engine.extractors.offsets import OffsetUnit, in_code_points
from engine.model import Entity

THROTTLED_STATUS = 429
TRANSIENT_STATUSES = frozenset({408, 500, 502, 503, 504})


@dataclass(frozen=True)
class Format:
    """How one kind of service is spoken to.

    Attributes:
        path: where requests go by default, relative to the service's address.
        request: texts -> body: JSON, or bytes to be sent as they are.
        response: (texts, JSON answer) -> the entities of each text, in the order of the texts, with offsets
            in `offsets`; it may raise KeyError, TypeError, ValueError, IndexError or AttributeError on an
            answer that has not the format's shape, and ExtractionError.
        refusals: parts of an error body that mean "this input is refused", whatever the status.
        throttles: parts of an error body that mean "later", whatever the status.
        offsets: the unit that the service counts in.
        surface: whether the service gives the text of its entities, which is then compared. If not,
            `response` gives them the text "".
        batch_texts: most texts a request; None is any number.
        query: parameters of the query string.
        headers: of every request, such as the type of a body that is no JSON.
    """

    name: str
    path: str
    request: Callable[[Sequence[str]], Any]
    response: Callable[[Sequence[str], Any], list[list[Entity]]]
    refusals: tuple[str, ...] = ()
    throttles: tuple[str, ...] = ()
    offsets: OffsetUnit = OffsetUnit.CODE_POINTS
    surface: bool = True
    batch_texts: int | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


FORMATS = {
    known.name: known
    for known in (
        Format("native", "/extract", services.native_request, services.native_response),
        Format(
            "presidio",
            "/analyze",
            services.presidio_request,
            services.presidio_response,
            refusals=("No text provided",),
            surface=False,
        ),
        Format(
            "huggingface",
            "/",
            services.hugging_face_request,
            services.hugging_face_response,
            throttles=("is currently loading",),
            surface=False,
        ),
        Format(
            "corenlp",
            "/",
            services.corenlp_request,
            services.corenlp_response,
            # Java's strings: https://github.com/stanfordnlp/CoreNLP/issues/501
            offsets=OffsetUnit.UTF16,
            surface=False,
            batch_texts=1,
            query={"properties": {"annotators": "tokenize,ssplit,pos,lemma,ner", "outputFormat": "json"}},
            # Without a charset the server reads Latin-1: https://github.com/stanfordnlp/CoreNLP/issues/125
            headers={"Content-Type": "text/plain; charset=utf-8"},
        ),
        Format("gliner", "/gliner", services.gliner_request, services.gliner_response, batch_texts=1),
        Format(
            "comprehend",
            "/",
            services.comprehend_request,
            services.comprehend_response,
            # With status 400, as all errors of the caller (API reference of BatchDetectEntities).
            throttles=("TooManyRequestsException", "ThrottlingException"),
            batch_texts=25,
            headers={
                "Content-Type": "application/x-amz-json-1.1",
                "X-Amz-Target": "Comprehend_20171127.BatchDetectEntities",
            },
        ),
    )
}


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        ConfigError: there is none; the message lists those there are.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise ConfigError(
            f"service format {name!r} is unknown; known are {', '.join(sorted(FORMATS))}"
        ) from None


def failure_of(shape: Format, status: int, body: str, *, hinted: bool) -> Failure:
    """The class of a failed answer (TRAPS 18).

    Args:
        body: the beginning of the answer's body.
        hinted: whether the answer has a usable `Retry-After`.
    """
    if any(refusal in body for refusal in shape.refusals):
        return Failure.PERMANENT
    if any(throttle in body for throttle in shape.throttles):
        return Failure.THROTTLED
    if status == THROTTLED_STATUS or (status == 503 and hinted):  # noqa: PLR2004
        return Failure.THROTTLED
    return Failure.TRANSIENT if status in TRANSIENT_STATUSES else Failure.PERMANENT


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks to wait; None if there is none or it is malformed.

    Both forms of RFC 9110, section 10.2.3: seconds, or an HTTP date.
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


def body_of(shape: Format, texts: Sequence[str], parameters: Mapping[str, Any]) -> bytes:
    """The body of a request; the parameters replace fields of the same name in a JSON object."""
    body = shape.request(texts)
    if isinstance(body, bytes):
        return body
    return encoded({**body, **parameters} if parameters else body)


def query_of(shape: Format, parameters: Mapping[str, Any]) -> dict[str, str]:
    """The query string of every request; of a format that has one, parameters are what stands in it."""
    if not shape.query:
        return {}
    query = {**shape.query, **parameters}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}


def entities_of(shape: Format, unit: OffsetUnit, texts: Sequence[str], answer: Any) -> Sequence[list[Entity]]:
    """The entities of each text, in code points, each with its text. `check_answer` has not seen them yet.

    Raises:
        ExtractionError: an offset is no place in its text; or what the format's `response` raises.
    """
    found = shape.response(texts, answer)
    if (unit is OffsetUnit.CODE_POINTS and shape.surface) or len(found) != len(texts):
        return found
    return [
        in_code_points(text, entities, unit, surface=shape.surface)
        for text, entities in zip(texts, found, strict=True)
    ]
