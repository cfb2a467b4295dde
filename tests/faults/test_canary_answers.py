"""Services that change what they get, or answer in a wrong way, are found out by the canary."""

from __future__ import annotations

import re
from unicodedata import normalize
from urllib.parse import unquote

import pytest

from engine import Status
from engine.extractors.canary import CANARY_TRIES
from engine.extractors.offsets import CANARY_TEXTS, PROBE_TEXT
from tests.support.misbehaviour import answering, changed_entity, entities_of, status
from tests.support.ner_service import hugging_face_entities, presidio_entities

pytestmark = pytest.mark.asyncio

DOCUMENTS = 40
CHANGES = {
    "trims": str.strip,
    "trims the left": str.lstrip,
    "composes": lambda text: normalize("NFC", text),
    "composes compatibly": lambda text: normalize("NFKC", text).strip(),
    "decodes percents": unquote,
    "collapses blanks": lambda text: re.sub(r"\s+", " ", text),
    "drops emoji": lambda text: re.sub("[\U0001f300-\U0001ffff]", "", text),
    "drops accents": lambda text: re.sub("[\u0300-\u036f]", "", normalize("NFD", text)),
    "is ASCII": lambda text: text.encode("ascii", "ignore").decode(),
    "joins lines": lambda text: text.replace("\r", "").replace("\n", ""),
    "escapes": lambda text: text.replace("%", "&#37;"),
}
FORMATS = {
    "native": lambda found: found,
    "presidio": presidio_entities,
    "huggingface": hugging_face_entities,
}


def changing(change, shape, *, reverse=False):
    """A fault that extracts from changed texts, or answers them in reverse order, in this format."""

    async def fault(request, texts):
        results = [FORMATS[shape](entities_of(change(text))) for text in texts]
        results = results[::-1] if reverse else results
        body = {"results": results} if shape == "native" else results if len(texts) > 1 else results[0]
        return await status(200, body)(request, texts)

    return fault


def sent_nothing(work):
    """Whether the service has received nothing but texts of the engine's own."""
    return set(work.service.received) <= {*CANARY_TEXTS, PROBE_TEXT}


@pytest.mark.parametrize("shape", FORMATS)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_trap_52_a_service_that_changes_its_input_gets_no_document(work, change, shape):
    """Whether its format gives the texts of entities or not."""
    await work.fill(DOCUMENTS)
    work.service.down = changing(change, shape)

    report = await work.run(canary=True, format=shape)

    assert (report.status, report.read, report.dead_lettered) == (Status.FAILED, 0, 0)
    assert sent_nothing(work)


async def test_trap_52_the_problem_says_what_the_service_does(work):
    """It has the direction and the number of characters."""
    await work.fill(DOCUMENTS)
    work.service.down = changing(str.strip, "presidio")
    report = await work.run(canary=True, format="presidio")
    assert "offsets are 4 characters too low: it trims, normalises or decodes" in report.problems[0]


@pytest.mark.parametrize("shape", ["presidio", "huggingface"])
async def test_trap_52_a_batch_answered_in_another_order_is_found_out(work, shape):
    """Two texts of the canary go in one request, with names at other places."""
    await work.fill(DOCUMENTS)
    work.service.down = changing(str, shape, reverse=True)
    report = await work.run(canary=True, format=shape)
    assert (report.status, report.read, report.dead_lettered) == (Status.FAILED, 0, 0)
    assert "answers a batch of texts in another order" in report.problems[0]
    assert sent_nothing(work)


async def test_trap_52_another_order_needs_no_canary_where_texts_are_given(work):
    """The text of each entity is compared: what is stored is right, or is not stored."""
    await work.fill(DOCUMENTS)
    work.service.down = changing(str, "huggingface", reverse=True)
    report = await work.run(format="huggingface", max_dead_letters=DOCUMENTS)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


@pytest.mark.parametrize("shape", ["presidio", "huggingface"])
async def test_a_healthy_service_passes(work, shape):
    """Its texts may be in another case."""
    await work.fill(DOCUMENTS)
    report = await work.run(canary=True, format=shape)
    assert (report.status, report.written) == (Status.SUCCEEDED, DOCUMENTS)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


