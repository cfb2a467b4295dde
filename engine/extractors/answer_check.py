"""Checks what a service answered, whatever its format. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from engine.errors import ExtractionError
from engine.model import Entity


def check_answer(texts: Sequence[str], answer: Any) -> list[tuple[Entity, ...]]:
    """Returns the answer as tuples of entities, if it can be true for these texts (trap 27, docs/traps.md).

    Every document passes here, so the usual answer costs one condition an entity. The result has tuples,
    because documents with the same text share them.

    Raises:
        ExtractionError: the answer breaks one of these rules: as many results as texts; offsets that are
            integers, in order and inside the text; labels that are strings; scores that are finite numbers
            or None; and an entity text that equals `text[start:end]`. The message says which text's answer
            is wrong, without showing the text.
    """
    if not isinstance(answer, Sequence) or len(answer) != len(texts):
        got = len(answer) if isinstance(answer, Sequence) else type(answer).__name__
        raise ExtractionError(f"the service returned {got} results for {len(texts)} texts")
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
    """Says what is wrong with an entity; None if it is only unusual, such as a score that is an integer."""
    if type(start) is not int or type(end) is not int:
        return f"offsets must be integers, got {type(start).__name__} and {type(end).__name__}"
    if not 0 <= start <= end <= len(text):
        return f"offsets {start}..{end} are outside a text of length {len(text)}"
    if text[start:end] != surface:
        return f"text[{start}:{end}] is not the entity's text: wrong unit of offsets?"
    if not isinstance(label, str):
        return f"the label must be a string, got {type(label).__name__}"
    if score is None or (isinstance(score, int | float) and type(score) is not bool and -inf < score < inf):
        return None
    got = score if isinstance(score, float) else type(score).__name__
    return f"the score must be a finite number, got {got}"
