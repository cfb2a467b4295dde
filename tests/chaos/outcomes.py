"""How trials end, and the table that counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rich.table import Table


class End(StrEnum):
    """How a trial ended."""

    RIGHT = "right"
    TOLD = "told"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one trial.

    Attributes:
        kind: what was done, in a word.
        seed: runs the same trial again.
        end: `right`: the run succeeded, and its results are complete. `told`: it did not succeed, and said
            what was wrong in words of its own. `wrong` is everything else.
        detail: of a wrong end, what was seen.
    """

    kind: str
    seed: int
    end: End
    detail: str = ""


def table_of(outcomes: Iterable[Outcome]) -> Table:
    """The number of trials by what was done and how they ended."""
    counted: Mapping[str, Counter[End]] = {}
    for outcome in outcomes:
        counted = {**counted, outcome.kind: counted.get(outcome.kind, Counter()) + Counter([outcome.end])}
    table = Table("what was done", "trials", *End)
    for kind, ends in sorted(counted.items()):
        table.add_row(kind, str(ends.total()), *(str(ends[end]) for end in End))
    return table
