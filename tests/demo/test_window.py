"""What MongoDB itself says of the messages and their extractions."""

from datetime import UTC, datetime, timedelta

import mongomock
import pytest

from demo.window import DEFAULT_WINDOW, EVERYTHING, DemoWindow

DAY = datetime(2018, 10, 4, tzinfo=UTC)


@pytest.fixture
def database():
    """Four messages at six-hour steps, a document that is none, and extractions of the first three."""
    with mongomock.MongoClient() as client:
        chat = client["chat"]
        instants = [DAY + timedelta(hours=6 * step) for step in range(4)]
        chat["messages"].insert_many([{"_id": n, "created_at": at} for n, at in enumerate(instants)])
        chat["messages"].insert_one({"_id": "foreign", "created_at": "yesterday"})
        cs = {"label": "ORG", "text": "CS"}
        found = [[cs, cs], [{"label": "GPE", "text": "Paris"}], []]
        chat["messages_entities"].insert_many([{"_id": n, "entities": e} for n, e in enumerate(found)])
        chat["messages_entities"].insert_one({"_id": "of another collection", "entities": [cs]})
        yield chat


def test_the_end_of_a_window_is_outside(database):
    """Half open, as the engine's windows."""
    window = DemoWindow("2018-10-04T00:00:00+00:00", "2018-10-04T12:00:00+00:00")
    assert window.count_messages(database) == 2


def test_everything_is_all_that_has_an_instant(database):
    """Another's document with a string there is no message, and no loss."""
    assert EVERYTHING.count_messages(database) == 4


def test_only_extractions_of_messages_of_the_window_count(database):
    """An extraction without its message proves nothing; an empty one does."""
    assert DEFAULT_WINDOW.count_extractions(database) == 3
    assert DemoWindow(end="2018-10-04T06:00:00+00:00").count_extractions(database) == 1
    assert DemoWindow(end="2018-10-04T00:00:00+00:00").count_extractions(database) == 0


def test_extractions_of_one_run_are_counted_alone(database):
    """Those of an earlier run prove nothing of a run that sends everything again."""
    database["messages_entities"].update_one({"_id": 1}, {"$set": {"run_id": "a/b"}})
    assert DEFAULT_WINDOW.count_extractions(database, "a/b") == 1
    assert DEFAULT_WINDOW.count_extractions(database, "a/c") == 0


def test_entities_are_counted_by_label_and_text(database):
    """The most frequent entity comes first."""
    assert DEFAULT_WINDOW.frequent_entities(database) == [
        {"_id": {"label": "ORG", "text": "CS"}, "count": 2},
        {"_id": {"label": "GPE", "text": "Paris"}, "count": 1},
    ]
    assert len(DEFAULT_WINDOW.frequent_entities(database, limit=1)) == 1
