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
from math import inf
from typing import Any

from engine import service_formats as services
from engine.errors import ConfigError, ExtractionError, Failure
from engine.json_codec import encoded
from engine.model import Entity
from engine.offsets import OffsetUnit, in_code_points

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


def check_answer(texts: Sequence[str], answer: Any) -> list[tuple[Entity, ...]]:
    """The answer, if it can be true for these texts (TRAPS 27).

    Every document passes here: the usual answer costs one condition an entity. Tuples, for documents of the
    same text share them.

    Raises:
        ExtractionError: as many results as texts are wanted; offsets that are integers and inside the text,
            in order; labels that are strings; scores that are finite numbers or None; and the surface form
            `text[start:end]`. The message says which text's answer breaks that, without showing it.
    """
    if not isinstance(answer, Sequence) or len(answer) != len(texts):
        got = len(answer) if isinstance(answer, Sequence) else type(answer).__name__
        raise ExtractionError(f"the service gave {got} results for {len(texts)} texts")
    return [
        () if type(entities) is list and not entities else _check_entities(text, entities, at)
        for at, (text, entities) in enumerate(zip(texts, answer, strict=True))
    ]


def _check_entities(text: str, entities: Any, at: int) -> tuple[Entity, ...]:
    size = len(text)
    problem: str | None = None
    try:
        checked = tuple(entities)
        for entity in checked:
            if not isinstance(entity, Entity):
                made = [e if isinstance(e, Entity) else Entity(**e) for e in checked]
                return _check_entities(text, made, at)
            start, end, label, surface, score = entity
            if not (
                type(start) is int
                and type(end) is int
                and 0 <= start <= end <= size
                and text[start:end] == surface
                and type(label) is str
                and (score is None or (type(score) is float and -inf < score < inf))
            ):
                problem = problem or _fault(text, start, end, label, surface, score)
    except TypeError as error:
        problem = str(error)
    if problem:
        raise ExtractionError(f"the answer to text {at} of the request is wrong: {problem}")
    return checked


def _fault(text: str, start: Any, end: Any, label: Any, surface: Any, score: Any) -> str | None:
    """What is wrong with an entity; None if it is only unusual, such as a score that is an integer."""
    if type(start) is not int or type(end) is not int:
        return f"offsets of types {type(start).__name__} and {type(end).__name__}: wanted are integers"
    if not 0 <= start <= end <= len(text):
        return f"offsets {start}..{end} outside a text of {len(text)}"
    if text[start:end] != surface:
        return f"text[{start}:{end}] is not the entity's text: wrong unit of offsets?"
    if not isinstance(label, str):
        return f"a label of type {type(label).__name__}: wanted is a string"
    if score is None or (isinstance(score, int | float) and type(score) is not bool and -inf < score < inf):
        return None
    return f"score {score if isinstance(score, float) else type(score).__name__}: wanted is a finite number"
