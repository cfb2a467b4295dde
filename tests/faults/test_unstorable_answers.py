"""What a service or a function gives and cannot be stored costs its own document, and nothing else."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from engine import Entity, ExtractionError, JsonLinesWriter, Status, Window, run
from tests.support.misbehaviour import answering, entities_of, status
from tests.support.settings import settings_with
from tests.support.work import text_of as text_of_document

pytestmark = pytest.mark.asyncio

DOCUMENTS, BAD = 40, 7
CANNOT = "what the service gave cannot be stored: "


def raw(body, code=200):
    """A fault that answers with these bytes."""

    async def fault(_request, _texts):
        return web.Response(body=body, status=code, content_type="application/json")

    return fault


def entity(**changes):
    """A fault that answers rightly, except that the first entity of the bad text has these values."""
    return one(lambda found: [{**found[0], **changes}, *found[1:]])


def one(change):
    """A fault that answers rightly, except for the entities of the bad text."""
    bad = text_of_document(BAD)
    return answering(lambda texts: [(change if t == bad else list)(entities_of(t)) for t in texts])


UNSTORABLE = {
    "an integer of 64 bits": (entity(score=2**63), CANNOT + "the score is an integer of more than 64"),
    "an integer of 400 digits": (entity(score=10**400), CANNOT + "the score is an integer"),
    "half a pair in a label": (entity(label="PER\ud83d"), CANNOT + "it holds a string that UTF-8"),
    "the other half": (entity(label="\udc00"), CANNOT + "it holds a string that UTF-8"),
    "a label of 17 MB": (entity(label="L" * (17 << 20)), CANNOT + "it has 17,8"),
    "300,000 entities": (one(lambda found: found[:1] * 300_000), CANNOT + "it has "),
    "a float beyond all floats": (
        raw(b'{"results": [[{"start": 0, "end": 0, "label": "A", "text": "", "score": 1e999}]]}'),
        "the score must be a finite number, got inf",
    ),
    "a number that is none": (entity(score=float("nan")), "the score must be a finite number, got nan"),
    "an offset of 64 bits": (entity(end=2**63), "..(more than 64 bits) are outside"),
    "a label that is a number": (entity(label=5), "the label must be a string, got int"),
    "a label that is a list": (entity(label=["A"]), "the label must be a string, got list"),
    "lists in lists": (raw(b'{"results": ' + b"[" * 100_000), "is not JSON"),
    "lists in lists that end": (raw(b"[" * 100_000 + b"]" * 100_000), "is not JSON"),
    "half a pair in a refusal": (
        status(422, {"error": "bad \ud83d here"}),
        r"HTTP 422: {\"error\": \"bad \ud83d",
    ),
    "bytes that are no text": (raw(b"\xff\x00\x1b[31m\r\n", 400), r"HTTP 400: "),
    "a refusal of 3 MB": (status(413, {"error": "x" * (3 << 20)}), "HTTP 413: "),
}


@pytest.mark.parametrize("case", UNSTORABLE)
async def test_trap_47_one_answer_costs_one_document(work, text_of, case):
    """All others are stored, the letter says why, and a second run ends in the same way."""
    fault, says = UNSTORABLE[case]
    await work.fill(DOCUMENTS)
    work.service.poison = {text_of(BAD): fault}

    report = await work.run()

    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert (report.written, report.dead_lettered) == (DOCUMENTS - 1, 1)
    letter = (await work.dead_letters())[BAD]
    assert says.replace('\\"', '"') in letter["message"]
    assert letter["message"].isprintable()
    assert len(letter["message"]) <= 501
    assert text_of(BAD) not in letter["message"]
    again = await work.run(run_id="again")
    assert (again.unchanged, again.dead_lettered) == (DOCUMENTS - 1, 1)


@pytest.mark.parametrize("case", sorted(set(UNSTORABLE) - {"300,000 entities"}))
async def test_trap_47_json_lines_stay_json_lines(work, text_of, tmp_path, case):
    """Each document has one line, which is JSON, in one of the two files."""
    fault, _ = UNSTORABLE[case]
    await work.fill(DOCUMENTS)
    work.service.poison = {text_of(BAD): fault}
    path = tmp_path / "out.jsonl"

    report = await work.run(writer=JsonLinesWriter(path), max_dead_letters=1)

    assert report.status is Status.SUCCEEDED
    files = [file for file in (path, path.with_suffix(".dead_letters.jsonl")) if file.exists()]
    lines = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(line["_id"] for line in lines) == list(range(DOCUMENTS))


@pytest.mark.parametrize("label", ["A\0B", "A\u2028B", "A\x85B", "\x1b[31mA", "عربى", ""])
async def test_an_odd_label_is_stored_as_it_is(work, text_of, tmp_path, label):
    """MongoDB and JSON can hold every character, apart from halves of pairs; a line stays one line."""
    await work.fill(8)
    work.service.poison = {text_of(BAD): entity(label=label)}
    path = tmp_path / "out.jsonl"
    await work.run()
    await work.run(writer=JsonLinesWriter(path), run_id="lines")
    assert (await work.stored())[BAD][0]["label"] == label
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert next(line for line in lines if line["_id"] == BAD)["entities"][0]["label"] == label


class Unprintable(Exception):
    """An exception without a message, and with a status of its own."""

    status = object()

    def __str__(self):
        raise RuntimeError("no")


class Bad:
    """A function that fails for one text in some way, and finds nothing in the others."""

    def __init__(self, text, result=None, error=None):
        self.text, self.result, self.error = text, result, error

    async def __call__(self, texts):
        """Returns nothing for each text but the bad one."""
        if self.text in texts and self.error is not None:
            raise self.error
        return [self.result if text == self.text else [] for text in texts]


FUNCTIONS = {
    "an integer that Python does not print": {"result": [Entity(0, 10**5000, "A", "m")]},
    "a score that Python does not print": {"result": [Entity(0, 1, "A", "m", 10**5000)]},
    "half a pair": {"result": [Entity(0, 1, "\udfff", "m")]},
    "a message of 20 MB": {"error": ValueError("x" * 20_000_000)},
    "half a pair in a message": {"error": ValueError("\ud83d")},
    "NUL in a message": {"error": ExtractionError("a\0b\nc", status=400)},
    "a status that is none": {"error": Unprintable()},
    "a status of 70 digits": {"error": ExtractionError("no", status=10**70)},
    "brackets that mean colours elsewhere": {"error": ValueError("[/red] [bold]")},
}


@pytest.mark.parametrize("case", FUNCTIONS)
async def test_trap_47_one_result_of_a_function_costs_one_document(work, text_of, case):
    """A function is trusted no more than a service."""
    await work.fill(DOCUMENTS)
    function = Bad(text_of(BAD), **FUNCTIONS[case])
    where = {"source": work.source, "target": work.database, "settings": settings_with(batch_texts=8)}

    report = await run(Window(), extractor=function, **where)

    assert (report.status, report.reconciled) == (Status.FAILED, True)
    assert (report.written, report.dead_lettered) == (DOCUMENTS - 1, 1)
    letter = (await work.dead_letters())[BAD]
    assert letter["message"].isprintable()
    assert letter["status"] in (None, 400)


@pytest.mark.parametrize("message", ["\ud83d", "a\0b", "x" * (17 << 20), "[/red]"])
async def test_an_outage_is_told_whatever_it_says(work, message):
    """The problem is stored with the checkpoint, so that a second run can show it."""
    await work.fill(8)

    async def down(_texts):
        raise ConnectionError(message)

    where = {"source": work.source, "target": work.database}
    quick = settings_with(max_attempts=1, max_outage_s=0.01, retry_base_s=0.005, probe_max_s=0.01)
    report = await run(Window(), extractor=down, settings=quick, **where)
    assert (report.status, report.dead_lettered) == (Status.INTERRUPTED, 0)
    assert "ConnectionError" in report.problems[0]
    assert all(problem.isprintable() and len(problem) < 3000 for problem in report.problems)
    stored = await work.database["engine_checkpoints"].find_one({})
    assert stored["status"] == "interrupted"
