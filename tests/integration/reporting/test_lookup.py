"""The data of a run's HTML report, queried from a real MongoDB."""

from __future__ import annotations

import pytest
from bson import ObjectId

from engine import Settings, Window, load_plan, report_html, run
from engine.reporting import lookup
from tests.support.samples import fill, first_word, message
from tests.support.settings import settings_with

pytestmark = pytest.mark.asyncio

RUN = Settings(run_id="october", range_documents=20, max_dead_letters=99)


async def refuse_bad(texts):
    """Finds the first word; refuses a text that begins with "Bad", and quotes it."""
    if any(text.startswith("Bad") for text in texts):
        raise ValueError(f"cannot take {texts!r}")
    return await first_word(texts)


async def ended(database, documents, settings=RUN, extractor=refuse_bad):
    """Runs over these documents; returns the report."""
    source = await fill(database["messages"], documents)
    report = await run(Window(), source=source, extractor=extractor, target=database, settings=settings)
    return report, await html_of(database, report, settings)


async def html_of(database, report, settings=RUN):
    """The HTML report of a run."""
    plan = await load_plan(report.run_id, database, settings)
    return await report_html(plan, report, database, settings)


async def test_a_page_has_what_the_run_left(database):
    """With both drivers it has totals, ranges, entities and dead letters."""
    documents = [message(n, n, f"{'Anna' if n % 3 else 'Bob'} wrote {n}") for n in range(50)]
    bad = [message(ObjectId(f"{n:024x}"), 60 + n, "Bad secret words") for n in range(3)]
    report, html = await ended(database, documents + bad)

    assert (report.read, report.dead_lettered, report.reconciled) == (53, 3, True)
    assert "Reconciled: nothing was lost" in html
    assert "<h1><bdi>" in html
    assert "<dd>53</dd>" in html
    assert html.count("<g class=") == 3
    assert "In all 50 documents that this run wrote." in html
    assert html.index("<bdi>Anna</bdi>") < html.index("<bdi>Bob</bdi>")
    assert '<td class="number">33</td>' in html
    assert "<b>3</b> <bdi>permanent</bdi>" in html
    assert "{&quot;$oid&quot;: &quot;000000000000000000000001&quot;}" in html


async def test_no_text_and_no_answer_is_on_the_page(pymongo_database):
    """Neither kept texts nor those the service quotes are queried for the report."""
    documents = [message(n, n, "Anna said confidential things") for n in range(5)]
    settings = RUN.model_copy(update={"keep_failed_text": True})
    _, html = await ended(pymongo_database, [*documents, message(9, 9, "Bad secret words")], settings)
    assert "cannot take" not in html
    assert [word for word in ("secret", "confidential", "things") if word in html] == []


async def test_a_setting_keeps_entities_out(pymongo_database):
    """Entities are parts of texts; with the setting they are not even queried."""
    settings = settings_with(RUN, report_entities=0)
    _, html = await ended(pymongo_database, [message(1, 1, "Anna wrote")], settings)
    assert "Anna" not in html
    assert "Top entities" not in html


async def test_hostile_ids_and_entities_are_shown_as_they_are(pymongo_database):
    """Any `_id` and any entity is shown as text."""
    script = "<script>alert(1)</script>"
    documents = [message(f"{script}{n}", n, f"{'Bad' if n else script} x") for n in range(2)]
    _, html = await ended(pymongo_database, documents)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2


async def test_entities_are_counted_in_what_was_written_last(pymongo_database, monkeypatch):
    """However large the run, at most so many documents are read; the report says that it is a sample."""
    monkeypatch.setattr(lookup, "MOST_COUNTED", 10)
    settings = RUN.model_copy(update={"range_concurrency": 1})
    documents = [message(n, n, f"{'Early' if n < 20 else 'Late'} {n}") for n in range(40)]
    _, html = await ended(pymongo_database, documents, settings)
    assert "A sample: the 10 documents written last, of 40." in html
    assert "Late" in html
    assert "Early" not in html


async def test_what_another_run_wrote_is_not_counted(pymongo_database):
    """Neither entities nor dead letters of an earlier or later run are counted."""
    documents = [message(1, 1, "Anna wrote"), message(2, 2, "Bad"), message(3, 3, "Bad")]
    first, _ = await ended(pymongo_database, documents)
    await pymongo_database["messages"].insert_one(message(0, 0, "Bob wrote"))
    again = RUN.model_copy(update={"run_id": "again"})
    second = await run(
        Window(end="2020-01-01T00:00:03Z"),
        source=pymongo_database["messages"],
        extractor=refuse_bad,
        target=pymongo_database,
        settings=again,
    )
    assert (second.written, second.unchanged, second.dead_lettered) == (1, 1, 1)
    reports = [await html_of(pymongo_database, first), await html_of(pymongo_database, second, again)]
    assert [("Anna" in html, "Bob" in html) for html in reports] == [(True, False), (False, True)]
    assert ["<b>1</b> <bdi>permanent</bdi>" in html for html in reports] == [True, True]


async def test_a_run_that_wrote_nothing_says_so(pymongo_database):
    """All documents were unchanged, so there is nothing to count and nothing is queried."""
    await ended(pymongo_database, [message(1, 1, "Anna wrote")])
    again = RUN.model_copy(update={"run_id": "again"})
    source = pymongo_database["messages"]
    report = await run(Window(), source=source, extractor=first_word, target=pymongo_database, settings=again)
    assert "This run wrote no extractions to the target." in await html_of(pymongo_database, report, again)


async def test_letters_that_were_resolved_since_are_told(pymongo_database):
    """They are marked as resolved, because a report may be made long after its run."""
    report, before = await ended(pymongo_database, [message(n, n, "Bad") for n in range(3)])
    letters = pymongo_database["messages_dead_letters"]
    await letters.update_one({"_id": 1}, {"$currentDate": {"resolved_at": True}})
    assert "have succeeded since" not in before
    assert "1 of them have succeeded since." in await html_of(pymongo_database, report)


async def test_only_the_first_letters_are_listed(pymongo_database):
    """A setting says how many are listed, by `_id`; all are counted."""
    settings = settings_with(RUN, report_dead_letters=2)
    _, html = await ended(pymongo_database, [message(n, n, "Bad") for n in (7, 5, 3, 9)], settings)
    assert "The first 2 of 4, by _id:" in html
    listed = html[html.index("Dead letters, by _id") : html.index("All ranges")]
    assert ["<bdi>3</bdi>" in listed, "<bdi>5</bdi>" in listed, "<bdi>7</bdi>" in listed] == [
        True,
        True,
        False,
    ]


async def test_what_takes_too_long_is_left_out_and_said(pymongo_database, monkeypatch):
    """The HTML report is made all the same, from the numbers of the run's report."""
    report, _ = await ended(pymongo_database, [message(1, 1, "Anna wrote"), message(2, 2, "Bad")])
    monkeypatch.setattr(lookup, "QUERY_S", 0.0)
    html = await html_of(pymongo_database, report)
    assert html.count("so this is incomplete") == 2
    assert "Reconciled: nothing was lost" in html
