"""Each format is tested on answers that its service documents, or that were recorded from it."""

from __future__ import annotations

import json
import re

import pytest

from engine import ConfigError, Entity, ExtractionError, Failure
from engine.extractors.answer_check import check_answer
from engine.extractors.formats import FORMATS, body_of, entities_of, query_of
from engine.extractors.offsets import OffsetUnit, parse_unit
from tests.support.places import DOCS

NATIVE, PRESIDIO, HUGGING_FACE = FORMATS["native"], FORMATS["presidio"], FORMATS["huggingface"]
CORENLP, GLINER, COMPREHEND = FORMATS["corenlp"], FORMATS["gliner"], FORMATS["comprehend"]


def read(shape, texts, answer):
    """The entities of an answer, converted and checked as in the engine."""
    return [list(found) for found in check_answer(texts, entities_of(shape, shape.offsets, texts, answer))]


def test_native():
    """The request has the texts; the answer has one list of entities for each text."""
    assert NATIVE.request(["a", "b"]) == {"texts": ["a", "b"]}
    answer = {"results": [[{"start": 0, "end": 1, "label": "X", "text": "a", "score": 0.5}], []]}
    assert read(NATIVE, ["a", "b"], answer) == [[Entity(0, 1, "X", "a", 0.5)], []]


@pytest.mark.parametrize("nothing", [None, 0, False])
def test_trap_26_no_list_is_not_no_entities(nothing):
    """A service that returns null for a text has failed on it; it has not said that there are no entities."""
    with pytest.raises(ExtractionError, match="not iterable"):
        read(NATIVE, ["a", "b"], {"results": [[], nothing]})


def test_presidio():
    """One text gives a list of results, several a list of lists (recorded from presidio-analyzer 2.2)."""
    one = [{"analysis_explanation": None, "end": 4, "entity_type": "PERSON", "score": 0.85, "start": 0}]
    assert PRESIDIO.request(["Jane"]) == {"text": "Jane", "language": "en"}
    assert read(PRESIDIO, ["Jane"], one) == [[Entity(0, 4, "PERSON", "Jane", 0.85)]]
    assert PRESIDIO.request(["Jane", ""]) == {"text": ["Jane", ""], "language": "en"}
    assert read(PRESIDIO, ["Jane", ""], [one, []]) == [[Entity(0, 4, "PERSON", "Jane", 0.85)], []]


# --- Hugging Face: recorded in tests/pipelines/test_pipelines_token_classification.py of transformers ---

ENZO = "Enzo works at the the UN"
ENZO_GROUPS = [
    {"entity_group": "PER", "score": 0.996, "word": "Enzo", "start": 0, "end": 4},
    {"entity_group": "ORG", "score": 0.999, "word": "UN", "start": 22, "end": 24},
]
ENZO_TOKENS = [
    {"entity": "I-PER", "score": 0.997, "word": "En", "start": 0, "end": 2, "index": 1},
    {"entity": "I-PER", "score": 0.996, "word": "##zo", "start": 2, "end": 4, "index": 2},
    {"entity": "I-ORG", "score": 0.999, "word": "UN", "start": 22, "end": 24, "index": 7},
]
CONSUELO = "Consuelo Araújo Noguera, ministra de cultura del presidente Andrés Pastrana"
CONSUELO_TOKENS = [
    {"entity": "B-PER", "score": 0.999, "word": "Cons", "start": 0, "end": 4, "index": 1},
    {"entity": "B-PER", "score": 0.803, "word": "##uelo", "start": 4, "end": 8, "index": 2},
    {"entity": "I-PER", "score": 0.999, "word": "Ara", "start": 9, "end": 12, "index": 3},
]


def spans(entities):
    """The entities without their scores."""
    return [(e.label, e.text) for e in entities]