WRONG = {
    "null offsets": changed_entity(start=None, end=None),
    "offsets that are texts": changed_entity(start="0", end="2"),
    "an offset beyond the text": changed_entity(end=10_000),
    "an end before its start": changed_entity(start=9, end=8),
    "no label": changed_entity(label=None),
    "a label that is a list": changed_entity(label=["PER"]),
    "a score that is a text": changed_entity(score="high"),
    "another text": changed_entity(text="somebody else"),
    "entities by name": answering(lambda texts: [{"PER": ["Ann"]} for _ in texts]),
    "no result": answering(lambda _texts: []),
    "nonsense": answering(lambda _texts: "fine"),
    "nothing": answering(lambda _texts: None),
    "another format": status(200, [[{"entity_group": "PER", "start": 0, "end": 2}]]),
}


@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_answer_to_the_canary_ends_the_run_before_any_document(work, fault):
    """It is checked as any other answer is; no document is sent, and none is blamed."""
    await work.fill(DOCUMENTS)
    work.service.down = fault

    report = await work.run(canary=True, range_documents=10)

    assert (report.status, report.read, report.dead_lettered) == (Status.FAILED, 0, 0)
    assert "the service's answer to a known text is wrong" in report.problems[0]
    assert "'native'" in report.problems[0]
    assert sent_nothing(work)
    assert len(work.service.calls) <= 2 * CANARY_TRIES
    assert await work.dead_letters() == {}


@pytest.mark.parametrize("fault", WRONG.values(), ids=WRONG.keys())
async def test_trap_40_one_wrong_answer_to_the_canary_may_be_chance(work, fault):
    """It is asked again, and a right answer counts."""
    await work.fill(DOCUMENTS)
    work.service.script.append(fault)

    report = await work.run(canary=True)

    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS, 0)
    assert await work.stored() == work.fault_free(range(DOCUMENTS))


@pytest.mark.parametrize("name", ["null offsets", "no label", "an offset beyond the text", "another text"])
async def test_without_a_canary_a_probe_with_entities_shows_a_wrong_shape(work, name):
    """Documents without entities pass first; the service is still not shown to work by one of these."""
    await work.source.insert_many(
        [{"_id": n, "created_at": n, "text": f"nothing here {n}" if n < 20 else f"Ada{n}"} for n in range(40)]
    )
    await work.source.create_index([("created_at", 1), ("_id", 1)])
    work.service.down = WRONG[name]

    report = await work.run(order_type="number", max_outage_s=0.05, max_concurrency=1)

    assert (report.status, report.dead_lettered) == (Status.INTERRUPTED, 0)
    assert await work.dead_letters() == {}
    assert work.service.received[PROBE_TEXT] > 0


async def test_a_wrong_answer_is_blamed_on_its_text_if_others_with_entities_pass(work, text_of):
    """The probe is one of these."""
    await work.fill(DOCUMENTS)
    work.service.poison = {text_of(30): WRONG["null offsets"]}
    report = await work.run(max_dead_letters=1, max_concurrency=1)
    assert (report.status, report.written, report.dead_lettered) == (Status.SUCCEEDED, DOCUMENTS - 1, 1)
    assert work.service.received[PROBE_TEXT] == 0


async def test_a_probe_text_that_is_refused_proves_nothing(work):
    """Then a text that has passed shows whether the service works."""
    await work.source.insert_many(
        [{"_id": n, "created_at": n, "text": f"nichts {n}" if n < 39 else f"Ada{n}"} for n in range(40)]
    )
    await work.source.create_index([("created_at", 1), ("_id", 1)])
    work.service.poison = {"Ada39": WRONG["null offsets"], PROBE_TEXT: status(422)}
    report = await work.run(order_type="number", max_dead_letters=1, max_concurrency=1)
    assert (report.status, report.dead_lettered) == (Status.SUCCEEDED, 1)
