"""The fields and BSON types of the stored documents are those listed in `stored_documents.json`."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from pathlib import Path

import pytest
from bson import Int64

from engine import Entity, ExtractionError, JsonLinesWriter, Settings, Window, replay, run
from tests.support.listing import check
from tests.support.samples import fill, message

pytestmark = pytest.mark.asyncio

LISTED = Path(__file__).with_name("stored_documents.json")

SETTINGS = Settings(batch_texts=1, keep_failed_text=True)

COLLECTIONS = {
    "plan": "engine_plans",
    "checkpoint": "engine_checkpoints",
    "extraction": "messages_entities",
    "dead letter": "messages_dead_letters",
}

TYPES = {
    bool: "bool",
    int: "int",
    Int64: "long",
    float: "double",
    str: "string",
    datetime: "date",
    type(None): "null",
    dict: "object",
    list: "array",
}
"""BSON's names of the types that the driver returns."""

JSON_FIELDS = {"key_range", "position"}
"""Strings that hold JSON, which is listed too."""


async def refuses_one(texts):
    """An extractor that finds an entity with a score and one without, and refuses one text."""
    if "Hello 2" in texts:
        raise ExtractionError("refused", status=422)
    return [[Entity(0, 5, "WORD", text[:5], 0.5), Entity(6, 7, "NUMBER", text[6:7])] for text in texts]


async def finds_nothing(texts):
    """An extractor that refuses no text."""
    return [[] for _ in texts]


async def test_stored_documents_are_as_listed(pymongo_database, tmp_path):
    """Stored by a run with a dead letter, a replay that resolves it, and a run that writes files."""
    source = await fill(pymongo_database["messages"], [message(n, n) for n in (1, 2, 3)])
    places = {"source": source, "target": pymongo_database, "settings": SETTINGS}
    await run(Window(), extractor=refuses_one, **places)
    found = {name: types_of(await documents_of(pymongo_database[at])) for name, at in COLLECTIONS.items()}
    await replay(Window(), extractor=finds_nothing, **places)
    found["dead letter, resolved"] = types_of(await documents_of(pymongo_database["messages_dead_letters"]))
    file = tmp_path / "file.jsonl"
    await run(Window(), source=source, extractor=refuses_one, settings=SETTINGS, writer=JsonLinesWriter(file))
    found["line of an extraction"] = types_of(lines_of(file))
    found["line of a dead letter"] = types_of(lines_of(file.with_suffix(".dead_letters.jsonl")))
    check(LISTED, found, tmp_path)


async def documents_of(collection):
    """All documents of a collection."""
    return await collection.find().to_list(length=None)


def lines_of(file):
    """The JSON objects of a file, one a line."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def types_of(documents):
    """The names of the types at each path, such as `ranges[].label`. There is at least one document."""
    assert documents
    found = defaultdict(set)
    for document in documents:
        for path, name in paths_of(document):
            found[path].add(name)
    return {path: sorted(names) for path, names in found.items()}


def paths_of(value, path=""):
    """Each path within the value and the name of its type; strings that hold JSON are searched too."""
    if path:
        yield path, TYPES[type(value)]
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}.{name}" if path else name
            yield from paths_of(inner, here)
            if name in JSON_FIELDS and inner is not None:
                yield from paths_of(json.loads(inner), f"{here} (JSON)")
    elif isinstance(value, list):
        for item in value:
            yield from paths_of(item, f"{path}[]")
