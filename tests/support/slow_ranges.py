"""A source of 600 documents in two ranges of some seconds each, and what a run over it leaves.

With 0.15 s a request of four texts, a range takes about six seconds.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.extractors.offsets import CANARY_TEXT
from engine.model import Status
from tests.support.ner_service import FaultyService

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
DOCUMENTS, RANGE_DOCUMENTS = 600, 300
BATCH_TEXTS, AHEAD_BATCHES, PAGE_DOCUMENTS = 4, 8, 32
"""A page is as long as what is in flight beyond the checkpoint: the most that one try may send again."""
CAPACITY, SHARE = 8, 2
"""Of the service, and of each of the pool's four slots."""


def filled(client: Any) -> Places:
    """A source of 600 documents, and an empty target."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    source = client[name]
    source["messages"].create_index([("created_at", 1), ("_id", 1)])
    source["messages"].insert_many(document(number) for number in range(DOCUMENTS))
    return Places(source, client[f"{name}_results"])


def document(number: int) -> dict[str, Any]:
    """A document of the source: one a second, each with a text of its own."""
    return {"_id": number, "created_at": FIRST + timedelta(seconds=number), "text": text_of(number)}


def text_of(number: int) -> str:
    """The text of a document."""
    return f"message {number} from Ada{number} in Paris"


@dataclass(frozen=True)
class Places:
    """The databases of a run, through a synchronous client."""

    source: Any
    target: Any

    @property
    def params(self) -> dict[str, Any]:
        """Of a DAG run over them."""
        named = {"database": self.source.name, "collection": "messages", "target_database": self.target.name}
        size = {"range_documents": RANGE_DOCUMENTS, "batch_texts": BATCH_TEXTS}
        return {**named, **size, "service_capacity": CAPACITY}

    def checkpoint(self, **query: Any) -> dict[str, Any] | None:
        """A checkpoint that the query describes."""
        found: dict[str, Any] | None = self.target["engine_checkpoints"].find_one(query)
        return found

    def in_mid_range(self) -> dict[str, Any] | None:
        """The checkpoint of a range that is under way, and has moved well beyond its first page."""
        third = RANGE_DOCUMENTS // 3
        return self.checkpoint(status="running", read={"$gte": third, "$lt": 2 * third})

    def entities(self) -> dict[int, Any]:
        """The entities written, by `_id`, without when and by which run."""
        return {found["_id"]: found["entities"] for found in self.target["messages_entities"].find()}


def sent(service: FaultyService) -> Counter[str]:
    """How often each document's text was sent: without the canary, which each task asks once."""
    return Counter({text: times for text, times in service.received.items() if text != CANARY_TEXT})


def expect_all_done_and_little_again(places: Places, service: FaultyService) -> None:
    """Every document has its entities; each further try of a range has sent a page again, at most."""
    received = sent(service)
    assert set(received) == {text_of(number) for number in range(DOCUMENTS)}
    assert len(places.entities()) == DOCUMENTS
    checkpoints = list(places.target["engine_checkpoints"].find())
    assert [found["status"] for found in checkpoints] == [Status.SUCCEEDED] * 2
    for found in checkpoints:
        first = int(found["range_id"]) * RANGE_DOCUMENTS
        texts = [text_of(number) for number in range(first, first + RANGE_DOCUMENTS)]
        again = sum(received[text] - 1 for text in texts)
        assert again <= PAGE_DOCUMENTS * (found["attempts"] - 1), (again, found["attempts"])
    report = places.target["engine_plans"].find_one()["report"]
    assert (report["status"], report["reconciled"], report["dead_lettered"]) == (Status.SUCCEEDED, True, 0)
    assert report["expected"] == report["read"] == report["written"] + report["unchanged"] == DOCUMENTS
