"""The HTML report of a run: it tells the truth, loads nothing, and nothing can be slipped into it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Key, KeyRange, Plan, Report, Status
from engine.model import QueryForm
from engine.observing.timeline import Sample, Timeline
from engine.report import merge
from engine.reporting.charts import steps_path, ticks, time_ticks
from engine.reporting.findings import Findings, Letter, Letters, TopEntities
from engine.reporting.markup import foreign, tag
from engine.reporting.page import render
from engine.wording import duration, number, share

START = datetime(2026, 1, 1, tzinfo=UTC)
VOID = {"meta", "br"}


class Parsed(HTMLParser):
    """What a browser would make of a report.

    Attributes:
        tags: how often each element comes.
        words: all text that is no style.
        attributes: of all elements, as (element, name, value).
    """

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.words, self.attributes = [], {}, [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, name, attributes):
        """Counted, and open unless it needs no end."""
        self.tags[name] = self.tags.get(name, 0) + 1
        self.attributes += [(name, *pair) for pair in attributes]
        if name not in VOID:
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        """Shapes close themselves."""
        self.handle_starttag(name, attributes)
        self.open.pop()

    def handle_endtag(self, name):
        """Elements end in the order of a tree."""
        assert self.open.pop() == name

    def handle_data(self, data):
        """Text."""
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self):
        """All of it, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self.words))


def range_of(number, status=Status.SUCCEEDED, read=100, **more):
    """The report of a range that took two seconds for each of its number, and one."""
    counts = {"written": read - 2, "unchanged": 1, "dead_lettered": 1} | more
    began = {"started_at": START, "finished_at": START + timedelta(seconds=2 * number + 1)}
    return Report("run-1", status, f"{number:04d}", 100, read, active_s=2.0 * number + 1, **began, **counts)


def plan_of(count, **changed):
    """A plan of so many ranges."""
    keys = [Key((START + timedelta(hours=n), n)) for n in range(count + 1)]
    ranges = tuple(KeyRange(keys[n], keys[n + 1], f"{n:04d}", "run-1", 100) for n in range(count))
    parameters = {"start": "2026-01-01", "end": "None", "filter": "{}", "extractor": "ner@1"}
    fields = {"run_id": "run-1", "namespace": "chat.messages", "order": ("created_at", "_id")}
    fields |= {"parameters": parameters, "ranges": ranges, "documents": 100 * count, "outside": {}}
    return Plan(**{**fields, "form": QueryForm.INDEX_BOUNDS, "index": "created_at_1__id_1", **changed})


def findings(*reports, planned=None, allowed=9, **more):
    """Those of a run of these ranges."""
    plan = plan_of(len(reports) if planned is None else planned)
    ids = [r.range_id for r in plan.ranges]
    report = merge("run-1", ids, reports, expected=plan.documents, max_dead_letters=allowed)
    return Findings(report, plan, START, **more)


def html_of(*reports, **more):
    """The report about them, parsed."""
    return Parsed(render(findings(*reports, **more)))


VERDICTS = {
    "good": (
        [range_of(0), range_of(1)],
        {},
        ["Reconciled: nothing was lost", "Every planned range reported (2)"],
    ),
    "lost range": ([range_of(0)], {"planned": 2}, ["Not reconciled", "1 of 2 ranges did not report: 0001"]),
    "lost document": (
        [range_of(0, written=90)],
        {},
        ["Not reconciled", "8 documents are unaccounted for", "≠"],
    ),
    "failed": (
        [range_of(0), range_of(1, Status.FAILED, 40, problems=("the disk is full",), reason="WriteError")],
        {},
        ["Not reconciled", "the disk is full", "WriteError", "1 of 2 ranges succeeded"],
    ),
    "interrupted": (
        [range_of(0, Status.INTERRUPTED, 40, problems=("cancelled",))],
        {},
        ["Interrupted: not reconciled yet", "goes on from its checkpoints", "40 of 100 planned documents"],
    ),
    "dead letters": (
        [range_of(0), range_of(1)],
        {"allowed": 1},
        ["Reconciled, and failed", "max_dead_letters allows 1"],
    ),
    "running": ([range_of(0), range_of(1, Status.RUNNING, 40)], {}, ["Not finished yet", "(70%)"]),
    "empty": ([], {}, ["Reconciled: nothing was lost", "The window holds no documents"]),
    "grown": ([range_of(0, read=130)], {}, ["Reconciled", "range 0000 read 30 more than planned"]),
}


