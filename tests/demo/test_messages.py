"""The real messages as documents, and loading them."""

from datetime import UTC, datetime

import mongomock
import pytest

from demo.messages import load, message_id, messages

SAID = [
    {"text": "Hello", "timestamp": "2018-05-02T19:38:15Z", "sender": "a"},
    {"text": "Hello", "timestamp": "2018-05-02T19:38:15Z", "sender": "a"},
    {"text": "", "timestamp": "2018-05-02T19:38:20Z", "sender": "b"},
]
CONVERSATIONS = {"c1": {"messages": [SAID[:2], SAID[2:]], "start": 0}, "c2": {"messages": [SAID]}}


@pytest.fixture
def collection():
    """An empty collection in memory."""
    with mongomock.MongoClient() as client:
        yield client["chat"]["messages"]


def test_a_document_carries_the_instant_as_an_aware_datetime():
    """ISO timestamps become instants in UTC, so that MongoDB orders them by time."""
    first = next(messages(CONVERSATIONS))
    assert first["created_at"] == datetime(2018, 5, 2, 19, 38, 15, tzinfo=UTC)
    assert {name: first[name] for name in ("text", "sender", "conversation")} == {
        "text": "Hello",
        "sender": "a",
        "conversation": "c1",
    }


def test_equal_messages_of_one_second_keep_their_own_ids():
    """Same text, sender and second: position and conversation tell them apart."""
    assert len({message["_id"] for message in messages(CONVERSATIONS)}) == 6


def test_the_same_message_has_the_same_id_at_every_reading():
    """Ids depend on the data alone, and begin with the second."""
    assert [m["_id"] for m in messages(CONVERSATIONS)] == [m["_id"] for m in messages(CONVERSATIONS)]
    instant = datetime(2018, 5, 2, 19, 38, 15, tzinfo=UTC)
    assert message_id(instant, "c1", 0).generation_time == instant


def test_loading_twice_changes_nothing(collection):
    """The second time finds everything in place."""
    assert load(collection, messages(CONVERSATIONS), chunk=2) == 6
    before = list(collection.find())
    assert load(collection, messages(CONVERSATIONS), chunk=2) == 0
    assert list(collection.find()) == before


def test_loading_adds_what_is_missing_and_leaves_the_rest(collection):
    """After an interruption only the missing documents come; foreign and changed ones stay as they are."""
    load(collection, messages(CONVERSATIONS))
    present = [message["_id"] for message in messages(CONVERSATIONS)]
    collection.delete_one({"_id": present[1]})
    collection.update_one({"_id": present[0]}, {"$set": {"text": "edited"}})
    collection.insert_one({"_id": "foreign"})
    assert load(collection, messages(CONVERSATIONS)) == 1
    assert collection.find_one({"_id": present[0]})["text"] == "edited"
    assert collection.count_documents({}) == 7


def test_loading_indexes_the_order_that_ranges_follow(collection):
    """The engine refuses to start without this index."""
    load(collection, messages(CONVERSATIONS))
    keys = [index["key"] for index in collection.index_information().values()]
    assert [("created_at", 1), ("_id", 1)] in keys


def test_loading_tells_how_far_it_is_and_ends_when_told(collection):
    """The listener hears of every chunk, and its exception ends the loading."""
    heard = []

    def listen(done):
        heard.append(done)
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(collection, messages(CONVERSATIONS), progress=listen, chunk=2)
    assert heard == [2, 4]
    assert collection.count_documents({}) == 4
