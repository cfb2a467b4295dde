"""Repeated texts are sent once, their answer is shared, and the cache of answers is bounded."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Entity, Settings
from engine.calling.request_size import RequestSize
from engine.model import Page, hash_text
from engine.running.batches import Batcher
from engine.running.deduplication import SentTexts, SharedRequest, outcomes_of

REFUSAL = object()
"""Stands for the outcome of a text that failed for good."""


def size_of(settings):
    """The sizes that settings allow."""
    return RequestSize(settings.batch_texts, settings.batch_chars)


def cache_of(texts=100, chars=1_000_000):
    """A cache with these bounds."""
    return SentTexts(texts, chars)


class Service:
    """Answers with one entity for each text, once `go_on` is set; refuses some texts.

    Attributes:
        sent: the texts of each request.
    """

    def __init__(self, *, refuses=(), held=False):
        self.refuses, self.sent, self.go_on = set(refuses), [], asyncio.Event()
        if not held:
            self.go_on.set()

    async def extract(self, texts):
        """Records the request and answers it."""
        self.sent.append(list(texts))
        await self.go_on.wait()
        return [REFUSAL if text in self.refuses else [Entity(0, 1, "X", text)] for text in texts]

    @property
    def texts(self):
        """Every text sent, in order."""
        return [text for request in self.sent for text in request]


def batches_of(*texts, settings=None):
    """One page of a range for each list of texts, cut into batches."""
    settings = settings or Settings()
    pages = [Page((range(len(page)),), page) for page in texts]
    cache = SentTexts(settings.tuning.repeat_cache_texts)
    batcher = Batcher("r", size_of(settings), cache, text_field="text", spanning=False)
    return [batch for page in pages for batch in batcher.cut(page, {})]


async def outcomes(batch, service):
    """The outcomes of a batch's documents."""
    return await outcomes_of(batch.texts, batch.request, batch.repeats, service.extract)


def first_texts(found):
    """The text that each outcome names, or the refusal."""
    return [outcome if outcome is REFUSAL else outcome[0].text for outcome in found]


# --- the cache ---


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), max_size=200), st.integers(0, 9), st.data())
def test_the_cache_keeps_its_bounds(uses, texts, data):
    """It never holds more texts or characters, and finds nothing that was not sent."""
    chars = data.draw(st.integers(0, 40))
    sent_texts, sizes = cache_of(texts, chars), {}
    for number, first_size in uses:
        size = sizes.setdefault(number, first_size)
        request = SharedRequest()
        found = sent_texts.find_or_add(str(number), size, request)
        assert found is None or str(number) in found.hashes
        assert len(request.hashes) == (found is None)
        kept = [*sent_texts._young, *sent_texts._old]
        assert len(kept) <= texts
        assert sum(sizes[int(key)] for key in kept) <= chars


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(2, 20))
def test_texts_that_were_used_lately_are_found(uses, texts):
    """The last `texts / 2` texts that were used are always found: each use counts, not only the first."""
    sent_texts, lately = cache_of(texts), []
    for number in uses:
        found = sent_texts.find_or_add(str(number), 1, SharedRequest())
        if number in lately[-(texts // 2) :]:
            assert found is not None
        lately = [n for n in lately if n != number] + [number]


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(0, 20))
def test_texts_that_were_not_used_for_long_are_forgotten(uses, texts):
    """Only the last `texts` texts that were used can be found."""
    sent_texts, lately = cache_of(texts), []
    for number in uses:
        found = sent_texts.find_or_add(str(number), 1, SharedRequest())
        assert found is None or number in lately[-texts:]
        lately = [n for n in lately if n != number] + [number]


def test_a_text_longer_than_the_room_is_sent_and_not_kept():
    """It displaces nothing, and its entities are not kept alive by those of its batch."""
    sent_texts = cache_of(chars=20)
    request = SharedRequest()
    sent_texts.find_or_add("short", 5, request)
    assert sent_texts.find_or_add("long", 11, request) is None
    assert sent_texts.find_or_add("long", 11, request) is None
    assert sent_texts.find_or_add("short", 5, SharedRequest()) is request
    request.succeed([["of short"], ["of long"], ["of long again"]])
    assert request._outcomes == [["of short"], None, None]


@pytest.mark.asyncio
async def test_an_answer_that_is_used_again_does_not_keep_its_batch():
    """The other answers of the batch are forgotten while one stays in use."""
    sent_texts, request = cache_of(4), SharedRequest()
    for name in ("often", "once"):
        sent_texts.find_or_add(name, 1, request)
    request.succeed([[1], [2]])
    for n in range(6):
        sent_texts.find_or_add(f"other {n}", 1, SharedRequest())
        found = sent_texts.find_or_add("often", 1, SharedRequest())
        assert await found.outcome_of("often") == [1]
    cached = (*sent_texts._young.values(), *sent_texts._old.values())
    holding = [request for request in cached if "often" in request.hashes]
    assert holding
    assert all(request.hashes == ["often"] for request in holding)


# --- sent once ---


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=30), min_size=1, max_size=5),
    st.integers(1, 6),
    st.permutations(range(5)),
    st.sets(st.sampled_from("abcdefghij"), max_size=3),
)
def test_each_text_is_sent_once_and_each_document_gets_its_answer(pages, batch_texts, delays, refused):
    """Repeats may be in the same batch or another one, requests end in any order, texts may be refused."""

    async def main():
        batches = batches_of(*pages, settings=Settings(batch_texts=batch_texts))
        service = Service(refuses=refused)

        async def one(n, batch):
            async def slowly(texts):
                for _ in range(delays[n % 5]):
                    await asyncio.sleep(0)
                return await service.extract(texts)

            return await outcomes_of(batch.texts, batch.request, batch.repeats, slowly)

        found = await asyncio.gather(*(one(n, batch) for n, batch in enumerate(batches)))
        answers = {hash_text(t): REFUSAL if t in refused else t for page in pages for t in page}
        for batch, outcome in zip(batches, found, strict=True):
            assert first_texts(outcome) == [answers[text_hash] for text_hash in batch.hashes]
        assert sorted(service.texts) == sorted({text for page in pages for text in page})

    asyncio.run(main())


