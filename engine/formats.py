"""Request and response shapes of NER services: pure functions.

A format turns texts into a JSON body and the service's JSON answer into entities, and knows how the service
tells its failures. To add one, write the two functions and register it in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from engine.errors import ConfigError, ExtractionError, Failure
from engine.model import Entity

THROTTLED_STATUS = 429
TRANSIENT_STATUSES = frozenset({408, 500, 502, 503, 504})


@dataclass(frozen=True)
class Format:
    """How one kind of service is spoken to.

    Attributes:
        path: where requests go by default, relative to the service's address.
        request: texts -> JSON body.
        response: (texts, JSON answer) -> the entities of each text, in the order of the texts; it may raise
            KeyError, TypeError, ValueError or IndexError on an answer that has not the format's shape.
        refusals: parts of an error body that mean "this input is refused", whatever the status.
    """

    name: str
    path: str
    request: Callable[[Sequence[str]], Any]
    response: Callable[[Sequence[str], Any], list[list[Entity]]]
    refusals: tuple[str, ...] = ()


def _native_request(texts: Sequence[str]) -> Any:
    return {"texts": list(texts)}


def _native_response(_texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    return [
        [Entity(e["start"], e["end"], e["label"], e["text"], e.get("score")) for e in entities]
        for entities in answer["results"]
    ]


def _presidio_request(texts: Sequence[str]) -> Any:
    return {"text": texts[0] if len(texts) == 1 else list(texts), "language": "en"}


def _presidio_response(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    results = [answer] if len(texts) == 1 else answer
    return [
        [
            Entity(e["start"], e["end"], e["entity_type"], text[e["start"] : e["end"]], e["score"])
            for e in entities
        ]
        for text, entities in zip(texts, results, strict=True)
    ]


FORMATS = {
    "native": Format("native", "/extract", _native_request, _native_response),
    "presidio": Format(
        "presidio", "/analyze", _presidio_request, _presidio_response, refusals=("No text provided",)
    ),
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


def check_answer(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """The answer, if it can be true for these texts (TRAPS 27).

    Raises:
        ExtractionError: as many results as texts are wanted, offsets inside the text, and the surface form
            `text[start:end]`; the message says which text's answer breaks that, without showing it.
    """
    if not isinstance(answer, Sequence) or len(answer) != len(texts):
        got = len(answer) if isinstance(answer, Sequence) else type(answer).__name__
        raise ExtractionError(f"the service gave {got} results for {len(texts)} texts")
    return [
        _check_entities(text, entities, at)
        for at, (text, entities) in enumerate(zip(texts, answer, strict=True))
    ]


def _check_entities(text: str, entities: Any, at: int) -> list[Entity]:
    try:
        checked = [e if isinstance(e, Entity) else Entity(**e) for e in entities]
        problem = next((p for e in checked if (p := _fault(text, e))), None)
    except TypeError as error:
        problem = str(error)
    if problem:
        raise ExtractionError(f"the answer to text {at} of the request is wrong: {problem}")
    return checked


def _fault(text: str, entity: Entity) -> str | None:
    if not 0 <= entity.start <= entity.end <= len(text):
        return f"offsets {entity.start}..{entity.end} outside a text of {len(text)}"
    if text[entity.start : entity.end] != entity.text:
        return f"text[{entity.start}:{entity.end}] is not the entity's text: wrong unit of offsets?"
    return None