@pytest.mark.parametrize(("reports", "more", "said"), VERDICTS.values(), ids=VERDICTS)
def test_the_verdict_says_whether_the_run_reconciles_and_why(reports, more, said):
    """In words, at the top; and never the other verdict."""
    text = html_of(*reports, **more).text
    assert [words for words in said if words not in text] == []
    assert ("Not reconciled" in text) == (said[0] == "Not reconciled")


def test_the_totals_are_those_of_the_report():
    """Read = written + unchanged + dead-lettered, with the numbers."""
    text = html_of(*(range_of(n) for n in range(12))).text
    assert "Read 1,200 = Written 1,176 + Unchanged 12 + Dead-lettered 12" in text


def test_retries_are_told_by_class():
    """What is neither throttled nor refused was transient."""
    report = range_of(0, requests=100, retries=20, throttled=7, refused=1)
    text = html_of(report).text
    assert "20 of 100 requests were repeats (20%)" in text
    counts = re.findall(r"(Throttled|Transient|Refused)\D+(\d+)", text[text.index("Retries by class") :])
    assert counts[:3] == [("Throttled", "7"), ("Transient", "12"), ("Refused", "1")]


def test_the_slowest_ranges_come_first():
    """Ten of them; where there are no more than ten, the table of all will do."""
    html = render(findings(*(range_of(n) for n in range(12))))
    slowest = html[html.index("Slowest ranges") : html.index("Retries by class")]
    rows = re.findall(r'<th scope="row"[^>]*><bdi>(\d+)', slowest)
    assert rows == [f"{n:04d}" for n in range(11, 1, -1)]
    assert "Slowest ranges" not in render(findings(range_of(0), range_of(1)))


def test_two_hundred_ranges_are_all_there():
    """A pair of columns and a row for each, in a report of some hundred kilobytes."""
    html = render(findings(*(range_of(n) for n in range(200)), allowed=999))
    assert html.count("<g class=") == 200
    assert len(re.findall(r"<bdi>0\d\d\d</bdi>", html)) == 210
    assert len(html.encode()) < 300_000


def test_ranges_that_did_not_succeed_are_named_below_their_columns():
    """Colour alone tells nobody; a range that was lost has a place too."""
    parsed = html_of(range_of(0, Status.FAILED), range_of(1), range_of(2, Status.INTERRUPTED), planned=4)
    assert "0000 ✕ failed 0002 ‖ interrupted 0003 ? missing" in parsed.text
    titles = [words for words in parsed.words if "did not report" in words and "·" in words]
    assert titles == ["0003 · 2026-01-01 03:00 .. 04:00: did not report"]


def test_the_course_is_drawn_where_there_are_samples():
    """Mean and most are told in words; without samples, that is said."""
    line = Timeline().begun(START, 0).seen(Sample(START + timedelta(seconds=10), 100, 4.0, 8.0))
    text = html_of(range_of(0), timelines={"0000": line}).text
    assert "Documents a second 10 in the mean, 10 at most" in text
    assert "Requests in flight 4 in the mean, 4 at most; dashed: the limit" in text
    assert "No samples were kept" in html_of(range_of(0)).text


def test_dead_letters_are_counted_by_class_and_the_first_listed():
    """With how many have succeeded since; a letter has no text and no message to show."""
    first = Letter('{"$oid": "5b"}', "permanent", 422, 3, "0000", START, resolved=True)
    text = html_of(range_of(0), letters=Letters({"permanent": 7, "transient": 2}, 1, (first,))).text
    assert "1 of them have succeeded since. The first 1 of 9, by _id:" in text
    assert "7 permanent 2 transient" in text
    assert '{"$oid": "5b"} permanent resolved since 422 3 0000 2026-01-01 00:00:00 UTC' in text


def test_entities_are_there_only_if_they_were_looked_up():
    """They are parts of texts; a sample says that it is one."""
    top = TopEntities((("GPE", "Paris", 1234), ("ORG", "NASA", 5)), 50, 100)
    text = html_of(range_of(0), entities=top).text
    assert "A sample: the 50 documents written last, of 100. " in text
    assert "Paris GPE 1,234 NASA ORG 5" in text
    without = html_of(range_of(0)).text
    assert "entities" not in without.lower()
    assert "Holds no part of any text." in without


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


