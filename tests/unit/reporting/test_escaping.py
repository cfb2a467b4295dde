"""Untrusted text stays text on the page, and the page loads nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Key, KeyRange, Status
from engine.observing.timeline import Sample, Timeline
from engine.report import merge
from engine.reporting.escaping import untrusted
from engine.reporting.page import environment, render
from engine.reporting.report_data import DeadLetterRow, DeadLetters, ReportData, TopEntities
from tests.support.report_pages import START, Parsed, plan_of, range_of

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "'><svg/onload=alert(1)>",
    "&lt;b&gt;&amp;",
    "]]><!--",
    "javascript:alert(1)",
    "\x00\x1b[31m\u202ereversed\ud800",
    "x" * 10_000,
]


def hostile_data(words):
    """The data of a run in which every untrusted text is this one."""
    letter = DeadLetterRow(words, words, 500, 1, words, START)
    report = range_of(0, Status.FAILED, 40, problems=(words,), reason=words)
    report = replace(report, range_id=words, run_id=words)
    key = Key((words, words))
    plan = plan_of(0, run_id=words, namespace=words, outside={words: 1}, strategy=words)
    plan = replace(plan, ranges=(KeyRange(key, key, words, words, 1),))
    plan = replace(plan, parameters=dict.fromkeys((*plan.parameters, "order", "text_field"), words))
    run = merge(words, [words], [report], expected=1, max_dead_letters=0, outside={words: 1})
    entities = TopEntities(((words, words, 3),), 1, 2, words)
    line = Timeline().with_start(START, 0).with_sample(Sample(START + timedelta(seconds=10), 100, 4.0, 8.0))
    return ReportData(run, plan, START, {words: line}, DeadLetters({words: 2}, 0, (letter,), words), entities)


def rendered(template, words):
    """A template with these words, rendered as those of the report are."""
    return environment().from_string(template).render(words=words)


def shape_of(found):
    """The elements and attribute names of the report, which texts must not change."""
    parsed = Parsed(render(found))
    return parsed.tags, [(name, attribute) for name, attribute, _ in parsed.attributes]


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(words):
    """Whatever an id, label, entity or message contains, the report has the same elements and attributes."""
    assert shape_of(hostile_data(words)) == shape_of(hostile_data("harmless"))
    render(hostile_data(words)).encode("utf-8")


@given(st.text(min_size=1, max_size=40))
def test_any_text_stays_a_text(words):
    """Elements and attributes give it back unchanged, except that invisible characters are escaped."""
    parsed = Parsed(rendered('<p title="{{ words }}">{{ words }}</p>', words))
    visible = "".join(c if c.isprintable() or c in "\u200c\u200d" else repr(c)[1:-1] for c in words)
    assert "".join(parsed.words) == visible
    assert parsed.attributes == [("p", "title", visible)]


def test_what_somebody_else_wrote_is_cut_short():
    """An `_id` or an entity of a megabyte must not make a report of a megabyte."""
    assert untrusted("x" * 200, 5) == "<bdi>xxxxx…</bdi>"
    assert untrusted("xxxxx", 5) == "<bdi>xxxxx</bdi>"
    long, short = "y" * 100_000, hostile_data("harmless")
    letters = DeadLetters({long: 2}, 0, (DeadLetterRow(long, long, 500, 1, long, START),), long)
    entities = TopEntities(((long, long, 3),), 1, 2, long)
    assert len(render(replace(short, letters=letters, entities=entities))) < 50_000


def test_what_turns_the_direction_of_writing_is_written_out():
    """Otherwise an entity could change the look of its line; emojis and joined scripts stay as they are."""
    assert rendered("<b>{{ words }}</b>", "a\u202eb\n") == "<b>a\\u202eb\\n</b>"
    assert rendered("<b>{{ words }}</b>", "👩\u200d🔬 عائشة") == "<b>👩\u200d🔬 عائشة</b>"


def test_the_page_needs_nothing_else():
    """It has no script, address or import, and its content security policy allows none."""
    html = render(hostile_data("harmless"))
    parsed = Parsed(html)
    assert {"script", "link", "img", "iframe", "object", "a", "form", "base"} & set(parsed.tags) == set()
    assert {name for _, name, _ in parsed.attributes} & {
        "src",
        "href",
        "action",
        "srcset",
        "xlink:href",
    } == set()
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html
    assert "default-src 'none'" in next(value for _, name, value in parsed.attributes if name == "content")


def test_charts_say_in_words_what_they_show():
    """Each image has a role and a label, each table a caption, and each heading cell a scope."""
    parsed = Parsed(render(hostile_data("harmless")))
    images = [value for name, attribute, value in parsed.attributes if (name, attribute) == ("svg", "role")]
    labels = [
        value for name, attribute, value in parsed.attributes if (name, attribute) == ("svg", "aria-label")
    ]
    assert images == ["img"] * 3
    assert len(labels) == 3
    assert parsed.tags["caption"] == parsed.tags["table"]
    heads = [a for name, a, _ in parsed.attributes if name == "th" and a == "scope"]
    assert len(heads) == parsed.tags["th"]
    assert ("html", "lang", "en") in parsed.attributes
