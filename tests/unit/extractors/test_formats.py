"""Shapes of requests and answers, classes of failures, and the checks of an answer."""

from __future__ import annotations

import pytest

from engine import ConfigError, Entity, ExtractionError, Failure
from engine.extractors.answer_check import check_answer
from engine.extractors.formats import FORMATS, failure_of, format_named

NATIVE, PRESIDIO = FORMATS["native"], FORMATS["presidio"]
HUGGING_FACE, COMPREHEND = FORMATS["huggingface"], FORMATS["comprehend"]


def test_an_unknown_format_lists_the_known():
    """The error is raised before any work starts."""
    with pytest.raises(ConfigError, match="use one of comprehend, corenlp, .*native, presidio"):
        format_named("spacy")


@pytest.mark.parametrize(
    ("status", "body", "hinted", "failure"),
    [
        (429, "", False, Failure.THROTTLED),
        (503, "", True, Failure.THROTTLED),
        (503, "", False, Failure.TRANSIENT),
        *[(status, "", False, Failure.TRANSIENT) for status in (408, 500, 502, 504)],
        *[(status, "", False, Failure.PERMANENT) for status in (400, 401, 404, 413, 415, 422)],
    ],
)
def test_trap_18_failures_have_three_classes(status, body, hinted, failure):
    """The status decides, in any format."""
    assert failure_of(NATIVE, status, body, hinted=hinted) is failure


def test_trap_18_presidio_answers_500_to_bad_input():
    """Its body shows it; in other formats a 500 is transient."""
    body = '{"error":"No text provided"}'
    assert failure_of(PRESIDIO, 500, body, hinted=False) is Failure.PERMANENT
    assert failure_of(NATIVE, 500, body, hinted=False) is Failure.TRANSIENT


@pytest.mark.parametrize(
    "error",
    [
        "[E088] Text of length 1000001 exceeds maximum of 1000000.",
        "No matching recognizers were found to serve the request.",
    ],
)
def test_trap_18_refusals_of_presidio_are_no_outage(error):
    """A text beyond the limit of spaCy, and a language that no recognizer knows: with status 500, too."""
    assert failure_of(PRESIDIO, 500, error, hinted=False) is Failure.PERMANENT


def test_trap_18_some_services_say_later_with_other_statuses():
    """Comprehend uses 400 (see its API reference), Hugging Face 503 while a model loads."""
    body = '{"__type":"TooManyRequestsException","Message":"Rate exceeded"}'
    assert failure_of(COMPREHEND, 400, body, hinted=False) is Failure.THROTTLED
    assert failure_of(NATIVE, 400, body, hinted=False) is Failure.PERMANENT
    body = '{"error":"Model dslim/bert-base-NER is currently loading","estimated_time":20.0}'
    assert failure_of(HUGGING_FACE, 503, body, hinted=False) is Failure.THROTTLED


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([[]], "1 results for 2 texts"),
        ([[], [], []], "3 results for 2 texts"),
        (None, "NoneType results for 2 texts"),
        ([[Entity(0, 9, "X", "Jane")], []], "are outside a text of length 4"),
        ([[Entity(-1, 3, "X", "Jan")], []], "outside"),
        ([[Entity(3, 1, "X", "")], []], "outside"),
        ([[], [Entity(0, 3, "X", "Rob")]], "answer to text 1 .* wrong unit of offsets"),
        ([[5], []], "is wrong"),
        ([[{"start": 0}], []], "is wrong"),
        ([[Entity(False, 4, "X", "Jane")], []], "offsets must be integers, got bool and int"),
        ([[Entity(0, 4.0, "X", "Jane")], []], "int and float"),
        ([[Entity("0", "4", "X", "Jane")], []], "str and str"),
        ([[Entity(0, 4, None, "Jane")], []], "label must be a string, got NoneType"),
        ([[Entity(0, 4, 7, "Jane")], []], "label must be a string, got int"),
        ([[Entity(0, 4, "X", "Jane", float("nan"))], []], "score must be a finite number, got nan"),
        ([[Entity(0, 4, "X", "Jane", float("inf"))], []], "score must be a finite number, got inf"),
        ([[Entity(0, 4, "X", "Jane", "0.5")], []], "score must be a finite number, got str"),
        ([[Entity(0, 4, "X", "Jane", True)], []], "score must be a finite number, got bool"),
        ([[Entity(0, 4, "X", "Jane"), Entity(0, 4, "X", "Bob!")], []], "answer to text 0"),
    ],
)
def test_trap_27_every_answer_is_checked(answer, says):
    """Number of results, offsets and surface forms are; the message does not contain the text."""
    with pytest.raises(ExtractionError, match=says) as raised:
        check_answer(["Jane", "Bob!"], answer)
    assert "Jane" not in str(raised.value)


def test_trap_27_an_emoji_before_an_entity_tells_utf16_offsets():
    """After an emoji, offsets in UTF-16 units are one larger than Python's code points."""
    text = "👍 Jane"
    assert check_answer([text], [[Entity(2, 6, "PERSON", "Jane")]]) == [(Entity(2, 6, "PERSON", "Jane"),)]
    with pytest.raises(ExtractionError, match="outside|wrong unit"):
        check_answer([text], [[Entity(3, 7, "PERSON", "Jane")]])


def test_trap_26_no_entities_is_an_answer():
    """Plain dicts and Entities may be mixed, and a score may be an integer."""
    assert check_answer(["Jane"], [[Entity(0, 4, "P", "Jane", 1)]]) == [(Entity(0, 4, "P", "Jane", 1),)]
    assert check_answer(["Jane"], [[]]) == [()]
    assert check_answer(["Jane"], [[{"start": 0, "end": 4, "label": "P", "text": "Jane"}]]) == [
        (Entity(0, 4, "P", "Jane"),)
    ]
    jane = Entity(0, 4, "P", "Jane")
    assert check_answer(["Jane"], [[jane, jane._asdict()]]) == [(jane, jane)]
