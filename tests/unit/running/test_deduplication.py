"""Texts that come again: sent once, waited for, and their answers bounded."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Entity, Settings
from engine.model import Page, hash_text
from engine.running.batches import Cutter
from engine.running.deduplication import Repeats, Sending, outcomes_of

REFUSAL = object()
"""What stands for the entities of a text that failed for good."""


def repeats_of(texts=100, chars=1_000_000):
    """A cache with these bounds."""
    return Repeats(Settings(repeat_cache_texts=texts, repeat_cache_chars=chars))


class Service:
    """Finds each text as a whole, once it is let go on; refuses some.

    Attributes:
        sent: the texts of each request.
    """

    def __init__(self, *, refuses=(), held=False):
        self.refuses, self.sent, self.go_on = set(refuses), [], asyncio.Event()
        if not held:
            self.go_on.set()

    async def extract(self, texts):
        """One entity a text."""
        self.sent.append(list(texts))
        await self.go_on.wait()
        return [REFUSAL if text in self.refuses else [Entity(0, 1, "X", text)] for text in texts]

    @property
    def texts(self):
        """Every text sent, in order."""
        return [text for request in self.sent for text in request]


def batches_of(*texts, settings=None, repeats=None):
    """Each list of texts cut on its own, all of one range."""
    settings = settings or Settings()
    repeats = Repeats(settings) if repeats is None else repeats
    pages = [Page((range(len(page)),), page) for page in texts]
    cutter = Cutter(settings, "r", repeats, spanning=False)
    return [batch for page in pages for batch in cutter.cut(page, {})]


async def outcomes(batch, service):
    """The outcomes of a batch's documents."""
    return await outcomes_of(batch.texts, batch.sending, batch.repeats, service.extract)


def first_texts(found):
    """What the entities of each outcome say."""
    return [outcome if outcome is REFUSAL else outcome[0].text for outcome in found]


# --- the cache ---


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), max_size=200), st.integers(0, 9), st.data())
def test_the_cache_keeps_its_bounds(uses, texts, data):
    """Entries and characters, whatever comes; nothing is found that was not sent."""
    chars = data.draw(st.integers(0, 40))
    repeats, sizes = repeats_of(texts, chars), {}
    for number, first_size in uses:
        size = sizes.setdefault(number, first_size)
        sending = Sending()
        found = repeats.earlier(str(number), size, sending)
        assert found is None or str(number) in found.hashes
        assert len(sending.hashes) == (found is None)
        kept = [*repeats._young, *repeats._old]
        assert len(kept) <= texts
        assert sum(sizes[int(key)] for key in kept) <= chars
        assert len(repeats) == len(set(kept))


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(2, 20))
def test_what_was_used_lately_is_found(uses, texts):
    """Among the last used ones, half as many as it keeps: each use counts, not only the first."""
    repeats, lately = repeats_of(texts), []
    for number in uses:
        found = repeats.earlier(str(number), 1, Sending())
        if number in lately[-(texts // 2) :]:
            assert found is not None
        lately = [n for n in lately if n != number] + [number]


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(0, 20))
def test_what_was_not_used_for_long_is_forgotten(uses, texts):
    """What is found is among the last ones used, as many as the cache holds at most."""
    repeats, lately = repeats_of(texts), []
    for number in uses:
        found = repeats.earlier(str(number), 1, Sending())
        assert found is None or number in lately[-texts:]
        lately = [n for n in lately if n != number] + [number]


def test_a_text_longer_than_the_room_is_sent_and_not_kept():
    """It drives nothing out, and its entities do not live on with those of its batch."""
    repeats = repeats_of(chars=20)
    sending = Sending()
    repeats.earlier("short", 5, sending)
    assert repeats.earlier("long", 11, sending) is None
    assert repeats.earlier("long", 11, sending) is None
    assert repeats.earlier("short", 5, Sending()) is sending
    sending.settle([["of short"], ["of long"], ["of long again"]])
    assert sending._outcomes == [["of short"], None, None]


def test_an_answer_that_is_used_again_does_not_keep_its_batch():
    """Others of the batch are forgotten while one lives on."""
    repeats, sending = repeats_of(4), Sending()
    for name in ("often", "once"):
        repeats.earlier(name, 1, sending)
    sending.settle([[1], [2]])
    sending.end()
    for n in range(6):
        repeats.earlier(f"other {n}", 1, Sending())
        assert repeats.earlier("often", 1, Sending()).outcome_of("often") == [1]
    holding = [s for s in (*repeats._young.values(), *repeats._old.values()) if "often" in s.hashes]
    assert holding
    assert all(s.hashes == ["often"] for s in holding)


# --- sent once ---


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=30), min_size=1, max_size=5),
    st.integers(1, 6),
    st.permutations(range(5)),
    st.sets(st.sampled_from("abcdefghij"), max_size=3),
)
def test_each_text_is_sent_once_and_each_document_gets_its_answer(pages, batch_texts, delays, refused):
    """Whatever comes again in a batch or another, whichever request ends first, refused or not."""

    async def main():
        batches = batches_of(*pages, settings=Settings(batch_texts=batch_texts))
        service = Service(refuses=refused)

        async def one(n, batch):
            async def slowly(texts):
                for _ in range(delays[n % 5]):
                    await asyncio.sleep(0)
                return await service.extract(texts)

            return await outcomes_of(batch.texts, batch.sending, batch.repeats, slowly)

        found = await asyncio.gather(*(one(n, batch) for n, batch in enumerate(batches)))
        answers = {hash_text(t): REFUSAL if t in refused else t for page in pages for t in page}
        for batch, outcome in zip(batches, found, strict=True):
            assert first_texts(outcome) == [answers[text_hash] for text_hash in batch.hashes]
        assert sorted(service.texts) == sorted({text for page in pages for text in page})

    asyncio.run(main())


