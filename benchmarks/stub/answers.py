"""Compares the results in a database with those that the service's rule gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database

from benchmarks.common.poison import POISON
from benchmarks.stub.service import LABEL, spans_of

_POISONED, _UNKNOWN = 0, -1
"""Stand for the results of a poison text, which has none, and for results that the service never gives."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the documents of one run.

    Attributes:
        stored: the number of documents with results.
        wrong: how many of these have other results than the rule gives.
        lost: the number of documents with neither results nor a dead letter.
        dead_letters: the number of documents that were recorded as failed.
        blamed: how many of these have a text without poison.
    """

    stored: int
    wrong: int
    lost: int
    dead_letters: int
    blamed: int


def expected_of(source: Collection[dict[str, Any]]) -> dict[Any, int]:
    """Computes a hash of the right results of each document, by `_id`."""
    return {found["_id"]: _expected(found["text"]) for found in source.find({}, {"text": 1})}


def _expected(text: str) -> int:
    return _POISONED if POISON in text else hash(tuple(spans_of(text)))


def judge(expected: Mapping[Any, int], target: Database[dict[str, Any]], source: str) -> Outcome:
    """Judges what a candidate has stored in its target. The engine names collections after the source."""
    stored, wrong = set(), 0
    for name in ("entities", f"{source}_entities"):
        for result in target[name].find({}, {"entities": 1}):
            stored.add(result["_id"])
            wrong += expected.get(result["_id"]) != _hash_of(result["entities"])
    letters = {letter["_id"] for letter in target[f"{source}_dead_letters"].find({}, {"_id": 1})}
    blamed = sum(expected.get(letter) != _POISONED for letter in letters)
    lost = len(expected.keys() - stored - letters)
    return Outcome(len(stored), wrong, lost, len(letters), blamed)


def _hash_of(entities: list[dict[str, Any]]) -> int:
    if any(entity["label"] != LABEL for entity in entities):
        return _UNKNOWN
    return hash(tuple((entity["start"], entity["end"], entity["text"]) for entity in entities))
