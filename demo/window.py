"""Which of the messages a demo is about, and what MongoDB itself says of them.

These numbers are counted apart from the engine: they check it.
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
    """`[start, end)` of the messages' time; None for no bound.

    Attributes:
        start: ISO-8601.
        end: ISO-8601.
    """

    start: str | None = None
    end: str | None = None

    @property
    def filter(self) -> Document:
        """The messages of the window, as a MongoDB filter; documents without an instant are none."""
        bounds = {"$gte": self.start, "$lt": self.end}
        instants = {name: datetime.fromisoformat(value) for name, value in bounds.items() if value}
        return {"created_at": instants or {"$type": "date"}}

    def count_messages(self, database: Database[Document]) -> int:
        """How many messages there are."""
        return database[COLLECTION].count_documents(self.filter)

    def count_extractions(self, database: Database[Document], run_id: str | None = None) -> int:
        """How many of the messages have an extraction, of one run if that is given."""
        of_run = [] if run_id is None else [{"$match": {"extraction.run_id": run_id}}]
        counted = list(database[COLLECTION].aggregate([*self._extractions(), *of_run, {"$count": "all"}]))
        return int(counted[0]["all"]) if counted else 0

    def frequent_entities(self, database: Database[Document], limit: int = 10) -> list[Document]:
        """The most frequent entities, `{_id: {label, text}, count}`, most frequent first."""
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
        """The messages of the window that have an extraction, joined with it by `_id`."""
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
