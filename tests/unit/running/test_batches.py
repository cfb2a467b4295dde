"""Pages are cut into batches: every document is in exactly one, and only new texts are sent."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from engine import Settings, Tuning
from engine.calling.request_size import RequestSize
from engine.keys.bson_values import digests_of, lookup_key
from engine.model import Page, hash_text
from engine.running.batches import Batcher
from engine.running.deduplication import SentTexts

texts = st.lists(st.one_of(st.text(max_size=12), st.none(), st.integers()), max_size=40)


def size_of(settings):
    """The sizes that settings allow."""
    return RequestSize(settings.batch_texts, settings.batch_chars)


def cache_of(settings):
    """The cache that settings ask for."""
    return SentTexts(settings.tuning.repeat_cache_texts)


def cut(*pages, known=None, settings=None, spanning=True):
    """The batches of the first pages of a range."""
    settings = settings or Settings()
    empty = settings.missing_text == "empty"
    given = {"text_field": settings.text_field, "empty_if_missing": empty, "spanning": spanning}
    batcher = Batcher("r", size_of(settings), cache_of(settings), **given)
    made = [batch for page in pages for batch in batcher.cut(page, known or {})]
    return [*made, *filter(None, [batcher.flush()])]


def page_of(texts, first=0):
    """Documents with these texts and ascending ids."""
    return Page((range(first, first + len(texts)),), texts)


def pages_of(lists):
    """A page for each list of texts; ids ascend from page to page."""
    firsts = accumulate(map(len, lists), initial=0)
    return [page_of(texts, first) for first, texts in zip(firsts, lists, strict=False) if texts]


def ids_in(batch):
    """The `_id`s of all documents of a batch that are not unchanged, in order."""
    others = [e.document_id for e in batch.extractions] + [d.document_id for d in batch.dead_letters]
    return sorted([*batch.ids, *others])


@given(st.lists(texts, max_size=4), st.integers(1, 5), st.integers(1, 30), st.booleans())
def test_every_document_is_in_exactly_one_batch(found, batch_texts, batch_chars, spanning):
    """Each one is sent, known, empty or invalid; batches follow the reading order and keep their bounds."""
    settings = Settings(batch_texts=batch_texts, batch_chars=batch_chars)
    pages = pages_of(found)
    made = cut(*pages, settings=settings, spanning=spanning)
    seen = [id_ for batch in made for id_ in ids_in(batch)]
    assert seen == list(range(sum(map(len, pages))))
    ends = {page.ids[-1] for page in pages}
    for batch in made:
        assert (batch.last, batch.read) == ((ids_in(batch)[-1],), len(ids_in(batch)))
        assert batch.ends_page == (batch.last[0] in ends)
        assert batch.digest == sum(digests_of(ids_in(batch)))
        assert len(batch.texts) <= batch_texts
        assert len(batch.texts) == 1 or sum(map(len, batch.texts)) <= batch_chars or not batch.texts
        inner_ends = [id_ for id_ in ids_in(batch)[:-1] if id_ in ends]
        assert len(inner_ends) <= spanning  # two pages at most


def test_a_batch_is_filled_from_the_next_page():
    """A batch spans two pages at most, and only one where reading can resume only after whole pages."""
    texts = [["a", "b", "c"], ["d"], ["e", "f", "g", "h"]]
    settings = Settings(batch_texts=4)
    assert [b.texts for b in cut(*pages_of(texts), settings=settings)] == [[*"abcd"], [*"efgh"]]
    settings = Settings(batch_texts=5)
    assert [b.texts for b in cut(*pages_of(texts), settings=settings)] == [[*"abcd"], [*"efgh"]]
    alone = cut(*pages_of(texts), settings=settings, spanning=False)
    assert [(b.texts, b.ends_page) for b in alone] == [([*t], True) for t in texts]


def test_a_page_without_a_text_to_send_becomes_a_batch_at_once():
    """So the checkpoint can move over it; a rerun of a finished range has only such pages."""
    batcher = Batcher("r", size_of(Settings()), cache_of(Settings()), text_field="text")
    known = {lookup_key(n): hash_text("same") for n in range(3)}
    assert [b.unchanged for b in batcher.cut(page_of(["same"] * 3), known)] == [3]


def test_trap_29_a_text_too_long_for_the_batch_of_the_page_before_does_not_move_its_end():
    """That batch ends with its own page: a checkpoint further on would pass over a text that was not sent."""
    first, second = cut(*pages_of([["aaaa"], ["bbbbbbb", "c"]]), settings=Settings(batch_chars=10))
    assert (first.last, first.ends_page, first.texts) == ((0,), True, ["aaaa"])
    assert (second.last, second.texts) == ((2,), ["bbbbbbb", "c"])


def test_unchanged_documents_are_not_sent():
    """A document is unchanged if its text has the hash of its valid extraction."""
    known = {lookup_key(0): hash_text("same"), lookup_key(1): hash_text("before")}
    (batch,) = cut(page_of(["same", "after", "new"]), known=known)
    assert (batch.unchanged, batch.texts) == (1, ["after", "new"])


def test_an_empty_text_needs_no_service():
    """An empty text has no entities, and some services refuse it."""
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
    """Documents whose text was sent before take no room in it."""
    first, second = cut(page_of(["a", "b", "a", "c", "b", "d", "a"]), settings=Settings(batch_texts=3))
    assert (first.texts, first.ids) == (["a", "b", "c"], [0, 1, 2, 3])
    assert (second.texts, second.ids) == (["d"], [4, 5, 6])
    repeats = [[(r.position, r.text_hash) for r in batch.repeats] for batch in (first, second)]
    assert repeats == [[(2, hash_text("a"))], [(0, hash_text("b")), (2, hash_text("a"))]]
    assert (first.chars, second.chars) == (3, 1)


def test_without_a_cache_every_text_is_sent():
    """Even a text that occurs twice in one batch is sent twice."""
    (batch,) = cut(page_of(["a", "a"]), settings=Settings(tuning=Tuning(repeat_cache_texts=0)))
    assert (batch.texts, batch.repeats) == (["a", "a"], [])
