"""A collection that is dropped during a verification, a repair or a replay is not taken for an empty one."""

from __future__ import annotations

import pytest

from engine import Window, repair, replay, run, verify
from engine.errors import SourceError, WriteError
from engine.reading.documents_by_key import DocumentsByKey
from tests.support.checking import SMALL, places
from tests.support.replaced import DROPPED, at_page, drop, drop_database, rename, restore, swap
from tests.support.samples import fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

LENIENT = settings_with(SMALL, max_dead_letters=1000)
NO_TEXT = 5


async def source_of(database, text=None):
    """200 messages; a text that is none makes each of them a dead letter."""
    return await fill(database["messages"], [message(n, n, text) for n in range(200)])


def before_fetch(monkeypatch, number, act):
    """Lets `act` happen before documents are looked up by their `_id`s for the given time."""
    fetch, fetches = DocumentsByKey._fetch, []

    async def acting(self, wanted):
        fetches.append(1)
        if len(fetches) == number:
            await act()
        return await fetch(self, wanted)

    monkeypatch.setattr(DocumentsByKey, "_fetch", acting)


@pytest.mark.parametrize("act", [rename, drop, drop_database, restore, swap])
async def test_a_verification_of_a_source_that_vanishes(pymongo_database, monkeypatch, act):
    """It is no verification of the first two pages."""
    source = await source_of(pymongo_database)
    await run(Window(), extractor=first_word, **places(source))
    at_page(monkeypatch, 3, lambda: act(source))
    with pytest.raises(SourceError, match=DROPPED):
        await verify(Window(), **places(source))


@pytest.mark.parametrize("name", ["messages_entities", "messages_dead_letters"])
async def test_a_verification_while_the_results_vanish(pymongo_database, monkeypatch, name):
    """Their documents are not called missing."""
    source = await source_of(pymongo_database)
    await source.insert_many([message(n, n, NO_TEXT) for n in range(200, 220)])
    await run(Window(), extractor=first_word, **places(source, LENIENT))
    at_page(monkeypatch, 3, pymongo_database[name].drop)
    with pytest.raises(WriteError, match=rf"{name} was dropped or renamed"):
        await verify(Window(), **places(source))


@pytest.mark.parametrize("act", [rename, drop, drop_database, restore, swap])
async def test_a_replay_resolves_no_letter_because_the_source_is_gone(pymongo_database, monkeypatch, act):
    """The documents are not deleted; nobody knows."""
    source = await source_of(pymongo_database, NO_TEXT)
    target = pymongo_database.client[f"{pymongo_database.name}_target"]
    where = {"source": source, "target": target, "settings": LENIENT}
    try:
        await run(Window(), extractor=first_word, **where)
        letters = target["messages_dead_letters"]
        assert await letters.count_documents({"resolved_at": None}) == 200
        before_fetch(monkeypatch, 2, lambda: act(source))
        with pytest.raises(SourceError, match=DROPPED):
            await replay(Window(), extractor=first_word, **where)
        assert await letters.count_documents({"resolution": "deleted"}) == 0
    finally:
        await target.client.drop_database(target.name)


async def test_a_replay_while_the_letters_vanish(pymongo_database, monkeypatch):
    """What is left of them is not all there was."""
    source = await source_of(pymongo_database, NO_TEXT)
    await run(Window(), extractor=first_word, **places(source, LENIENT))
    at_page(monkeypatch, 2, pymongo_database["messages_dead_letters"].drop)
    with pytest.raises(WriteError, match="dropped or renamed"):
        await replay(Window(), extractor=first_word, **places(source, LENIENT))


@pytest.mark.parametrize("act", [rename, drop, swap])
async def test_a_repair_of_a_source_that_vanishes(pymongo_database, monkeypatch, act):
    """It does not end as if nothing were missing."""
    source = await source_of(pymongo_database)
    at_page(monkeypatch, 3, lambda: act(source))
    with pytest.raises(SourceError, match=DROPPED):
        await repair(Window(), extractor=first_word, **places(source))
