"""Which views show each document once, under its own `_id`."""

from __future__ import annotations

import pytest

from engine.mongo.collection_info import breaking_stage

GOOD = [
    {"$match": {"a": 1}},
    {"$sort": {"a": 1}},
    {"$project": {"text": 1}},
    {"$project": {"_id": 1, "text": 1}},
    {"$project": {"_id": "$_id", "at": "$created_at"}},
    {"$project": {"secret": 0}},
    {"$addFields": {"text": "$body", "x._id": 1}},
    {"$set": {"_id": "$_id"}},
    {"$unset": ["secret", "_idea"]},
    {"$lookup": {"from": "users", "localField": "u", "foreignField": "_id", "as": "user"}},
    {"$graphLookup": {"from": "users", "as": "users"}},
    {"$setWindowFields": {"output": {"rank": {"$rank": {}}}}},
    {"$replaceRoot": {"newRoot": {"_id": "$_id", "text": "$body"}}},
    {"$replaceWith": {"$mergeObjects": ["$doc", {"_id": "$_id"}]}},
    {"$replaceWith": {"$mergeObjects": [{"text": ""}, "$$ROOT"]}},
    {"$group": {"_id": "$user"}},
    {"$redact": "$$KEEP"},
]

BAD = [
    {"$unwind": "$events"},
    {"$unionWith": "others"},
    {"$project": {"_id": 0, "text": 1}},
    {"$project": {"_id": "$user"}},
    {"$project": {"_id.part": 1}},
    {"$addFields": {"_id": "$user"}},
    {"$set": {"_id.part": 1}},
    {"$unset": "_id"},
    {"$unset": ["a", "_id.part"]},
    {"$lookup": {"from": "users", "as": "_id"}},
    {"$graphLookup": {"from": "users", "as": "_id.x"}},
    {"$setWindowFields": {"output": {"_id": {"$rank": {}}}}},
    {"$replaceRoot": {"newRoot": "$doc"}},
    {"$replaceWith": {"text": "$body"}},
    {"$replaceWith": {"$mergeObjects": ["$$ROOT", "$doc"]}},
    {"$replaceWith": {"$mergeObjects": []}},
    {"$count": "n"},
    {"$facet": {"a": []}},
    {"$sample": {"size": 5}},
    {"$densify": {}},
    {"$aStageOfTheFuture": {}},
]


@pytest.mark.parametrize("stage", GOOD, ids=str)
def test_a_stage_that_keeps_one_document_for_each_id(stage):
    """A view with this stage alone is read."""
    assert breaking_stage([[stage]]) is None


@pytest.mark.parametrize("stage", BAD, ids=str)
def test_a_stage_after_which_an_id_may_repeat_or_be_missing(stage):
    """It is named, in whichever of the views it stands."""
    (name,) = stage
    assert breaking_stage([[stage]]) == name
    assert breaking_stage([[{"$match": {}}, stage], [{"$match": {}}]]) == name


def test_a_group_makes_ids_unique_again_until_the_next_stage_that_repeats_them():
    """Each group is one document, whatever came before."""
    unwind, group = {"$unwind": "$events"}, {"$group": {"_id": "$events.user"}}
    assert breaking_stage([[unwind], [group]]) is None
    assert breaking_stage([[unwind, group, unwind]]) == "$unwind"
    assert breaking_stage([]) is None
