"""Checks what a service answered, whatever its format. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any

from engine.errors import ExtractionError
from engine.model import Entity


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
