"""The size of the next page follows the documents, bytes and seconds of the pages before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.reading.page_size import FIRST_PAGE_DOCUMENTS, GROWTH, PageSize

MB = 1_000_000


def paging(documents=1000, bytes_=8 * MB, target_s=0.25):
    """A pager with the default settings, unless others are given."""
    return PageSize(documents, bytes_, target_s)


def read(pager, each, cost_s, round_trip_s=0.0, pages=1):
    """Reads pages of documents of one size, each at the same cost; returns the sizes requested."""
    asked = []
    for _ in range(pages):
        asked.append(pager.documents)
        pager.observe(asked[-1], asked[-1] * each, round_trip_s + asked[-1] * cost_s)
    return asked


def test_pages_grow_fourfold_to_the_most_documents():
    """The first page is small, because nothing is known yet."""
    assert read(paging(), 100, 1e-6, pages=5) == [64, 256, 1000, 1000, 1000]


def test_no_page_is_larger_than_the_setting_even_the_first():
    """The setting may be as small as one document."""
    assert read(paging(documents=1), 100, 1e-6, pages=3) == [1, 1, 1]


def test_trap_16_one_large_document_shrinks_one_page():
    """The next page is small in case more large documents follow; then pages grow again."""
    pager = paging()
    read(pager, 100, 1e-6, pages=5)
    pager.observe(1, 10 * MB, 0.1)
    assert pager.documents == 1
    assert read(pager, 100, 1e-6, pages=6)[-1] > 250


def test_trap_16_many_large_documents_keep_pages_small():
    """Each page stays within the bytes of the setting, and its size is predicted."""
    pager = paging()
    read(pager, 100, 1e-6, pages=5)
    assert read(pager, MB, 1e-3, pages=20)[1:] == [8] * 19
    assert pager.expected_bytes == 8 * MB


def test_a_document_larger_than_a_page_is_read_alone():
    """A page has at least one document; otherwise the range would never end."""
    assert read(paging(bytes_=1000), MB, 1e-3, pages=3) == [64, 1, 1]


def test_documents_without_texts_have_no_size():
    """No size is divided by zero."""
    pager = paging()
    assert read(pager, 0, 0.0, pages=3) == [64, 256, 1000]
    assert pager.expected_bytes == 0


def test_a_slow_server_gets_smaller_pages():
    """At a millisecond a document, a quarter of a second allows 250; the first fetch counts as round trip."""
    asked = read(paging(), 100, 1e-3, pages=30)
    assert 250 <= asked[-1] <= 250 + FIRST_PAGE_DOCUMENTS


def test_a_server_that_becomes_slow_gets_smaller_pages():
    """It gets larger ones again when it recovers."""
    pager = paging()
    assert read(pager, 100, 1e-6, pages=10)[-1] == 1000
    assert read(pager, 100, 1e-3, pages=20)[-1] <= 260
    assert read(pager, 100, 1e-6, pages=20)[-1] == 1000


def test_a_distant_server_gets_full_pages():
    """If the round trip alone exceeds the target, smaller pages would not be faster."""
    assert read(paging(), 100, 1e-6, round_trip_s=0.4, pages=10)[-1] == 1000


def test_time_alone_never_asks_for_less_than_the_first_page():
    """A server that is sometimes slow must not end up with pages of one document."""
    pager = paging()
    read(pager, 100, 1e-6, pages=5)
    read(pager, 100, 10.0, pages=20)
    assert pager.documents == FIRST_PAGE_DOCUMENTS


seen = st.lists(st.tuples(st.integers(1, 2000), st.integers(0, 20 * MB), st.floats(0, 100)), max_size=30)


@given(seen, st.integers(1, 5000), st.integers(1, 20 * MB), st.floats(0.001, 10))
def test_whatever_was_seen_the_bounds_hold(pages, most_documents, most_bytes, target_s):
    """A page has at least one document, at most the setting, and at most four times the last page."""
    pager = PageSize(most_documents, most_bytes, target_s)
    for documents, bytes_, elapsed_s in pages:
        pager.observe(documents, bytes_, elapsed_s)
        assert 1 <= pager.documents <= min(most_documents, GROWTH * documents)
        assert pager.documents == 1 or pager.documents * bytes_ / documents <= most_bytes * (1 + 1e-9)
