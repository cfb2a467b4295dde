"""Cutting pages into batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine import Settings, batches
from engine.model import Page, hash_text
from engine.repeats import Repeats
from engine.values import identity

texts = st.lists(st.one_of(st.text(max_size=12), st.none(), st.integers()), max_size=40)


def cut(page, known=None, settings=None):
    """The batches of a page, the first one of its range."""
    settings = settings or Settings()
    return list(batches.cut(page, known or {}, settings, "r", Repeats(settings)))


def page_of(texts):
    """Documents with these texts and ascending ids."""
    return Page((range(len(texts)),), texts)


@given(texts, st.integers(1, 5), st.integers(1, 30))
def test_every_document_is_in_exactly_one_batch(found, batch_texts, batch_chars):
    """Each is sent, known, empty or invalid; batches follow the reading order and keep their bounds."""
    settings = Settings(batch_texts=batch_texts, batch_chars=batch_chars)
    made = cut(page_of(found), settings=settings)
    seen = [
        id_
        for b in made
        for id_ in sorted(
            b.ids + [e.document_id for e in b.extractions] + [letter.document_id for letter in b.dead_letters]
        )
    ]
    assert seen == list(range(len(found)))
    assert sum(b.read for b in made) == len(found)
    for batch in made:
        assert len(batch.texts) <= batch_texts
        assert len(batch.texts) == 1 or sum(map(len, batch.texts)) <= batch_chars or not batch.texts
    assert [b.last for b in made] == sorted(b.last for b in made)


def test_unchanged_documents_are_not_sent():
    """Only those whose text has the hash of a valid extraction."""
    known = {identity(0): hash_text("same"), identity(1): hash_text("before")}
    (batch,) = cut(page_of(["same", "after", "new"]), known)
    assert (batch.unchanged, batch.texts) == (1, ["after", "new"])


def test_an_empty_text_needs_no_service():
    """It has no entities, and some services refuse it."""
    (batch,) = cut(page_of([""]))
    assert (batch.texts, [e.entities for e in batch.extractions]) == ([], [()])


def test_a_missing_text_is_a_dead_letter_that_says_what_to_do():
    """Unless the setting says that such documents have no entities."""
    (batch,) = cut(page_of([None, 5]))
    assert [letter.kind for letter in batch.dead_letters] == ["invalid_text"] * 2
    assert "missing_text='empty'" in batch.dead_letters[0].message
    assert "is of type int" in batch.dead_letters[1].message
    (lenient,) = cut(page_of([None]), settings=Settings(missing_text="empty"))
    assert len(lenient.extractions) == 1


def test_a_batch_is_full_of_texts_that_were_not_sent_before():
    """Repeats need no room: a batch holds their documents besides."""
    first, second = cut(page_of(["a", "b", "a", "c", "b", "d", "a"]), settings=Settings(batch_texts=3))
    assert (first.texts, first.ids) == (["a", "b", "c"], [0, 1, 2, 3])
    assert (second.texts, second.ids) == (["d"], [4, 5, 6])
    repeats = [[(r.position, r.text) for r in batch.repeats] for batch in (first, second)]
    assert repeats == [[(2, "a")], [(0, "b"), (2, "a")]]
    assert (first.chars, second.chars) == (3, 1)


def test_without_a_cache_every_text_is_sent():
    """Also the same one twice in one batch."""
    (batch,) = cut(page_of(["a", "a"]), settings=Settings(repeat_cache_texts=0))
    assert (batch.texts, batch.repeats) == (["a", "a"], [])
