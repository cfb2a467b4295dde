"""What the server examined: from its own profiler, so the engine's reader counts as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pymongo.database import Database

_PROFILE = "system.profile"
_PROFILE_BYTES = 256 << 20
"""The default of 1 MB holds some hundreds of entries and would forget the first ones."""


@dataclass(frozen=True, slots=True)
class Examined:
    """One query or getMore.

    Attributes:
        after: documents that were returned before it.
    """

    after: int
    keys: int
    documents: int
    returned: int


@dataclass
class Profile:
    """What was examined while a profile was taken.

    Attributes:
        plans: how the server went about it, as it puts it: `IXSCAN { created_at: 1, _id: 1 }`.
    """

    operations: list[Examined] = field(default_factory=list)
    plans: set[str] = field(default_factory=set)

    @property
    def keys(self) -> int:
        """Index keys in all."""
        return sum(one.keys for one in self.operations)

    @property
    def documents(self) -> int:
        """Documents in all."""
        return sum(one.documents for one in self.operations)


@contextmanager
def profiled(database: Database[dict[str, Any]], collection: str) -> Iterator[Profile]:
    """Profiles all reading of a collection in a database that is nobody else's; slows it down a little."""
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
