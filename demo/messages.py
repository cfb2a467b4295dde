"""The real messages of the demo: seven months of the Chit Chat Challenge, from an installed package."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from hashlib import blake2b
from importlib import metadata
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from demo.errors import DemoError

DATABASE = "chat"
COLLECTION = "messages"
ORDER = [("created_at", 1), ("_id", 1)]
TOTAL = 258_145

_DUPLICATE_KEY = 11_000
_CHUNK = 5_000

Message = dict[str, Any]
Conversations = Mapping[str, Mapping[str, Any]]


def read_conversations() -> Conversations:
    """Read the data set as published: `{id: {"messages": [[{"text", "timestamp", "sender"}, ...], ...]}}`.

    Raises:
        DemoError: The package is not installed.
    """
    try:
        package = metadata.distribution("chitchat-dataset")
    except metadata.PackageNotFoundError as error:
        raise DemoError("the chat history is missing: pip install 'keyset-batch-engine[demo]'") from error
    path = Path(str(package.locate_file("chitchat_dataset/dataset.json")))
    conversations: Conversations = json.loads(path.read_bytes())
    return conversations


def messages(conversations: Conversations) -> Iterator[Message]:
    """Yield the documents, one conversation after another: `_id, created_at, text, sender, conversation`."""
    for conversation, content in conversations.items():
        for position, said in enumerate(chain.from_iterable(content["messages"])):
            created_at = datetime.fromisoformat(said["timestamp"])
            yield {
                "_id": message_id(created_at, conversation, position),
                "created_at": created_at,
                "text": said["text"],
                "sender": said["sender"],
                "conversation": conversation,
            }


def message_id(created_at: datetime, conversation: str, position: int) -> ObjectId:
    """Compute the id of a message, which is the same at every load.

    Its first four bytes are the seconds, as in every ObjectId. The other eight are a hash, because up to 89
    messages share one second.
    """
    place = f"{conversation}/{position}".encode()
    seconds = int(created_at.timestamp()).to_bytes(4, "big")
    return ObjectId(seconds + blake2b(place, digest_size=8).digest())


def load(
    collection: Collection[Message],
    documents: Iterator[Message],
    *,
    progress: Callable[[int], object] = lambda _: None,
    chunk: int = _CHUNK,
) -> int:
    """Insert all documents that are missing, and create the index. Nothing is changed or dropped.

    Args:
        collection: The target; other documents in it stay as they are.
        documents: The documents to load.
        progress: Called with the number of documents that are in place so far. An exception that it raises
            ends the loading.
        chunk: Documents per round trip.

    Returns:
        The number of documents that were missing.
    """
    done = loaded = 0
    while part := list(islice(documents, chunk)):
        loaded += _add_missing(collection, part)
        done += len(part)
        progress(done)
    collection.create_index(ORDER)
    return loaded


def _add_missing(collection: Collection[Message], part: list[Message]) -> int:
    present = collection.count_documents({"_id": {"$in": [message["_id"] for message in part]}})
    if present == len(part):
        return 0
    try:
        collection.insert_many(part, ordered=False)
    except BulkWriteError as error:
        if not _only_duplicates(error.details):
            raise
    return len(part) - present


def _only_duplicates(details: Mapping[str, Any] | None) -> bool:
    if details is None or details.get("writeConcernErrors"):
        return False
    return all(failure["code"] == _DUPLICATE_KEY for failure in details["writeErrors"])