@pytest.mark.asyncio
async def test_a_refusal_is_given_to_every_document_with_the_text():
    """The documents may be in its batch or in later ones; the text is sent once."""
    first, second = batches_of(["bad", "good", "bad"], ["bad"])
    service = Service(refuses=["bad"])
    assert first_texts(await outcomes(first, service)) == [REFUSAL, "good", REFUSAL]
    assert first_texts(await outcomes(second, service)) == [REFUSAL]
    assert service.texts == ["bad", "good"]


# --- waiting ---


async def waiting(*batches, service):
    """Starts a task for each batch and lets all run as far as they can."""
    tasks = [asyncio.create_task(outcomes(batch, service)) for batch in batches]
    await everybody()
    return tasks


async def everybody():
    """Lets all tasks run as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_a_text_in_flight_is_awaited_and_not_sent_again():
    """Both batches end when the first has its answer; the second sends its own text meanwhile."""
    service = Service(held=True)
    tasks = await waiting(*batches_of(["a", "b"], ["b", "c"]), service=service)
    assert service.sent == [["a", "b"], ["c"]]
    assert not any(task.done() for task in tasks)
    service.go_on.set()
    assert [first_texts(await task) for task in tasks] == [["a", "b"], ["b", "c"]]
    assert len(service.sent) == 2


@pytest.mark.asyncio
async def test_batches_that_need_each_other_do_not_block():
    """The later batch waits for the earlier one, never the other way round, even if it starts first."""
    service = Service()
    first, second = batches_of(["a", "b"], ["b", "a", "c"])
    tasks = await waiting(second, first, service=service)
    assert [first_texts(await task) for task in tasks] == [["b", "a", "c"], ["a", "b"]]


@pytest.mark.asyncio
async def test_after_a_failure_the_batches_that_wait_fail_with_its_error():
    """So does a batch that comes later; nobody sends the text again, and no batch waits forever."""
    service, gate, error = Service(), asyncio.Event(), ConnectionError("gone")

    async def fails(_texts):
        await gate.wait()
        raise error

    first, *others, late = batches_of(["a", "b"], ["a"], ["a", "c"], ["a"])
    failing = asyncio.create_task(outcomes_of(first.texts, first.request, first.repeats, fails))
    tasks = await waiting(*others, service=service)
    gate.set()
    for ended in (failing, *tasks, outcomes(late, service)):
        with pytest.raises(ConnectionError) as raised:
            await ended
        assert raised.value is error
    assert service.texts == ["c"]


@pytest.mark.asyncio
async def test_after_a_cancellation_the_batches_that_wait_are_cancelled():
    """In the pipeline all of them are cancelled together; here only the one that sends is."""
    service = Service(held=True)
    sends, *others = await waiting(*batches_of(["a"], ["a"], ["a"]), service=service)
    sends.cancel()
    await asyncio.wait([sends, *others])
    assert all(task.cancelled() for task in (sends, *others))
    assert service.texts == ["a"]


@pytest.mark.asyncio
async def test_a_batch_that_waits_may_be_cancelled():
    """The other batches still get the answer."""
    service = Service(held=True)
    tasks = await waiting(*batches_of(["a"], ["a"], ["a"]), service=service)
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    service.go_on.set()
    assert [first_texts(await tasks[n]) for n in (0, 2)] == [["a"], ["a"]]
    assert service.texts == ["a"]
