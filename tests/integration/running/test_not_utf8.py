"""Trap 46: what cannot be decoded costs its own document, wherever it is; the others are written."""

from __future__ import annotations

import struct
from datetime import timedelta

import pytest
from bson import CodecOptions
from pymongo import AsyncMongoClient

from engine import Settings, SourceError, Status, Window, plan_ranges, repair, replay, run, verify
from tests.support.checking import SMALL, Recorder, places
from tests.support.raw_documents import (
    ARRAY,
    BINARY,
    CODE,
    DOCUMENT,
    STRING,
    SYMBOL,
    element,
    embedded,
    raw,
    raw_message,
    string,
)
from tests.support.samples import DAY, fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

MANY = settings_with(SMALL, max_dead_letters=99)
LATIN = string(b"caf\xe9 au lait")
WRONG_LENGTH = struct.pack("<i", 3) + b"\x02abc"
BAD_TEXTS = {
    "Latin-1": (element(STRING, "text", LATIN), "byte 0xe9 in position 3"),
    "cut off": (element(STRING, "text", string("naïve 日".encode()[:-1])), "byte 0xe6 in position 7"),
    "half of a pair": (element(STRING, "text", string(b"a\xed\xa0\x80b")), "byte 0xed in position 1"),
    "overlong": (element(STRING, "text", string("é".encode() + b"\xc0\x80")), "byte 0xc0 in position 2"),
    "a symbol": (element(SYMBOL, "text", LATIN), "byte 0xe9 in position 3"),
    "a document": (element(DOCUMENT, "text", embedded(element(STRING, "a", LATIN))), "is of type dict"),
    "an array": (element(ARRAY, "text", embedded(element(STRING, "0", LATIN))), "is of type list"),
    "a name": (element(DOCUMENT, "text", embedded(element(STRING, b"\xe9", string(b"a")))), "of type dict"),
    "binary of a wrong length": (element(BINARY, "text", WRONG_LENGTH), "cannot be decoded"),
}
ELSEWHERE = {
    "another field": element(STRING, "author", LATIN),
    "a field name": element(STRING, b"caf\xe9", string(b"x")),
    "a field of another document": element(DOCUMENT, "meta", embedded(element(STRING, "author", LATIN))),
    "code": element(CODE, "script", LATIN),
    "binary of a wrong length": element(BINARY, "data", WRONG_LENGTH),
}
BAD_IDS = {
    "alone": (
        element(STRING, "_id", LATIN),
        r"the _id 'caf\\xe9 au lait' is not valid UTF-8: byte 0xe9 in position 3",
    ),
    "inside": (
        element(DOCUMENT, "_id", embedded(element(STRING, "name", LATIN))),
        "the _id .* has a field 'name' that is not valid UTF-8: byte 0xe9 in position 3",
    ),
    "in a name": (
        element(DOCUMENT, "_id", embedded(element(STRING, b"\xe9", string(b"a")))),
        "the _id .* has a field name that is not valid UTF-8: byte 0xe9 in position 0",
    ),
}


async def with_bad(database, *elements):
    """Twenty good messages, and in their midst one of these elements."""
    collection = await fill(database["messages"], [message(n, n) for n in range(20)])
    await collection.insert_one(raw_message("bad", DAY + timedelta(seconds=7), *elements))
    return collection


@pytest.mark.parametrize("case", BAD_TEXTS)
@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_a_text_that_is_not_utf8_is_one_dead_letter_that_names_the_byte(database, case, order_field):
    """Twenty are written; verification, repair and replay end as well, and the letter stays until mended."""
    bad, says = BAD_TEXTS[case]
    collection = await with_bad(database, bad)
    where = places(collection, settings_with(MANY, order_field=order_field))
    report = await run(Window(), extractor=first_word, **where)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 20, 1)
    [letter] = await database["messages_dead_letters"].find({}).to_list(length=None)
    assert (letter["_id"], letter["kind"]) == ("bad", "invalid_text")
    assert says in letter["message"]
    found = await verify(Window(), **where)
    assert (found.present, found.dead_lettered, found.missing) == (20, 1, 0)
    assert (await repair(Window(), extractor=first_word, **where)).read == 0
    again = await replay(Window(), extractor=first_word, **where)
    assert (again.status, again.read, again.dead_lettered) == (Status.SUCCEEDED, 1, 1)
    await collection.update_one({"_id": "bad"}, {"$set": {"text": "mended"}})
    assert (await replay(Window(), extractor=first_word, **where)).written == 1


async def test_a_text_inside_another_document_is_named_with_its_path(pymongo_database):
    """The path is that of the setting."""
    collection = pymongo_database["messages"]
    await collection.create_index([("created_at", 1), ("_id", 1)])
    await collection.insert_many(
        [{"_id": n, "created_at": DAY, "body": {"text": f"Hello {n}"}} for n in range(20)]
    )
    for id_, bad in ((20, element(STRING, "text", LATIN)), (21, element(BINARY, "text", WRONG_LENGTH))):
        await collection.insert_one(raw_message(id_, DAY, element(DOCUMENT, "body", embedded(bad))))
    where = places(collection, settings_with(MANY, text_field="body.text"))
    report = await run(Window(), extractor=first_word, **where)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, 20, 2)
    letters = pymongo_database["messages_dead_letters"].find({}).sort([("_id", 1)])
    first, second = [letter["message"] for letter in await letters.to_list(length=None)]
    assert first == "field 'body.text' is not valid UTF-8: byte 0xe9 in position 3"
    assert second.startswith("field 'body.text' cannot be decoded")


