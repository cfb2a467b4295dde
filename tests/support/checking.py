"""What the tests of verification, repair and replay share."""

from __future__ import annotations

from datetime import UTC, datetime

from bson import Binary, Code, Decimal128, Int64, ObjectId, Timestamp

from engine import Settings, Tuning
from tests.support.samples import first_word

SMALL = Settings(
    range_documents=100,
    batch_texts=10,
    max_attempts=2,
    max_outage_s=0,
    tuning=Tuning(page_documents=50, retry_base_s=0),
)
MIXED = [
    1,
    2.5,
    Int64(1 << 40),
    Decimal128("3"),
    float("nan"),
    "1",
    "",
    True,
    None,
    ObjectId(b"1" * 12),
    Binary(b"1" * 12),
    Binary(b"1" * 16, 4),
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    datetime(2020, 1, 1, tzinfo=UTC),
    Timestamp(1, 1),
    Code("f()"),
]
"""Values of many BSON types, some of which Python or a driver takes for equal. Each can be an `_id`."""


class Recorder:
    """An extractor that keeps the texts it was sent. It fails for the text `refused`, whenever it is sent."""

    def __init__(self, refused=None):
        self.texts, self.refused = [], refused

    async def __call__(self, texts):
        """Finds the first word of each text."""
        if self.refused in texts:
            raise ValueError("refused")
        self.texts += texts
        return await first_word(texts)


def places(collection, settings=SMALL):
    """Source, target and settings, as keyword arguments of `run`, `verify`, `repair` and `replay`."""
    return {"source": collection, "target": collection.database, "settings": settings}
