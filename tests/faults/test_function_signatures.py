"""Which functions can be extractors: async or plain ones, of one argument; others are refused before work."""

from __future__ import annotations

import functools
import threading

import pytest

from engine import ConfigError, Entity, Status, Window, plan_ranges, repair, replay, run, run_range
from tests.support.settings import settings_with

QUICK = settings_with(range_documents=20, batch_texts=4, retry_base_s=0.001, retry_max_s=0.002)


def entities(text):
    """The first letter of the text."""
    return [Entity(0, 1, "LETTER", text[0])]


def places(work, settings=QUICK):
    """Source, target and settings, as the functions of the engine take them."""
    return {"source": work.source, "target": work.database, "settings": settings}


async def _generator(texts):
    yield []


async def _of_one_text(text: str):
    return []


async def _of_two(texts, language):
    return []


async def _of_none():
    return []


async def _by_name(*, texts):
    return []


class _Detector:
    async def extract(self, texts):
        return [entities(text) for text in texts]


class _Plain:
    def extract(self, texts):
        return [entities(text) for text in texts]


class _OfTwo:
    async def extract(self, texts, language):
        return []


REFUSED = {
    "a _generator": (_generator, "yield"),
    "of one text": (_of_one_text, "list of texts"),
    "of two arguments": (_of_two, "_of_two(texts, language) must take one argument"),
    "of none": (_of_none, "must take one argument"),
    "by name": (_by_name, "must take one argument"),
    "a class": (_Detector, "_Detector is a class"),
    "a method that is not async": (_Plain(), "_Plain.extract must be an `async def`"),
    "a method of two arguments": (_OfTwo(), "must take one argument"),
    "a number": (7, "neither an Extractor nor a function"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("word", REFUSED)
@pytest.mark.parametrize("use", [run, repair, replay])
async def test_a_function_of_another_signature_is_refused_before_work(work, use, word):
    """It is a wrong setting: nothing is planned, read or written."""
    function, says = REFUSED[word]
    await work.fill(20)
    with pytest.raises(ConfigError) as raised:
        await use(Window(), extractor=function, **places(work))
    assert says in str(raised.value)
    assert await work.database.list_collection_names() == ["messages"]


@pytest.mark.asyncio
async def test_a_range_refuses_it_too(work):
    """`run_range` claims nothing then."""
    await work.fill(20)
    plan = await plan_ranges(work.source, Window(), QUICK, work.database)
    with pytest.raises(ConfigError, match="must take one argument"):
        await run_range(plan.ranges[0], extractor=_of_two, **places(work))
    assert await work.database["engine_checkpoints"].count_documents({}) == 0


class _Callable:
    async def __call__(self, texts):
        return [entities(text) for text in texts]


async def _of_language(language, texts, *, case=False):
    return [entities(text) for text in texts]


def _plain_function(texts):
    return [entities(text) for text in texts]


def _returns_an_awaitable(texts):
    return _Callable()(texts)


def _decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


TAKEN = {
    "plain": _plain_function,
    "a lambda": lambda texts: [entities(text) for text in texts],
    "a partial": functools.partial(_of_language, "de"),
    "a plain partial": functools.partial(_plain_function),
    "an object": _Callable(),
    "a method": _Detector().extract,
    "an Extractor": _Detector(),
    "a function that returns an awaitable": _returns_an_awaitable,
    "decorated": _decorated(_Detector().extract),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("word", TAKEN)
async def test_functions_of_every_kind_are_taken(work, word):
    """Async or plain, in a `partial`, under decorators, or an object."""
    await work.fill(40)
    report = await run(Window(), extractor=TAKEN[word], **places(work))
    assert (report.status, report.written) == (Status.SUCCEEDED, 40)


@pytest.mark.asyncio
async def test_a_plain_function_does_not_stop_the_event_loop(work):
    """Two calls of it can wait for each other, because each has a thread."""
    await work.fill(40)
    both = threading.Barrier(2)

    def waits(texts):
        both.wait(10)
        return [entities(text) for text in texts]

    settings = settings_with(QUICK, min_concurrency=2, max_concurrency=2, batch_texts=10, range_documents=40)
    report = await run(Window(), extractor=waits, **places(work, settings))
    assert (report.status, report.written) == (Status.SUCCEEDED, 40)
