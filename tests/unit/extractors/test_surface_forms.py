"""The text that a service gives for an entity is compared with the document, as a tokenizer writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Entity
from engine.errors import WrongAnswer
from engine.extractors import answer_check
from engine.extractors.answer_check import alike, check_answer
from engine.extractors.formats import FORMATS, Format, entities_of

HUGGING_FACE, CORENLP = FORMATS["huggingface"], FORMATS["corenlp"]


def as_group(start, end, word):
    """An answer of the format `huggingface` with one group."""
    return [{"entity_group": "PER", "score": 0.9, "word": word, "start": start, "end": end}]


def as_mention(start, end, word):
    """An answer of the format `corenlp` with one mention."""
    place = {"characterOffsetBegin": start, "characterOffsetEnd": end}
    return {"sentences": [{"entitymentions": [{"text": word, "ner": "PER", **place}]}]}


def read(shape, text, answer):
    """The entities of one text, converted and checked as in the engine."""
    return check_answer([text], entities_of(shape, shape.offsets, [text], answer))[0]


@pytest.mark.parametrize(
    ("surface", "word"),
    [
        ("Enzo", "enzo"),
        ("zo", "##zo"),
        ("Paris", "\u2581Paris"),
        ("New York", "\u2581New\u2581York"),
        (" Paris", "Paris"),
        ("O'Brien", "O ' Brien"),
        ("José", "jose"),
        ("Jose\u0301", "José"),
        ("Straße", "strasse"),
        ("Łódź", "lodz"),
        ("Ærø", "aero"),
        ("İzmir", "izmir"),
        ("①ﬁne", "1fine"),
        ("東京", "東 京"),
        ("서울", "ìĦľìļ\u00b8"),
        ("José", "ĠJosÃ©"),
        ("Zoë 😀", "[UNK]"),
        ("Zoë Đurić", "<unk> Duric"),
        ("Zo\ufffd", "Zo\ufffd"),
        ("Zoë", "Zo\ufffd"),
        ("colour", "color"),
        ("(Paris)", "-LRB- Paris -RRB-"),
        ("“Acme”", "`` Acme ''"),
        ("😀", "😀"),
        ("--", "—"),
        ("Obama's", "Obama"),
    ],
)
def test_trap_52_a_tokenizers_form_of_the_same_text_passes(surface, word):
    """Marks of pieces, blanks, cases, accents, widths, escapes and what the tokenizer does not know."""
    text = f"x {surface} y"
    (found,) = read(HUGGING_FACE, text, as_group(2, 2 + len(surface), word))
    assert found.text == surface


@pytest.mark.parametrize(
    ("text", "start", "end", "word"),
    [
        ("   Hello from Bob", 0, 5, "Hello"),
        ("   Hello from Bob", 11, 14, "Bob"),
        ("Cafe\u0301 Berlin", 5, 11, "Berlin"),
        ("Cafe\u0301 BERLIN", 5, 11, "berlin"),
        ("7%20 Rome", 3, 7, "Rome"),
        ("a\r\nRome", 2, 6, "Rome"),
        ("Hello from Bob", 0, 5, "Warsaw"),
        ("Hello from Bob", 6, 10, "##saw"),
        ("Hello from Bob", 0, 5, "😀"),
        ("    Bob", 0, 3, "Bob"),
        ("😀😀 Li Na", 5, 8, "Li"),
    ],
)
@pytest.mark.parametrize("shape", [HUGGING_FACE, CORENLP], ids=lambda shape: shape.name)
def test_trap_52_another_text_is_a_wrong_answer(shape, text, start, end, word):
    """Of a trimmed, normalised or decoded input, of another unit, and of another text of the batch."""
    units = len(text[:start].encode("utf-16-le")) // 2 - start if shape is CORENLP else 0
    answer = (as_group if shape is HUGGING_FACE else as_mention)(start + units, end + units, word)
    with pytest.raises(WrongAnswer, match="the text of an entity is not that at") as raised:
        read(shape, text, answer)
    assert word not in str(raised.value)


def test_trap_52_joined_tokens_are_compared_as_one():
    """B- and I- tokens give an entity whose text is all of theirs."""
    text = "Enzo Ferrari"
    tokens = [
        {"entity": "B-PER", "score": 0.9, "word": "En", "start": 0, "end": 2, "index": 1},
        {"entity": "I-PER", "score": 0.9, "word": "##zo", "start": 2, "end": 4, "index": 2},
        {"entity": "I-PER", "score": 0.9, "word": "Ferrari", "start": 5, "end": 12, "index": 3},
    ]
    assert read(HUGGING_FACE, text, tokens)[0].text == text
    with pytest.raises(WrongAnswer):
        read(HUGGING_FACE, "   " + text, tokens)


@pytest.mark.parametrize("shape", [HUGGING_FACE, CORENLP], ids=lambda shape: shape.name)
@pytest.mark.parametrize("nothing", [None, ""])
def test_an_entity_without_a_text_is_not_compared(shape, nothing):
    """Then the canary is all there is."""
    answer = (as_group if shape is HUGGING_FACE else as_mention)(0, 3, nothing)
    assert read(shape, "Bob", answer)[0].text == "Bob"


def test_a_format_of_ones_own_is_compared_too():
    """With `surface=False` its text may be written in another way, or be missing."""

    def response(_texts, answer):
        return [[Entity(0, 3, "P", answer)]]

    shape = Format("ours", "/", list, response, surface=False)
    assert read(shape, "Bob is here", "BOB")[0].text == "Bob"
    with pytest.raises(WrongAnswer):
        read(shape, "  Bob is here", "BOB")


@given(st.text(max_size=30), st.text(min_size=1, max_size=20), st.text(max_size=30))
def test_a_text_is_like_itself_in_any_case(before, surface, after):
    """Whatever it is made of, and whatever stands around it."""
    text = before + surface + after
    start, end = len(before), len(before) + len(surface)
    assert alike(surface, text, start, end)
    assert alike(surface.casefold(), text, start, end)
    assert alike(" ".join(surface), text, start, end)


@pytest.mark.parametrize("word", ["a", "c" * 1_000_000, "[UNK]" * 200_000, "A-B " * 300_000])
def test_trap_55_comparing_is_bounded(word, monkeypatch):
    """However long text and answer are, some hundred characters are folded."""
    folded = []
    monkeypatch.setattr(
        answer_check,
        "_folded",
        lambda text, fold=answer_check._folded: folded.append(len(text)) or fold(text),
    )
    alike(word, "ab " * 400_001, 0, 1_200_000)
    assert folded
    assert sum(folded) < 5_000
