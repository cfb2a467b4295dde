"""What may happen to a collection in the middle of a run, and a way to let it happen at a chosen page."""

from __future__ import annotations

from engine.reading.query_forms import WholeTiesScan
from engine.reading.scan import Scan
from tests.support.samples import INDEX, message

DROPPED = "the collection that this run was planned on was dropped or renamed"


async def rename(collection):
    """Renames the collection."""
    await collection.rename("elsewhere")


async def drop(collection):
    """Drops the collection."""
    await collection.drop()


async def drop_database(collection):
    """Drops the database of the collection."""
    await collection.database.client.drop_database(collection.database.name)


async def restore(collection):
    """Drops the collection and restores half of it, with the index."""
    kept = await collection.find().sort("_id", 1).to_list(length=None)
    await collection.drop()
    await collection.create_index(INDEX)
    await collection.insert_many(kept[len(kept) // 2 :])


async def swap(collection):
    """Puts a shorter collection in its place, by a rename that drops it."""
    other = collection.database["staging"]
    await other.create_index(INDEX)
    await other.insert_many([message(n, n) for n in range(20)])
    await other.rename(collection.name, dropTarget=True)


async def convert(collection):
    """Makes it a capped collection, which is a new one without its indexes."""
    await collection.database.command("convertToCapped", collection.name, size=1 << 20)


REPLACEMENTS = [rename, drop, drop_database, restore, swap, convert]


def at_page(monkeypatch, number, act):
    """Lets `act` happen before the page of this number is read; the first page is 1."""
    for kind in (Scan, WholeTiesScan):
        monkeypatch.setattr(kind, "page", _acting(kind.page, number, act))


def _acting(page, number, act):
    pages = []

    async def acting(self, *args, **options):
        pages.append(1)
        if len(pages) == number:
            await act()
        return await page(self, *args, **options)

    return acting