@pytest.mark.parametrize("case", ELSEWHERE)
async def test_what_is_not_read_disturbs_nothing(pymongo_database, case):
    """A field that is neither key nor text may hold anything, also one that the filter names."""
    good = element(STRING, "text", string(b"good"))
    collection = await with_bad(pymongo_database, good, ELSEWHERE[case])
    settings = settings_with(MANY, filter={"author": {"$ne": "nobody"}, "data": {"$ne": 1}})
    report = await run(Window(), extractor=first_word, **places(collection, settings))
    assert (report.status, report.written) == (Status.SUCCEEDED, 21)
    assert (await verify(Window(), **places(collection, settings))).complete


@pytest.mark.parametrize("case", BAD_IDS)
@pytest.mark.parametrize("order_field", ["created_at", "_id"])
async def test_an_id_that_is_not_utf8_is_named(pymongo_database, case, order_field):
    """No query can name the document, so a run and a verification end with one line that does."""
    bad, says = BAD_IDS[case]
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(20)])
    fields = (
        element(STRING, "text", string(b"bad")),
        element(9, "created_at", struct.pack("<q", 1577836801000)),
    )
    await collection.insert_one(raw(bad, *fields))
    where = places(collection, settings_with(MANY, order_field=order_field))
    try:
        problems = (await run(Window(), extractor=first_word, **where)).problems
    except SourceError as error:
        problems = [str(error)]
    with pytest.raises(SourceError, match=says) as raised:
        await verify(Window(), **where)
    assert "\n" not in str(raised.value)
    assert str(raised.value) in "; ".join(problems)
    without = settings_with(MANY, order_field=order_field, run_id="w", filter={"text": {"$ne": "bad"}})
    assert (await run(Window(), extractor=first_word, **places(collection, without))).written == 20


async def test_an_order_value_that_is_not_utf8_is_named(pymongo_database):
    """Reading cannot go on after a key that no query can name."""
    collection = pymongo_database["messages"]
    await collection.create_index([("at", 1), ("_id", 1)])
    await collection.insert_many([{"_id": n, "at": f"2020-{n:02}", "text": "a"} for n in range(20)])
    await collection.insert_one(raw(element(STRING, "at", string(b"2020-07\xe9")), _id="bad", text="a"))
    settings = settings_with(MANY, order_field="at", order_type="string")
    says = "at of the document 'bad' is not valid UTF-8: byte 0xe9 in position 7"
    with pytest.raises(SourceError, match=says):
        await verify(Window(), **places(collection, settings))
    report = await run(Window(), extractor=first_word, **places(collection, settings))
    assert says in "; ".join(report.problems)


async def test_strings_outside_the_window_are_counted_whatever_their_bytes(pymongo_database):
    """The order is of dates: a string in its place is counted, and nothing else."""
    collection = await fill(pymongo_database["messages"], [message(n, n) for n in range(20)])
    await collection.insert_one(raw(element(STRING, "created_at", LATIN), _id="bad", text="a"))
    plan = await plan_ranges(collection, Window(), MANY)
    assert (plan.documents, plan.outside) == (20, {"string": 1})


@pytest.mark.parametrize(
    ("handler", "text"), [("replace", "caf\ufffd"), ("ignore", "caf"), ("backslashreplace", r"caf\xe9")]
)
async def test_trap_46_the_choice_of_the_client_is_kept(pymongo_database, mongod_uri, handler, text):
    """A client with a handler of its own decodes the text by it, and the text is sent."""
    await with_bad(pymongo_database, element(STRING, "text", string(b"caf\xe9")))
    service = Recorder()
    async with AsyncMongoClient(mongod_uri) as client:
        codec = CodecOptions(unicode_decode_error_handler=handler)
        collection = client[pymongo_database.name].get_collection("messages", codec)
        report = await run(Window(), extractor=service, **places(collection, MANY))
        assert (report.written, report.dead_lettered, text in service.texts) == (21, 0, True)
        bad = raw(element(STRING, "_id", string(b"caf\xe9")), created_at=DAY, text="a")
        await pymongo_database["messages"].insert_one(bad)
        with pytest.raises(SourceError, match="the _id 'caf.* is not valid UTF-8"):
            await verify(Window(), **places(collection, MANY))


async def test_what_others_have_stored_is_read_whatever_its_bytes(pymongo_database):
    """Results, letters, checkpoints and plans with such strings stop neither a run nor what follows it."""
    collection = await with_bad(pymongo_database, element(STRING, "text", LATIN))
    await run(Window(), extractor=first_word, **places(collection, MANY))
    latin = {"$set": raw(element(STRING, "message", LATIN), element(STRING, "problem", LATIN))}
    for name in ("messages_dead_letters", "messages_entities", "engine_checkpoints", "engine_plans"):
        await pymongo_database[name].update_many({}, latin)
    changed = raw(element(STRING, "extractor", LATIN), element(STRING, "text_hash", LATIN))
    await pymongo_database["messages_entities"].update_one({"_id": 3}, {"$set": changed})
    assert (await verify(Window(), **places(collection, MANY))).complete
    assert (await replay(Window(), extractor=first_word, **places(collection, MANY))).dead_lettered == 1
    other = settings_with(MANY, run_id="other")
    report = await run(Window(), extractor=first_word, **places(collection, other))
    assert (report.status, report.written, report.unchanged) == (Status.SUCCEEDED, 1, 19)


async def test_a_reply_that_quotes_such_a_string_is_one_line_with_its_code(database):
    """The server quotes the value that it cannot convert; the error is the server's and not a decoder's."""
    collection = await with_bad(database, element(STRING, "text", LATIN))
    settings = Settings(filter={"$expr": {"$eq": [{"$toInt": "$text"}, 1]}})
    with pytest.raises(SourceError, match="code 241, ConversionFailure") as raised:
        await plan_ranges(collection, Window(), settings)
    assert raised.value.code == 241