def hostile_findings(words):
    """A run in which everything that somebody else could have written is this."""
    letter = Letter(words, words, 500, 1, words, START)
    report = range_of(0, Status.FAILED, 40, problems=(words,), reason=words, outside={words: 1})
    report = replace(report, range_id=words, run_id=words)
    key = Key((words, words))
    plan = plan_of(0, run_id=words, namespace=words, outside={words: 1}, strategy=words)
    plan = replace(plan, ranges=(KeyRange(key, key, words, words, 1),))
    plan = replace(plan, parameters=dict.fromkeys((*plan.parameters, "order", "text_field"), words))
    run = merge(words, [words], [report], expected=1, max_dead_letters=0, outside={words: 1})
    entities = TopEntities(((words, words, 3),), 1, 2, words)
    line = Timeline().begun(START, 0).seen(Sample(START + timedelta(seconds=10), 100, 4.0, 8.0))
    return Findings(run, plan, START, {words: line}, Letters({words: 2}, 0, (letter,), words), entities)


def shape_of(found):
    """Elements and names of attributes of its report: what texts must not change."""
    parsed = Parsed(render(found))
    return parsed.tags, [(name, attribute) for name, attribute, _ in parsed.attributes]


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_stay_texts(words):
    """Whatever an id, a label, an entity or a message is, the report has the same elements and attributes."""
    assert shape_of(hostile_findings(words)) == shape_of(hostile_findings("harmless"))
    render(hostile_findings(words)).encode("utf-8")


@given(st.text(min_size=1, max_size=40))
def test_any_text_stays_a_text(words):
    """In an element and in an attribute it is read back as it was, but for what cannot be seen."""
    parsed = Parsed(tag("p", words, title=words))
    visible = "".join(c if c.isprintable() or c in "\u200c\u200d" else repr(c)[1:-1] for c in words)
    assert "".join(parsed.words) == visible
    assert parsed.attributes == [("p", "title", visible)]


def test_what_somebody_else_wrote_is_cut_short():
    """One `_id` or entity of a megabyte is no reason for a report of one."""
    assert foreign("x" * 200, 5) == "<bdi>xxxxx…</bdi>"
    assert foreign("xxxxx", 5) == "<bdi>xxxxx</bdi>"
    long, short = "y" * 100_000, hostile_findings("harmless")
    letters = Letters({long: 2}, 0, (Letter(long, long, 500, 1, long, START),), long)
    entities = TopEntities(((long, long, 3),), 1, 2, long)
    assert len(render(replace(short, letters=letters, entities=entities))) < 50_000


def test_what_turns_the_direction_of_writing_is_written_out():
    """Else an entity could rewrite the line it stands in; emojis and scripts that join stay as they are."""
    assert tag("b", "a\u202eb\n") == "<b>a\\u202eb\\n</b>"
    assert tag("b", "👩\u200d🔬 عائشة") == "<b>👩\u200d🔬 عائشة</b>"


def test_the_page_needs_nothing_else():
    """No script, no address, no import; and its policy lets none in."""
    html = render(hostile_findings("harmless"))
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
    """Each image has a role and a label; each table a caption, a scope for its heads."""
    parsed = Parsed(render(hostile_findings("harmless")))
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


@given(st.floats(1e-3, 1e9))
def test_axes_end_at_or_above_the_most(most):
    """In few round steps from nothing."""
    marks = ticks(most)
    assert marks[0] == 0
    assert marks[-1] >= most * (1 - 1e-9)
    assert 2 <= len(marks) <= 6
    assert len(time_ticks(most)) <= 7 or most > 140 * 86_400


def test_steps_are_drawn_from_left_to_right():
    """One for each value, down to the ground where they are filled."""
    assert steps_path([0, 5, 10], 10, filled=False) == "M0 200.0V200.0H333.3V100.0H666.7V0.0H1000.0"
    assert steps_path([10], 10, filled=True) == "M0 200V0.0H1000.0V200Z"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (4.26, "4.3 s"), (95, "95 s"), (725, "12 min 5 s"), (3599.7, "1 h"), (11_045, "3 h 4 min")],
)
def test_durations_as_people_say_them(seconds, said):
    """Two units at most."""
    assert duration(seconds) == said


def test_numbers_and_shares_as_people_say_them():
    """What is more than nothing is never nothing, what is less than all never all."""
    assert [number(n) for n in (0, 0.25, 9.0, 12345.6)] == ["0", "0.2", "9", "12,346"]
    assert [share(n, 10_000) for n in (0, 1, 50, 9_999, 10_000)] == [
        "0%",
        "under 0.1%",
        "0.5%",
        "over 99.9%",
        "100%",
    ]
    assert share(3, 0) == "0%"
