"""Counts what the server examines, by its own profiler, so that readers are measured without a change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

_PROFILE = "system.profile"
_PROFILE_BYTES = 256 << 20
"""The default of 1 MB holds some hundreds of entries, so the first ones would be lost."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What one query or getMore examined.

    Attributes:
        after: the number of documents that were returned before it.
    """

    after: int
    keys: int
    documents: int
    returned: int


@dataclass
class Profile:
    """All operations of a profile.

    Attributes:
        plans: the summaries of the server's plans, for example `IXSCAN { created_at: 1, _id: 1 }`.
    """

    operations: list[Examined] = field(default_factory=list)
    plans: set[str] = field(default_factory=set)

    @property
    def keys(self) -> int:
        """The sum of the examined index keys."""
        return sum(one.keys for one in self.operations)

    @property
    def documents(self) -> int:
        """The sum of the examined documents."""
        return sum(one.documents for one in self.operations)


@contextmanager
def profiled(database: Database[dict[str, Any]], collection: str) -> Iterator[Profile]:
    """Profiles all reads of a collection while the context lasts; nobody else may use the database."""
    database.drop_collection(_PROFILE)
    database.create_collection(_PROFILE, capped=True, size=_PROFILE_BYTES)
    database.command("profile", 2)
    profile = Profile()
    try:
        yield profile
    finally:
        database.command("profile", 0)
    wanted = {"ns": f"{database.name}.{collection}", "op": {"$in": ["query", "getmore"]}}
    returned = 0
    for entry in database[_PROFILE].find(wanted).sort("$natural", 1):
        profile.operations.append(_examined(entry, returned))
        returned += profile.operations[-1].returned
        profile.plans.add(entry.get("planSummary", ""))
    database.drop_collection(_PROFILE)


def _examined(entry: dict[str, Any], after: int) -> Examined:
    keys, documents, returned = (entry.get(k, 0) for k in ("keysExamined", "docsExamined", "nreturned"))
    return Examined(after, keys, documents, returned)
