"""The digest of the `_id`s read: it adds up, and depends on their types but not on their order."""

from __future__ import annotations

from hashlib import blake2b

import bson
from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from engine import Key
from engine.calling.request_size import RequestSize
from engine.keys.bson_values import EXACT_CODEC, digests_of, identity
from engine.model import DIGESTS, Counts, Page
from engine.running.batches import Batcher
from engine.running.deduplication import SentTexts
from engine.running.low_water_mark import LowWaterMark
from tests.support.bson_strategies import scalars
from tests.support.settings import settings_with

ids = st.lists(scalars, max_size=20, unique_by=lambda value: (type(value), identity(value)))


def read(ids, **settings):
    """The counts of the documents with these `_id`s, cut into batches and passed by the low-water mark."""
    mark, page = LowWaterMark(), Page((ids,), ["text"] * len(ids))
    values = settings_with(**settings)
    size = RequestSize(values.batch_texts, values.batch_chars)
    batcher = Batcher("r", size, SentTexts(0, 0), text_field="text", spanning=False)
    for batch in batcher.cut(page, {}):
        mark.complete(mark.register(Key(batch.last)), Counts(batch.read, batch.read, digest=batch.digest))
    return mark.counts


@given(scalars)
def test_a_digest_is_the_head_of_blake2b_over_bson(value):
    """It is computed as documented, for every type, so that anybody can verify it."""
    encoded = bson.encode({"": value}, codec_options=EXACT_CODEC)
    assert digests_of([value]) == [int.from_bytes(blake2b(encoded).digest()[:16], "big")]


@given(ids, st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_and_batching_do_not_change_a_digest(found, random, batch_texts):
    """A rerun over the same documents gives the same digest, in whatever order and batches."""
    shuffled = random.sample(found, len(found))
    assert read(found).digest == read(shuffled, batch_texts=batch_texts).digest
    assert read(found).digest == sum(digests_of(found)) % DIGESTS


@given(ids.filter(bool))
def test_one_document_fewer_or_twice_changes_a_digest(found):
    """So the digest shows whether exactly this set of documents was read."""
    assert read(found).digest not in {read(found[1:]).digest, read([*found, found[0]]).digest}


def test_trap_1_digests_know_types():
    """In Python these values are equal; in BSON they differ."""
    values = [1, 1.0, Int64(1), True, "1", ObjectId(b"1" * 12), b"1" * 12, "1" * 12]
    assert len(set(digests_of(values))) == len(values)


@given(st.integers(0, DIGESTS - 1), st.integers(0, DIGESTS - 1))
def test_counts_add_modulo_and_survive_being_stored(one, other):
    """128 bits do not fit BSON's integers, so the digest is stored as a hexadecimal string."""
    total = Counts(1, 1, 0, 0, one) + Counts(2, 0, 1, 1, other)
    assert total == Counts(3, 1, 1, 1, (one + other) % DIGESTS)
    stored = bson.decode(bson.encode(total.to_document()))
    assert len(stored["digest"]) == 32
    assert Counts.from_document(stored) == total
