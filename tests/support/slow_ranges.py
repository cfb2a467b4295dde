"""A source of 600 documents in two ranges of some seconds each, and checks of what a run leaves.

With 0.15 s a request of four texts, a range takes about six seconds.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.extractors.offsets import CANARY_TEXTS
from engine.model import Status
from tests.support.ner_service import FaultyService

FIRST = datetime(2025, 1, 1, tzinfo=UTC)
DOCUMENTS, RANGE_DOCUMENTS = 600, 300
BATCH_TEXTS, AHEAD_BATCHES, PAGE_DOCUMENTS = 4, 8, 32
"""A page holds as many texts as can be in flight beyond the checkpoint: the most that a retry sends again."""
CAPACITY, SHARE = 8, 2
"""Requests at once that the service can take, and that each of the pool's four slots may send."""


def filled(client: Any) -> Places:
    """Makes a source of 600 documents and an empty target."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    source = client[name]
    source["messages"].create_index([("created_at", 1), ("_id", 1)])
    source["messages"].insert_many(document(number) for number in range(DOCUMENTS))
    return Places(source, client[f"{name}_results"])


def document(number: int) -> dict[str, Any]:
    """A document of the source: one a second, each with a text of its own."""
    return {"_id": number, "created_at": FIRST + timedelta(seconds=number), "text": text_of(number)}


def text_of(number: int) -> str:
    """The text of a document, by number."""
    return f"message {number} from Ada{number} in Paris"


@dataclass(frozen=True)
class Places:
    """The databases of a run, through a synchronous client."""

    source: Any
    target: Any

    @property
    def params(self) -> dict[str, Any]:
        """The params of a DAG run over them."""
        named = {"database": self.source.name, "collection": "messages", "target_database": self.target.name}
        size = {"range_documents": RANGE_DOCUMENTS, "batch_texts": BATCH_TEXTS}
        return {**named, **size, "service_capacity": CAPACITY}

    def checkpoint(self, **query: Any) -> dict[str, Any] | None:
        """A checkpoint that matches the query; None if there is none."""
        found: dict[str, Any] | None = self.target["engine_checkpoints"].find_one(query)
        return found

    def in_mid_range(self) -> dict[str, Any] | None:
        """The checkpoint of a running range that is between a third and two thirds done, or None."""
        third = RANGE_DOCUMENTS // 3
        return self.checkpoint(status="running", read={"$gte": third, "$lt": 2 * third})

    def entities(self) -> dict[int, Any]:
        """The entities written, by `_id`."""
        return {found["_id"]: found["entities"] for found in self.target["messages_entities"].find()}


def sent(service: FaultyService) -> Counter[str]:
    """How often each document's text was sent. The canary, which each task sends once, is left out."""
    return Counter({text: times for text, times in service.received.items() if text not in CANARY_TEXTS})


def expect_all_done_and_little_again(places: Places, service: FaultyService) -> None:
    """Checks that every document has its entities, and that each retry sent at most a page again."""
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
