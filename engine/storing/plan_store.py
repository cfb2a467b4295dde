"""Plans in a MongoDB collection, each with the report of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from engine.mongo import driver
from engine.settings import Settings


class PlanStore:
    """Plans in one collection of the target, `_id` = the run's id; a run's report is kept with its plan."""

    def __init__(self, target: driver.Database, settings: Settings) -> None:
        self._collection = driver.durable(target[settings.plans_collection])

    async def load(self, run_id: str) -> dict[str, Any] | None:
        """The stored plan of a run, if it was planned."""
        found: dict[str, Any] | None = await self._collection.find_one({"_id": run_id})
        return found

    async def insert(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Stores a plan, unless another planner was faster; returns the one that is stored."""
        try:
            await self._collection.insert_one({"_id": plan["run_id"], **plan})
        except DuplicateKeyError:
            return await self.load(plan["run_id"]) or dict(plan)
        return dict(plan)

    async def replace_ranges(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Changes the ranges of a plan, unless somebody did since it was loaded; tells whether it did."""
        outcome = await self._collection.update_one(
            {"_id": before["_id"], "ranges": before["ranges"]},
            {"$set": {"ranges": after["ranges"], "documents": after["documents"]}},
        )
        return bool(outcome.matched_count)

    async def remove(self, run_id: str) -> None:
        """Forgets the plan of a run."""
        await self._collection.delete_one({"_id": run_id})

    async def finish(self, run_id: str, report: Mapping[str, Any], *, complete: bool) -> None:
        """Keeps the run's report; a complete run is planned anew when it is asked for again."""
        await self._collection.update_one(
            {"_id": run_id}, {"$set": {"report": dict(report), "complete": complete}}
        )
