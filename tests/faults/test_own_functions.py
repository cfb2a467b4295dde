"""Faults in one's own function: they end the run at once, with file and line, and blame no document."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from engine import Entity, Status, Window, run
from tests.support.settings import settings_with

HERE = Path(__file__).name
QUICK = settings_with(range_documents=20, batch_texts=4, retry_base_s=0.001, retry_max_s=0.002)


def line_of(word):
    """The number of the line of this file that has this comment."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(at for at, line in enumerate(lines, 1) if line.endswith(f"# {word}"))


def entities(text):
    """The first letter of the text."""
    return [Entity(0, 1, "LETTER", text[0])]


async def type_error(texts):
    """Adds a number to a list."""
    return [entities(text) for text in texts + 1]  # type_error


async def key_error(texts):
    """Takes what a dict has not."""
    return [{"a": 1}["entities"] for _ in texts]  # key_error


async def attribute_error(texts):
    """Calls a method that strings have not."""
    return [text.lowercase() for text in texts]  # attribute_error


async def name_error(texts):
    """Uses a name that is not there."""
    return [[Entitie(0, 1, "LETTER", text[0])] for text in texts]  # noqa: F821  # name_error


async def import_error(texts):
    """Imports a module that is not there."""
    import no_such_module  # noqa: F401, PLC0415  # import_error

    return [[] for _ in texts]


async def in_a_library(texts):
    """Gives a library what it cannot use."""
    return [json.dumps(text, indent=object()) for text in [[1]]]  # in_a_library


async def in_a_group(texts):
    """Raises its error in a task of a group."""
    async with asyncio.TaskGroup() as group:
        group.create_task(key_error(texts))


def plain(texts):
    """Is not async, and adds a number to a list."""
    return [entities(text) for text in texts + 1]  # plain


FAULTS = {
    "type_error": (type_error, "TypeError"),
    "key_error": (key_error, "KeyError"),
    "attribute_error": (attribute_error, "AttributeError"),
    "name_error": (name_error, "NameError"),
    "import_error": (import_error, "ModuleNotFoundError"),
    "in_a_library": (in_a_library, "TypeError"),
    "key_error, in a task group": (in_a_group, "KeyError"),
    "plain": (plain, "TypeError"),
}


def places(work, settings=QUICK):
    """Source, target and settings, as the functions of the engine take them."""
    return {"source": work.source, "target": work.database, "settings": settings}


@pytest.mark.asyncio
@pytest.mark.parametrize("word", FAULTS)
async def test_an_error_of_programming_ends_the_run_with_its_place(work, word):
    """Of many ranges one meets it; the message has class, file and line, and nothing is blamed."""
    function, kind = FAULTS[word]
    await work.fill(200)

    report = await run(Window(), extractor=function, **places(work))

    assert (report.status, report.dead_lettered, report.written) == (Status.FAILED, 0, 0)
    told = next(problem for problem in report.problems if f"({kind}" in problem)
    assert f"{HERE}:{line_of(word.partition(',')[0])}" in told
    assert len(report.ranges) <= 2, "the other ranges are not begun"
    assert await work.dead_letters() == {}


@pytest.mark.asyncio
async def test_an_error_of_programming_in_mid_run_is_no_outage(work):
    """It is met by one text, long after others have passed: the run ends, and goes on after the mend."""
    await work.fill(200)

    async def sometimes(texts):
        if any(text.startswith("message 150 ") for text in texts):
            raise KeyError(texts[0])
        return [entities(text) for text in texts]

    report = await run(Window(), extractor=sometimes, **places(work))

    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    told = next(problem for problem in report.problems if "KeyError" in problem)
    assert HERE in told
    assert "Ada" not in told, "no text is in the message"

    async def mended(texts):
        return [entities(text) for text in texts]

    report = await run(Window(), extractor=mended, **places(work))
    assert (report.status, report.reconciled) == (Status.SUCCEEDED, True)
    assert len(await work.stored()) == 200


ANSWERS = {
    "tuples": (lambda text: [(0, 1, "LETTER", text[0])], "tuple: give Entity(start, end, label, text)"),
    "strings": (lambda text: [text[0]], "str: give Entity(start, end, label, text)"),
    "other keys": (lambda text: [{"begin": 0, "end": 1}], "a dict with these keys"),
    "one dict": (lambda text: {"start": 0}, "give a list of entities"),
    "nothing": (lambda text: None, "give a list of entities"),
    "a type that JSON lacks": (lambda text: [Entity(0, 1, b"X", text[0])], "label of an entity is of type"),
}


@pytest.mark.asyncio
@pytest.mark.parametrize("word", ANSWERS)
async def test_a_function_that_returns_other_objects_ends_the_run(work, word):
    """The message says what to give instead, and where the function is."""
    make, says = ANSWERS[word]
    await work.fill(100)

    async def extract(texts):  # extract
        return [make(text) if "message 7" in text else [] for text in texts]

    report = await run(Window(), extractor=extract, **places(work))

    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    told = next(problem for problem in report.problems if says in problem)
    assert f"{HERE}:{line_of('extract')}" in told


@pytest.mark.asyncio
async def test_a_function_that_returns_no_list_ends_the_run(work):
    """Such as one that forgets to return."""
    await work.fill(20)

    async def forgets(texts):
        [entities(text) for text in texts]

    report = await run(Window(), extractor=forgets, **places(work))
    assert report.status is Status.FAILED
    assert any("NoneType results" in problem and HERE in problem for problem in report.problems)


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ConnectionResetError, TimeoutError, OSError, BrokenPipeError])
@pytest.mark.parametrize("grouped", [False, True], ids=["alone", "in a group"])
async def test_what_may_pass_stays_transient(work, error, grouped):
    """A function that fails so three times succeeds at last."""
    await work.fill(20)
    left = [3]

    async def at_first(texts):
        if left[0]:
            left[0] -= 1
            raise ExceptionGroup("failed", [error("not now")]) if grouped else error("not now")
        return [entities(text) for text in texts]

    report = await run(Window(), extractor=at_first, **places(work))
    assert (report.status, report.written, report.retries) == (Status.SUCCEEDED, 20, 3)


@pytest.mark.asyncio
async def test_a_value_error_is_about_one_text(work):
    """It is a dead letter."""
    await work.fill(40)

    async def refuses(texts):
        if any(text.startswith("message 7 ") for text in texts):
            raise ValueError("too odd")
        return [entities(text) for text in texts]

    report = await run(Window(), extractor=refuses, **places(work))
    assert (report.written, report.dead_lettered) == (39, 1)
    assert (await work.dead_letters())[7]["message"] == "ValueError: too odd"


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [ValueError, RuntimeError, UnicodeError, ArithmeticError])
async def test_a_function_that_never_works_is_told_with_its_place(work, error):
    """Whatever it raises, the run ends at once."""
    await work.fill(40)

    async def never(texts):
        raise error("no model")  # never

    report = await run(Window(), extractor=never, **places(work))
    assert (report.status, report.dead_lettered) == (Status.FAILED, 0)
    place = f"{HERE}:{line_of('never')}"
    assert any(f"{error.__name__}: no model" in told and place in told for told in report.problems)
