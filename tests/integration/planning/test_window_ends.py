"""Windows of every order type, over a field and over `_id`: planned, run, verified and replayed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from engine import ConfigError, Key, KeyRange, PlanError, Settings, Window, plan_ranges, replay, run, verify
from engine.planning.plan import Plan
from tests.support.samples import DAY, INDEX, first_word
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

SECONDS = int(DAY.timestamp())
Z = "%Y-%m-%dT%H:%M:%SZ"


def at(number: int) -> datetime:
    """The time of a document; three documents share each."""
    return DAY + timedelta(minutes=number // 3)


VALUES = {
    "objectId": lambda n: ObjectId(int(at(n).timestamp()).to_bytes(4, "big") + bytes(7) + bytes([n // 3])),
    "timestamp": lambda n: Timestamp(int(at(n).timestamp()), n // 3),
}
"""The order values of types that a field may have beside dates, strings and numbers."""

OTHERS = [None, 5, "x", True, DAY, Regex("a"), ObjectId("f" * 24), Timestamp(2**32 - 1, 7)]
"""Values of which each type has at most one."""

FORMS = {"index_bounds": INDEX, "whole_ties": INDEX[:1], "filter": INDEX}


async def filled(database, kind, form="index_bounds"):
    """A collection of 60 documents with order values of a type and a few others, or a view of it."""
    collection = database["messages"]
    await collection.create_index(FORMS[form])
    values = [VALUES[kind](n) for n in range(60)] + [
        v for v in OTHERS if not isinstance(v, type(VALUES[kind](0)))
    ]
    await collection.insert_many(
        {"_id": n, "created_at": value, "text": f"message {n}"} for n, value in enumerate(values)
    )
    if form == "filter":
        await database.create_collection("view", viewOn="messages", pipeline=[])
        return database["view"]
    return collection


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", VALUES)
async def test_a_field_of_another_type_is_read_in_every_form(pymongo_database, kind, form):
    """Plans tile the window, ends are pinned, other types are counted as outside, and nothing is lost."""
    source = await filled(pymongo_database, kind, form)
    settings = Settings(order_type=kind, range_documents=7, batch_texts=4)
    where: dict[str, Any] = {"source": source, "target": pymongo_database}
    window = Window(at(9), at(30).isoformat())
    plan = await plan_ranges(source, window, settings)
    assert (plan.form, plan.documents, sum(plan.outside.values())) == (form, 21, 7)
    report = await run(window, extractor=first_word, settings=settings, **where)
    assert (report.read, report.reconciled) == (21, True)
    assert (await verify(window, settings=settings, **where)).complete
    report = await run(Window(), extractor=first_word, settings=settings, **where)
    assert (report.read, report.written, report.unchanged, report.reconciled) == (60, 39, 21, True)
    assert (await verify(Window(), settings=settings, **where)).read == 60


@pytest.mark.parametrize("strategy", ["exact", "counted", "sample"])
@pytest.mark.parametrize("kind", VALUES)
async def test_every_strategy_divides_a_field_of_another_type(pymongo_database, kind, strategy):
    """The open end is pinned just after the last value; plans and ranges survive JSON."""
    source = await filled(pymongo_database, kind)
    settings = settings_with(order_type=kind, range_documents=7, strategy=strategy)
    plan = await plan_ranges(source, Window(), settings)
    assert plan.documents == 60 or not plan.exact
    assert all(a.stop == b.start for a, b in zip(plan.ranges, plan.ranges[1:], strict=False))
    last = {"objectId": 0x14, "timestamp": 20}[kind]
    end = ObjectId(VALUES[kind](59).binary[:11] + bytes([last])) if kind == "objectId" else None
    end = end or Timestamp(int(at(59).timestamp()), last)
    assert plan.ranges[-1].stop == Key((end, MinKey()))
    assert Plan.from_document(plan.to_document()) == plan
    assert [KeyRange.from_json(r.to_json()) for r in plan.ranges] == list(plan.ranges)


IDS = {
    # the type of the `_id`s: their value, the settings, and the ends of the same window
    "string": (lambda n: f"{at(3 * n):{Z}}", {"order_unit": Z}, (at(9), at(30).isoformat())),
    "plain string": (lambda n: f"k{n:02d}", {"order_type": "string"}, ("k03", "k10")),
    "number": (lambda n: Int64(n) if n % 2 else n + 0.5, {}, ("3", 10)),
    "decimal": (lambda n: Decimal128(f"{n}.25"), {"order_type": "number"}, ("3", "10")),
    "seconds": (lambda n: SECONDS + 60 * n, {"order_type": "number", "order_unit": "s"}, (at(9), at(30))),
    "timestamp": (lambda n: Timestamp(SECONDS + 60 * n, 1), {}, (at(9), str(SECONDS + 600))),
    "objectId": (lambda n: ObjectId.from_datetime(at(3 * n)), {}, (at(9), ObjectId.from_datetime(at(30)))),
    "date": (lambda n: at(3 * n), {}, (at(9), at(30))),
    "date by default": (lambda n: at(3 * n), {"order_type": "date"}, (at(9), at(30))),
    "objectId by default": (
        lambda n: ObjectId.from_datetime(at(3 * n)),
        {"order_type": "date"},
        (at(9), at(30)),
    ),
}


@pytest.mark.parametrize("name", IDS)
async def test_ids_of_any_type_have_windows(pymongo_database, name):
    """The order type says of which type the `_id`s of a window are; those of other types are outside."""
    id_of, chosen, ends = IDS[name]
    source = pymongo_database["messages"]
    await source.insert_many({"_id": id_of(n), "text": f"message {n}"} for n in range(20))
    await source.insert_one({"_id": True, "text": "of another type"})
    settings = Settings(**{"order_field": "_id", "order_type": name, **chosen})
    where: dict[str, Any] = {"source": source, "target": pymongo_database, "settings": settings}

    async def refuse_some(texts):
        if {"message 4", "message 5", "message 8"} & set(texts):
            raise ValueError
        return await first_word(texts)

    report = await run(Window(*ends), extractor=refuse_some, **where)
    assert (report.read, report.dead_lettered, report.outside) == (7, 3, {"bool": 1})
    replayed = await replay(Window(ends[0], id_of(5)), extractor=first_word, **where)
    assert (replayed.read, replayed.written) == (1, 1)
    found = await verify(Window(*ends), **where)
    assert (found.read, found.present, found.dead_lettered) == (7, 5, 2)
    everything = await plan_ranges(source, Window(), settings)
    assert (everything.documents, everything.outside) == (21, {})


STORED = {
    "string": f"{DAY:{Z}}",
    "number": 5,
    "date": DAY,
    "objectId": ObjectId("65920080" + "0" * 16),
    "timestamp": Timestamp(SECONDS, 1),
}


RIGHT_BY_ID = {("date", "objectId"), ("objectId", "date")}
"""Asked for and stored: by default, a window of times over `_id` takes either."""

WRONG = [
    (field, asked, stored)
    for field in ("created_at", "_id")
    for asked in STORED
    for stored in STORED
    if asked != stored and not (field == "_id" and (asked, stored) in RIGHT_BY_ID)
]


@pytest.mark.parametrize(("field", "asked", "stored"), WRONG)
async def test_the_advice_after_a_wrong_type_can_be_followed(pymongo_database, field, asked, stored):
    """Whatever type is asked for and stored, the message names the one that works."""
    source = pymongo_database["messages"]
    await source.create_index(INDEX)
    await source.insert_one({"_id": 1, "created_at": DAY, "text": "x"} | {field: STORED[stored]})
    ends = {"string": "a", "number": "1"}.get(asked, "2020-01-01")
    with pytest.raises(PlanError, match=f"set order_type='{stored}' and give the window's ends as"):
        await plan_ranges(source, Window(ends), Settings(order_field=field, order_type=asked))
    right = Settings(order_field=field, order_type=stored)
    assert (await plan_ranges(source, Window(STORED[stored]), right)).documents == 1


@pytest.mark.parametrize("kind", STORED)
async def test_a_start_after_the_end_is_one_line_whatever_the_type(pymongo_database, kind):
    """The server compares the two, and the message shows them as they were given."""
    source = pymongo_database["messages"]
    await source.create_index(INDEX)
    await source.insert_one({"_id": 1, "created_at": STORED[kind]})
    start, end = (
        ("9", "10") if kind == "string" else ("9", "8") if kind == "number" else ("2021-01-01", "2020-01-01")
    )
    with pytest.raises(ConfigError, match=f"window start='{start}' is after end='{end}'"):
        await plan_ranges(source, Window(start, end), Settings(order_type=kind))


async def test_the_unit_is_part_of_what_a_run_is(pymongo_database):
    """The same times in another unit are another window, so a plan is not resumed with it."""
    source = pymongo_database["messages"]
    await source.create_index(INDEX)
    await source.insert_one({"_id": 1, "created_at": SECONDS + 1, "text": "x"})
    settings = Settings(order_type="number", order_unit="s", run_id="r")
    window = Window("2020-01-01", "2020-01-02")
    assert (await plan_ranges(source, window, settings, pymongo_database)).documents == 1
    other = settings.model_copy(update={"order_unit": "ms"})
    with pytest.raises(ConfigError, match=r"order was 'created_at \(number, s\)'"):
        await plan_ranges(source, window, other, pymongo_database)


@pytest.mark.parametrize(
    ("end", "documents"), [(2**63, 4), (str(-(10**30)), 0), (1e308, 4), (Decimal128("9.5"), 2)]
)
async def test_numbers_beyond_64_bits_are_ends_too(pymongo_database, end, documents):
    """They become doubles, which the server compares with integers exactly."""
    source = pymongo_database["messages"]
    await source.create_index(INDEX)
    stored = [5, 9.5 - 2**-40, 10.0, Int64(2**63 - 1)]
    await source.insert_many({"_id": n, "created_at": value} for n, value in enumerate(stored))
    plan = await plan_ranges(source, Window(None, end), Settings(order_type="number"))
    assert plan.documents == documents
    assert not any(isinstance(r.stop.values[0], MaxKey) for r in plan.ranges)


async def test_strings_with_milliseconds_have_windows_of_whole_seconds(pymongo_database):
    """JavaScript writes three digits: a pattern with `.000` compares with them exactly."""
    source = pymongo_database["messages"]
    await source.create_index(INDEX)
    moments = [datetime(2020, 1, 1, 0, 0, n // 4, n % 4 * 250_000, UTC) for n in range(40)]
    texts = [moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") for moment in moments]
    await source.insert_many({"_id": n, "created_at": text} for n, text in enumerate(texts))
    settings = Settings(order_type="string", order_unit="%Y-%m-%dT%H:%M:%S.000Z")
    plan = await plan_ranges(source, Window("2020-01-01T00:00:03", "2020-01-01T00:00:06Z"), settings)
    assert (plan.documents, plan.ranges[0].start.values[0]) == (12, texts[12])
