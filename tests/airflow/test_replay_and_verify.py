"""The DAGs that run after a backfill: replay of dead letters, and verification with repair."""

from __future__ import annotations

import pytest

from tests.support.misbehaviour import status


@pytest.fixture
def letters(run_dag, source, service, text_of):
    """The dead letters of a backfill: two refused texts, and one document without a text."""
    service.poison = {text_of(5): status(400), text_of(45): status(400)}
    source.update_one({"_id": 20}, {"$unset": {"text": 1}})
    assert run_dag(max_dead_letters=3).state == "success"
    service.reset()
    return source.database["messages_dead_letters"]


def unresolved(letters):
    """The `_id`s of the unresolved dead letters."""
    return {letter["_id"] for letter in letters.find({"resolved_at": None})}


def test_letters_that_succeed_are_resolved(letters, run_other, source, sent, text_of):
    """Exactly these documents are sent; the one that fails again fails the run at its first try."""
    ended = run_other("ner_replay")

    assert (ended.state, ended.tries) == ("failed", {"replay": 1})
    assert sent() == {text_of(5): 1, text_of(45): 1}
    assert unresolved(letters) == {20}
    assert letters.find_one({"_id": 5})["resolved_by"] == ended.run_id
    source.update_one({"_id": 20}, {"$set": {"text": "Ada in Paris"}})

    ended = run_other("ner_replay")

    assert ended.state == "success"
    numbers = ended.xcoms["replay"]
    assert (numbers["read"], numbers["written"], numbers["reconciled"]) == (1, 1, True)
    assert letters.count_documents({}) == 3


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ({"kinds": ["invalid_text"], "max_dead_letters": 1}, {5, 20, 45}),
        ({"kinds": ["permanent"]}, {20}),
        ({"limit": 1}, {20, 45}),
        ({"start": "2025-01-01T00:00:10Z"}, {5, 20}),
    ],
    ids=["class that fails", "class that succeeds", "limit", "window"],
)
def test_letters_are_chosen(letters, run_other, chosen, left):
    """Dead letters can be selected by class, by number, and by the window of their documents."""
    assert run_other("ner_replay", **chosen).state == "success"
    assert unresolved(letters) == left


def test_an_outage_of_the_service_is_retried_by_the_policy(letters, run_other, service, capfd):
    """The dead letters stay as they are; the retry policy waits long enough for a service to return."""
    service.down = status(503)

    ended = run_other("ner_replay")

    assert (ended.state, ended.tries) == ("failed", {"replay": 4})
    assert "the service is down: it gets some time" in capfd.readouterr().out
    assert unresolved(letters) == {5, 20, 45}
    assert {letter["kind"] for letter in letters.find()} == {"permanent", "invalid_text"}


def test_a_repair_that_fails_leaves_the_verification_failed(run_other, source, service, capfd):
    """The last task says what is still missing after all tries."""
    service.down = status(503)

    ended = run_other("ner_verify", repair=True)

    assert ended.states == {"find": "success", "repair": "failed", "conclude": "failed"}
    assert ended.tries["repair"] == 4
    assert "50 of 50 documents have neither a result nor a dead letter" in capfd.readouterr().out


def test_dead_letters_of_a_repair_fail_the_verification(run_other, source, service, text_of, capfd):
    """They fail it unless they are allowed, although nothing is missing then."""
    service.poison = {text_of(5): status(400)}

    ended = run_other("ner_verify", repair=True)

    assert ended.states == {"find": "success", "repair": "success", "conclude": "failed"}
    assert "1 documents were dead-lettered, and max_dead_letters allows 0" in capfd.readouterr().out
    ended = run_other("ner_verify")
    assert ended.states == {"find": "success", "repair": "skipped", "conclude": "success"}
    assert (ended.xcoms["conclude"]["present"], ended.xcoms["conclude"]["dead_lettered"]) == (49, 1)


def test_a_search_that_fails_is_no_success(run_other, source, capfd):
    """A missing index fails the search at once.

    The last task must not read "nothing found" as "nothing missing".
    """
    ended = run_other("ner_verify", order_field="sent_at")

    assert ended.states == {"find": "failed", "repair": "upstream_failed", "conclude": "failed"}
    assert ended.tries["find"] == 1
    assert "the search failed" in capfd.readouterr().out
