"""Stores plans in a MongoDB collection, each with the report of its run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import PlanError, WriteError
from engine.mongo import calls, driver


class PlanStore:
    """Stores plans and their runs' reports in the target's `plans`, under the run's id."""

    def __init__(self, plans: driver.Collection) -> None:
        self._collection = plans

    async def load(self, run_id: str) -> dict[str, Any] | None:
        """The stored plan of a run; None if the run was not planned."""
        found: dict[str, Any] | None = await calls.read_target(
            self._collection, lambda: self._collection.find_one({"_id": run_id})
        )
        return found

    async def insert(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """Stores a plan unless the run already has one, and returns the plan that is stored."""
        try:
            await self._write(lambda: self._collection.insert_one({"_id": plan["run_id"], **plan}))
        except WriteError as error:
            if error.code == calls.DOCUMENT_TOO_LARGE:
                raise PlanError(_too_large(plan)) from error
            if error.code != calls.DUPLICATE_KEY:
                raise
            return await self.load(plan["run_id"]) or dict(plan)
        return dict(plan)

    async def replace_ranges(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
        """Replaces the ranges of a plan; returns False if they have changed since `before` was loaded."""
        # A repeat after a lost connection may find the new ranges there already.
        expected = {"_id": before["_id"], "ranges": {"$in": [before["ranges"], after["ranges"]]}}
        change = {"$set": {"ranges": after["ranges"], "documents": after["documents"]}}
        outcome = await self._write(lambda: self._collection.update_one(expected, change))
        return bool(outcome.matched_count)

    async def remove(self, run_id: str) -> None:
        """Removes the plan of a run."""
        await self._write(lambda: self._collection.delete_one({"_id": run_id}))

    async def finish(
        self, run_id: str, report: Mapping[str, Any], *, complete: bool, problem: str | None = None
    ) -> None:
        """Stores the report of a run. A complete run is planned again the next time it is asked for.

        Args:
            problem: what is wrong with the run's collection, although its ranges may have succeeded.
        """
        change = {"$set": {"report": dict(report), "complete": complete, "problem": problem}}
        await self._write(lambda: self._collection.update_one({"_id": run_id}, change))

    async def _write(self, command: calls.Command[Any]) -> Any:
        return await calls.write_target(self._collection, command)


def _too_large(plan: Mapping[str, Any]) -> str:
    return (
        f"the plan of run {plan['run_id']!r} has {len(plan['ranges']):,} ranges, whose keys are too large "
        "for one document of 16 MB: plan fewer ranges, by a smaller max_ranges or a larger range_documents"
    )
