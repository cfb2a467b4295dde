"""Formats of services: how a request is written, an answer read, and a failure classified. Pure.

To add a format, write its two functions and register it in `FORMATS`, or pass a Format of your own to
`HttpExtractor`; docs/formats.md shows how.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from engine.errors import ConfigError, Failure, WrongAnswer
from engine.extractors import known_formats as services
from engine.extractors.http.json_bodies import encoded
from engine.extractors.item_errors import item_error
from engine.extractors.offsets import OffsetUnit, to_code_points
from engine.extractors.redaction import redact
from engine.model import Entity

T = TypeVar("T")

THROTTLED_STATUS = 429
TRANSIENT_STATUSES = frozenset({408, 500, 502, 503, 504})

_WHAT = {"error", "errors", "message", "msg", "detail", "details", "title", "description", "reason", "cause"}
_KIND = {"exception", "fault", "code", "type", "status", "errorcode", "errortype", "errormessage"}

ERROR_FIELDS = frozenset(_WHAT | _KIND)
"""Fields in which services say what is wrong: RFC 9457, FastAPI, Flask, Spring, AWS and others."""


@dataclass(frozen=True)
class Format:
    """How requests to one kind of service are written, and its answers read.

    Attributes:
        path: where requests go by default, relative to the service's address.
        request: takes the texts and returns the body: JSON, or bytes to be sent as they are.
        response: takes the texts and the JSON answer, and returns the entities of each text, in the order of
            the texts, with offsets in `offsets`. On an answer of another shape it may raise KeyError,
            TypeError, ValueError, IndexError or AttributeError; for a reported failure, ExtractionError.
        refusals: parts of an error body that mean that the input is refused, whatever the status.
        throttles: parts of an error body that mean "try again later", whatever the status.
        error_fields: names of the fields of an error body, at any depth, in which both are looked for: in
            lower case, without `_` and `-`. Other fields may quote a text.
        offsets: the unit that the service counts in.
        surface: whether the service returns the text of its entities as it stands in the document; it is
            then compared exactly. If not, `response` sets the text to "", or to the service's own form of it
            (another case, without blanks), which is compared leniently (`answer_check.alike`).
        batch_texts: largest number of texts in a request; None means any number.
        max_text_chars: longer texts may be read only in part, without an error; None if the service reads all
            of a text or refuses it, or if its limit is not known.
        query: parameters of the query string.
        headers: sent with every request, such as the content type of a body that is not JSON.
    """

    name: str
    path: str
    request: Callable[[Sequence[str]], Any]
    response: Callable[[Sequence[str], Any], list[list[Entity]]]
    refusals: tuple[str, ...] = ()
    throttles: tuple[str, ...] = ()
    error_fields: frozenset[str] = ERROR_FIELDS
    offsets: OffsetUnit = OffsetUnit.CODE_POINTS
    surface: bool = True
    batch_texts: int | None = None
    max_text_chars: int | None = None
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
            # The last two come with status 500: a text beyond spaCy's limit, and a language or an entity that
            # no recognizer of the server knows.
            refusals=("No text provided", "[E088]", "No matching recognizers"),
            surface=False,
        ),
        Format(
            "huggingface",
            "/",
            services.hugging_face_request,
            services.hugging_face_response,
            throttles=("is currently loading",),
            # BERT and its kind read 512 tokens of one character or more, of which two are marks.
            max_text_chars=510,
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
        Format(
            "gliner",
            "/gliner",
            services.gliner_request,
            services.gliner_response,
            batch_texts=1,
            # `max_len` in the configuration of its models, in words: a mark of punctuation is one, too.
            max_text_chars=384,
        ),
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
    """Returns the format with that name.

    Raises:
        ConfigError: the name is unknown; the message lists the known ones.
    """
    try:
        return FORMATS[name]
    except KeyError:
        raise ConfigError(
            f"unknown service format {name!r}; use one of {', '.join(sorted(FORMATS))}"
        ) from None


def paths_of_others(shape: Format) -> str:
    """Says what the known formats ask for, except this one: `POST /analyze (presidio), ...`."""
    names: dict[str, list[str]] = {}
    for other in FORMATS.values():
        if other.name != shape.name:
            names.setdefault(other.path, []).append(other.name)
    return ", ".join(f"POST {path} ({', '.join(those)})" for path, those in names.items())


def failure_of(shape: Format, status: int, said: str, *, hinted: bool) -> Failure:
    """Returns the failure class of an answer that is not a success (trap 18, docs/traps.md).

    Args:
        said: what the service says is wrong, without parts of texts.
        hinted: whether the answer has a usable `Retry-After`.
    """
    if any(refusal in said for refusal in shape.refusals):
        return Failure.PERMANENT
    if any(throttle in said for throttle in shape.throttles):
        return Failure.THROTTLED
    if status == THROTTLED_STATUS or (status == 503 and hinted):  # noqa: PLR2004
        return Failure.THROTTLED
    return Failure.TRANSIENT if status in TRANSIENT_STATUSES else Failure.PERMANENT


def body_of(shape: Format, texts: Sequence[str], parameters: Mapping[str, Any]) -> bytes:
    """Returns the body of a request. The parameters replace fields of the same name in a JSON object."""
    body = shape.request(texts)
    if isinstance(body, bytes):
        return body
    return encoded({**body, **parameters} if parameters else body)


def query_of(shape: Format, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Returns the query string of every request. In a format that has one, the parameters go there."""
    if not shape.query:
        return {}
    query = {**shape.query, **parameters}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}


_OTHER_SHAPE = (ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError)


def read_as(shape: Format, texts: Sequence[str], read: Callable[[], T]) -> T:
    """Calls `read`, and raises a WrongAnswer if the answer has another shape than the format's."""
    try:
        return read()
    except _OTHER_SHAPE as error:
        reason = f"the answer does not have the shape of format {shape.name!r}"
        message = f"{reason} ({type(error).__name__}: {redact(str(error), texts)})"
        raise WrongAnswer(message, status=200, reason=reason) from error


def found_in(shape: Format, texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Returns the entities of each text as the format reads them, with offsets in the service's unit.

    Raises:
        KeyError, TypeError, ValueError, IndexError, AttributeError: the answer has another shape.
        ExtractionError: it reports errors of texts in place of results.
    """
    try:
        return shape.response(texts, answer)
    except _OTHER_SHAPE:
        if (reported := item_error(texts, answer)) is not None:
            raise reported from None
        raise


def entities_of(shape: Format, unit: OffsetUnit, texts: Sequence[str], answer: Any) -> Sequence[list[Entity]]:
    """Returns the entities of each text, with offsets in code points and with their texts, still unchecked.

    Raises:
        WrongAnswer: the answer has another shape, an offset is outside its text or inside a character, or
            the text of an entity is not that at its offsets.
        ExtractionError: the answer reports errors of texts in place of results.
    """
    return read_as(shape, texts, lambda: _entities_of(shape, unit, texts, answer))


def _entities_of(
    shape: Format, unit: OffsetUnit, texts: Sequence[str], answer: Any
) -> Sequence[list[Entity]]:
    found = found_in(shape, texts, answer)
    if (unit is OffsetUnit.CODE_POINTS and shape.surface) or len(found) != len(texts):
        return found
    return [
        to_code_points(text, entities, unit, surface=shape.surface)
        for text, entities in zip(texts, found, strict=True)
    ]