def test_hugging_face_groups():
    """`aggregation_strategy` simple gives groups; the entity's text is the document's, not `word`."""
    assert HUGGING_FACE.request([ENZO])["inputs"] == ENZO
    assert HUGGING_FACE.request([ENZO])["parameters"] == {"aggregation_strategy": "simple"}
    expected = [Entity(0, 4, "PER", "Enzo", 0.996), Entity(22, 24, "ORG", "UN", 0.999)]
    assert read(HUGGING_FACE, [ENZO], ENZO_GROUPS) == [expected]
    lowered = [{**group, "word": group["word"].lower()} for group in ENZO_GROUPS]
    assert read(HUGGING_FACE, [ENZO], lowered) == [expected]


def test_hugging_face_batches():
    """Several texts give a list of lists; a list of one is unwrapped by some versions."""
    assert HUGGING_FACE.request([ENZO, "x"])["inputs"] == [ENZO, "x"]
    both = read(HUGGING_FACE, [ENZO, "x"], [ENZO_GROUPS, []])
    assert [spans(entities) for entities in both] == [[("PER", "Enzo"), ("ORG", "UN")], []]
    assert read(HUGGING_FACE, [ENZO], [ENZO_GROUPS]) == read(HUGGING_FACE, [ENZO], ENZO_GROUPS)
    assert read(HUGGING_FACE, ["x"], []) == read(HUGGING_FACE, ["x"], [[]]) == [[]]


def test_hugging_face_tokens_are_put_together():
    """Tokens without aggregation give what the pipeline's own strategies give for the same sentences."""
    (found,) = read(HUGGING_FACE, [ENZO], ENZO_TOKENS)
    assert spans(found) == [("PER", "Enzo"), ("ORG", "UN")]
    assert found[0].score == pytest.approx(0.9965)
    (found,) = read(HUGGING_FACE, [CONSUELO], CONSUELO_TOKENS)
    assert spans(found) == [("PER", "Consuelo Ara")]


def test_hugging_face_neighbours_stay_apart():
    """B- begins a new entity, and so does another label or a token in between."""
    text = "Ann Bob Rome"
    tokens = [
        {"score": 0.9, "word": "Ann", "entity": "B-PER", "start": 0, "end": 3, "index": 1},
        {"score": 0.9, "word": "Bob", "entity": "B-PER", "start": 4, "end": 7, "index": 2},
        {"score": 0.9, "word": "Rome", "entity": "I-LOC", "start": 8, "end": 12, "index": 3},
    ]
    assert spans(read(HUGGING_FACE, [text], tokens)[0]) == [("PER", "Ann"), ("PER", "Bob"), ("LOC", "Rome")]
    apart = [{**tokens[0], "entity": "I-PER"}, {**tokens[2], "entity": "I-PER"}]
    assert spans(read(HUGGING_FACE, [text], apart)[0]) == [("PER", "Ann"), ("PER", "Rome")]


def test_hugging_face_without_offsets_is_refused():
    """Slow tokenizers return no offsets."""
    with pytest.raises(ExtractionError, match="NoneType"):
        read(HUGGING_FACE, [ENZO], [{**ENZO_GROUPS[0], "start": None, "end": None}])


# --- Stanford CoreNLP: recorded in https://github.com/nltk/nltk/issues/2016 ---

OBAMA = "Barack Obama was born in Hawaii.  He is the president. Obama was elected in 2008."
OBAMA_ANSWER = {
    "sentences": [
        {"index": 0, "entitymentions": [], "tokens": []},
        {
            "index": 2,
            "entitymentions": [
                {
                    "docTokenBegin": 12,
                    "docTokenEnd": 13,
                    "tokenBegin": 0,
                    "tokenEnd": 1,
                    "text": "Obama",
                    "characterOffsetBegin": 55,
                    "characterOffsetEnd": 60,
                    "ner": "PERSON",
                },
                {
                    "docTokenBegin": 16,
                    "docTokenEnd": 17,
                    "tokenBegin": 4,
                    "tokenEnd": 5,
                    "text": "2008",
                    "characterOffsetBegin": 76,
                    "characterOffsetEnd": 80,
                    "ner": "DATE",
                    "normalizedNER": "2008",
                    "timex": {"tid": "t1", "type": "DATE", "value": "2008"},
                },
            ],
            "tokens": [],
        },
    ]
}