@pytest.mark.asyncio
async def test_a_refusal_is_given_to_every_document_with_the_text():
    """In its batch and in later ones; it is asked for once."""
    first, second = batches_of(["bad", "good", "bad"], ["bad"])
    service = Service(refuses=["bad"])
    assert first_texts(await outcomes(first, service)) == [REFUSAL, "good", REFUSAL]
    assert first_texts(await outcomes(second, service)) == [REFUSAL]
    assert service.texts == ["bad", "good"]


# --- waiting ---


async def waiting(*batches, service):
    """The batches' calls, each as far as it gets."""
    tasks = [asyncio.create_task(outcomes(batch, service)) for batch in batches]
    await everybody()
    return tasks


async def everybody():
    """Lets all tasks go on as far as they get."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_a_text_on_its_way_is_waited_for_and_not_sent_again():
    """Both batches end when the first has its answer; what is the second's own is sent meanwhile."""
    service = Service(held=True)
    tasks = await waiting(*batches_of(["a", "b"], ["b", "c"]), service=service)
    assert service.sent == [["a", "b"], ["c"]]
    assert not any(task.done() for task in tasks)
    service.go_on.set()
    assert [first_texts(await task) for task in tasks] == [["a", "b"], ["b", "c"]]
    assert len(service.sent) == 2


@pytest.mark.asyncio
async def test_batches_that_need_each_other_do_not_block():
    """The later one waits for the earlier one, and never the other way, though it is called first."""
    service = Service()
    first, second = batches_of(["a", "b"], ["b", "a", "c"])
    tasks = await waiting(second, first, service=service)
    assert [first_texts(await task) for task in tasks] == [["b", "a", "c"], ["a", "b"]]


@pytest.mark.asyncio
async def test_after_a_failure_one_of_those_who_wait_sends_the_text():
    """The failure is that of the batch that sent it; of three others one sends it, and serves the rest."""
    service, broken = Service(), Service(held=True)

    async def fails(texts):
        await broken.extract(texts)
        raise ConnectionError

    first, *others, late = batches_of(["a", "b"], ["a"], ["a", "c"], ["a"], ["a"])
    failing = asyncio.create_task(outcomes_of(first.texts, first.sending, first.repeats, fails))
    tasks = await waiting(*others, service=service)
    assert service.texts == ["c"]
    broken.go_on.set()
    with pytest.raises(ConnectionError):
        await failing
    assert [first_texts(await task) for task in tasks] == [["a"], ["a", "c"], ["a"]]
    assert first_texts(await outcomes(late, service)) == ["a"]
    assert service.texts == ["c", "a"]


@pytest.mark.asyncio
async def test_after_a_cancellation_one_of_those_who_wait_sends_the_text():
    """Likewise if the batch that took its place is cancelled too."""
    service = Service(held=True)
    batches = batches_of(["a"], ["a"], ["a"], ["a"])
    first, second, *rest = await waiting(*batches, service=service)
    for sends in (first, second):
        sends.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sends
        await everybody()
    service.go_on.set()
    assert [first_texts(await task) for task in rest] == [["a"], ["a"]]
    assert service.texts == ["a"] * 3


@pytest.mark.asyncio
async def test_one_that_waits_may_be_cancelled():
    """The answer still comes for the others."""
    service = Service(held=True)
    tasks = await waiting(*batches_of(["a"], ["a"], ["a"]), service=service)
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    service.go_on.set()
    assert [first_texts(await tasks[n]) for n in (0, 2)] == [["a"], ["a"]]
    assert service.texts == ["a"]
