"""The messages that a demo processes, and what MongoDB itself counts of them.

These counts do not come from the engine, so they check its report.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo.database import Database

from demo.messages import COLLECTION

ENTITIES = f"{COLLECTION}_entities"
DEAD_LETTERS = f"{COLLECTION}_dead_letters"

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DemoWindow:
    """A window `[start, end)` over the time of the messages; None means no bound.

    Attributes:
        start: Its first instant, in ISO 8601.
        end: The instant after it, in ISO 8601.
    """

    start: str | None = None
    end: str | None = None

    @property
    def filter(self) -> Document:
        """A MongoDB filter for the messages of the window; it excludes documents without a date."""
        bounds = {"$gte": self.start, "$lt": self.end}
        instants = {name: datetime.fromisoformat(value) for name, value in bounds.items() if value}
        return {"created_at": instants or {"$type": "date"}}

    def count_messages(self, database: Database[Document]) -> int:
        """Count the messages of the window."""
        return database[COLLECTION].count_documents(self.filter)

    def count_extractions(self, database: Database[Document], run_id: str | None = None) -> int:
        """Count the messages of the window that have an extraction; with `run_id`, one of that run."""
        of_run = [] if run_id is None else [{"$match": {"extraction.run_id": run_id}}]
        counted = list(database[COLLECTION].aggregate([*self._extractions(), *of_run, {"$count": "all"}]))
        return int(counted[0]["all"]) if counted else 0

    def frequent_entities(self, database: Database[Document], limit: int = 10) -> list[Document]:
        """Return the most frequent entities, `{_id: {label, text}, count}`, most frequent first."""
        key = {"label": "$extraction.entities.label", "text": "$extraction.entities.text"}
        pipeline = [
            *self._extractions(),
            {"$unwind": "$extraction"},
            {"$unwind": "$extraction.entities"},
            {"$group": {"_id": key, "count": {"$sum": 1}}},
            {"$sort": {"count": -1, "_id": 1}},
            {"$limit": limit},
        ]
        return list(database[COLLECTION].aggregate(pipeline))

    def _extractions(self) -> list[Document]:
        """Stages that join the messages of the window with their extractions; others are dropped."""
        join = {"from": ENTITIES, "localField": "_id", "foreignField": "_id", "as": "extraction"}
        return [
            {"$match": self.filter},
            {"$project": {"_id": 1}},
            {"$lookup": join},
            {"$match": {"extraction": {"$ne": []}}},
        ]


DEFAULT_WINDOW = DemoWindow("2018-10-04T00:00:00+00:00", "2018-10-07T00:00:00+00:00")
WEEK_WINDOW = DemoWindow("2018-10-04T00:00:00+00:00", "2018-10-12T00:00:00+00:00")
EVERYTHING = DemoWindow()