def mention(begin, end, text=".@MatthewDaddario"):
    """An answer of CoreNLP with one mention."""
    found = {"text": text, "characterOffsetBegin": begin, "characterOffsetEnd": end, "ner": "PERSON"}
    return {"sentences": [{"index": 0, "entitymentions": [found]}]}


def test_corenlp():
    """The mentions of all sentences are read; the text is sent alone and unchanged, in UTF-8."""
    assert read(CORENLP, [OBAMA], OBAMA_ANSWER) == [
        [Entity(55, 60, "PERSON", "Obama"), Entity(76, 80, "DATE", "2008")]
    ]
    assert CORENLP.request(["café 😀"]) == "café 😀".encode()
    assert CORENLP.batch_texts == 1
    assert json.loads(query_of(CORENLP, {})["properties"])["outputFormat"] == "json"


def test_trap_27_corenlp_counts_utf16():
    """The handle is at 3 to 20, as recorded in https://github.com/stanfordnlp/CoreNLP/issues/500."""
    text = "📷 .@MatthewDaddario at #StarWars"
    assert text[2:19] == ".@MatthewDaddario"
    assert read(CORENLP, [text], mention(3, 20)) == [[Entity(2, 19, "PERSON", ".@MatthewDaddario")]]


def test_trap_27_half_a_character_is_no_place():
    """An offset inside a character is never moved to the next one: the error names the unit."""
    with pytest.raises(ExtractionError, match="offset 1 in UTF-16 code units is inside a character"):
        read(CORENLP, ["📷 Ann"], mention(1, 6))
    with pytest.raises(ExtractionError, match="offset 7 in UTF-16 code units is outside"):
        read(CORENLP, ["📷 Ann"], mention(3, 7))


# --- GLiNER: docs/serving.md of urchade/GLiNER (where the offsets of Google are one too high) ---


def test_gliner():
    """One text a request with the labels to look for; relations, which some models find, are ignored."""
    text = "John works at Google in Mountain View"
    answer = {
        "entities": [
            {"start": 0, "end": 4, "text": "John", "label": "person", "score": 0.95},
            {"start": 14, "end": 20, "text": "Google", "label": "organization", "score": 0.92},
        ],
        "relations": [],
    }
    assert GLINER.request([text]) == {"text": text, "labels": ["person", "organization", "location"]}
    assert read(GLINER, [text], answer) == [
        [Entity(0, 4, "person", "John", 0.95), Entity(14, 20, "organization", "Google", 0.92)]
    ]
    body = json.loads(body_of(GLINER, [text], {"labels": ["city"], "threshold": 0.3}))
    assert body == {"text": text, "labels": ["city"], "threshold": 0.3}


# --- Amazon Comprehend: response syntax of BatchDetectEntities in its API reference ---

SEATTLE = "It is raining today in Seattle."
SEATTLE_ENTITIES = [
    {"BeginOffset": 14, "EndOffset": 19, "Score": 0.97, "Text": "today", "Type": "DATE"},
    {"BeginOffset": 23, "EndOffset": 30, "Score": 0.95, "Text": "Seattle", "Type": "LOCATION"},
]


def test_comprehend():
    """Results are ordered by `Index`; a text without entities has an empty list."""
    assert COMPREHEND.request(["a"]) == {"TextList": ["a"], "LanguageCode": "en"}
    results = [{"Index": 1, "Entities": []}, {"Index": 0, "Entities": SEATTLE_ENTITIES}]
    found = read(COMPREHEND, [SEATTLE, "x"], {"ResultList": results, "ErrorList": []})
    assert found == [[Entity(14, 19, "DATE", "today", 0.97), Entity(23, 30, "LOCATION", "Seattle", 0.95)], []]


