"""Errors that an answer reports for some of its texts."""

from __future__ import annotations

import pytest

from engine.errors import ExtractionError, Failure
from engine.extractors.formats import FORMATS, entities_of
from engine.extractors.item_errors import item_error

TEXTS = ["Ada met Bob", "Jane Doe is here", "Rome"]
FOUND = [{"start": 0, "end": 3, "label": "X", "text": "Ada", "score": None}]


TOLD = [
    ([FOUND, {"status": 422, "error": "too long"}], "text 1: status 422: too long", "permanent", 422),
    ([FOUND, {"error": {"code": 503, "message": "busy"}}], "text 1: status 503: busy", "transient", 503),
    ([[], [], {"error": "no model"}], "1 of 3 texts failed: text 2: no model", "permanent", None),
    ([{"status": "429 Too Many", "detail": "later"}], "text 0: status 429: later", "throttled", 429),
    ([{"status_code": 500}, {"status_code": 422}], "2 of 3 texts failed", "transient", 500),
    ({"results": [], "errors": [{"index": 2, "message": "bad"}]}, "text 2: bad", "permanent", None),
    ({"results": [], "errors": ["bad bytes"]}, "text 0: bad bytes", "permanent", None),
    ({"error": "the model is gone"}, "the answer: the model is gone", "permanent", None),
]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(("answer", "says", "failure", "status"), TOLD)
def test_an_error_of_a_text_is_told(answer, says, failure, status, wrapped):
    """Whatever its field is called; it has the class of its own status."""
    error = item_error(TEXTS, {"results": answer} if wrapped and isinstance(answer, list) else answer)
    assert says in str(error)
    assert (error.failure, error.status) == (Failure(failure), status)


@pytest.mark.parametrize(
    "answer",
    [
        {"results": [FOUND, [], []]},
        {"results": [FOUND, [], []], "errors": [], "error": None},
        [{"status": 200, "entities": []}, {"status": 200, "error": None}],
        [],
        None,
        "error",
        7,
        {"status": 207},
    ],
)
def test_an_answer_without_errors_reports_none(answer):
    """Empty fields are none, and so is the status of a success."""
    assert item_error(TEXTS, answer) is None


def test_a_text_that_an_error_quotes_is_not_told():
    """Texts are private."""
    error = item_error(TEXTS, [[], {"error": "cannot read Jane Doe is here"}, []])
    assert str(error) == "1 of 3 texts failed: text 1: cannot read [text]"


@pytest.mark.parametrize("name", ["native", "presidio", "huggingface", "gliner", "corenlp"])
def test_an_answer_of_another_shape_tells_the_error_in_it(name):
    """In place of the shape that is missing, also with status 200."""
    texts = TEXTS[: FORMATS[name].batch_texts]
    answer = {"error": "CUDA out of memory", "status": 500}
    with pytest.raises(ExtractionError, match="CUDA out of memory") as raised:
        entities_of(FORMATS[name], FORMATS[name].offsets, texts, answer)
    assert raised.value.failure is Failure.TRANSIENT