@pytest.mark.parametrize(
    ("codes", "failure"),
    [
        (["TextSizeLimitExceededException"], Failure.PERMANENT),
        (["TEXT_SIZE_LIMIT_EXCEEDED", "INTERNAL_SERVER_ERROR"], Failure.TRANSIENT),
        (["InternalServerException"], Failure.TRANSIENT),
        (["500"], Failure.TRANSIENT),
        (["InternalServerException", "ThrottlingException"], Failure.THROTTLED),
        (["429"], Failure.THROTTLED),
        (["400"], Failure.PERMANENT),
    ],
)
def test_trap_18_comprehend_tells_failures_with_status_200(codes, failure):
    """One transient error in its `ErrorList` makes the whole failure transient, so it is retried first."""
    errors = [{"Index": at, "ErrorCode": code, "ErrorMessage": "no"} for at, code in enumerate(codes)]
    with pytest.raises(ExtractionError, match=codes[0]) as raised:
        read(COMPREHEND, ["a", "b"], {"ResultList": [], "ErrorList": errors})
    assert (raised.value.failure, raised.value.status) == (failure, 200)


def test_comprehend_loses_no_text():
    """A text that is neither among the results nor among the errors is an error."""
    with pytest.raises(
        ExtractionError, match=r"results for texts \[0\] and no errors, but 2 texts were sent"
    ):
        read(COMPREHEND, ["a", "b"], {"ResultList": [{"Index": 0, "Entities": []}], "ErrorList": []})


@pytest.mark.parametrize("indexes", [(0, 1, 1), (0, 0), (0, 2), (1, 2)])
def test_comprehend_with_an_index_twice_or_of_no_text_is_a_wrong_answer(indexes):
    """One of the two results would be lost, or be another text's."""
    results = [{"Index": at, "Entities": []} for at in indexes]
    with pytest.raises(ExtractionError, match="2 texts were sent"):
        read(COMPREHEND, ["a", "b"], {"ResultList": results, "ErrorList": []})


def test_parameters_stand_where_the_format_has_them():
    """They go into the JSON body, or into the query string of a format that has one."""
    assert json.loads(body_of(PRESIDIO, ["a"], {"language": "de"})) == {"text": "a", "language": "de"}
    assert query_of(PRESIDIO, {"language": "de"}) == {}
    assert query_of(CORENLP, {"properties": {"annotators": "ner"}}) == {"properties": '{"annotators": "ner"}'}
    assert body_of(CORENLP, ["a"], {"properties": {}}) == b"a"


def test_an_answer_of_another_length_is_told_by_its_length():
    """The message has both lengths; converting offsets would fail less clearly."""
    with pytest.raises(ExtractionError, match="1 results for 2 texts"):
        read(PRESIDIO, ["a", "b"], [[]])


def test_a_format_counts_in_a_known_unit():
    """An unknown unit is refused with a list of the known ones."""
    assert {shape.offsets for shape in FORMATS.values()} <= set(OffsetUnit)
    with pytest.raises(ConfigError, match="use one of code_points, utf16, utf8, graphemes"):
        parse_unit("bytes")


def test_the_page_of_formats_lists_each():
    """It has the path, limit and unit of each format, and its example of a custom format works as printed."""
    page = (DOCS / "formats.md").read_text()
    for shape in FORMATS.values():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{shape.name}` |")]
        limit = "any" if shape.batch_texts is None else str(shape.batch_texts)
        unit = "UTF-16" if shape.offsets is OffsetUnit.UTF16 else shape.offsets.noun
        assert f"| `{shape.path}` | {limit} | {unit} |" in row
        assert ("| compared |" in row) == shape.surface
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    scope: dict = {}
    exec(example, scope)
    quote = {"from": 3, "to": 6, "type": "P", "quote": "Ann"}
    answer = {"documents": [{"entities": [quote]}]}
    assert read(scope["ours"], ["😀 Ann"], answer) == [[Entity(2, 5, "P", "Ann")]]
