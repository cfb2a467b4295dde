"""The two pure functions of each known format: one writes the request, the other reads the answer.

A request function turns texts into a body: JSON, or bytes that are sent as they are. A response function
turns the texts and the JSON answer into the entities of each text, with offsets in the service's own unit
and with the text "" where the service returns none. On an answer of another shape it may raise KeyError,
TypeError, ValueError, IndexError or AttributeError; for a failure that came with status 200, ExtractionError.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from engine.errors import ExtractionError, Failure
from engine.model import Entity, entity_of

GLINER_LABELS = ("person", "organization", "location")
"""The labels that GLiNER is asked for, unless the parameter `labels` gives others."""


def native_request(texts: Sequence[str]) -> Any:
    """Returns `{"texts": [...]}`."""
    return {"texts": list(texts)}


def native_response(_texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Reads `{"results": [[{start, end, label, text, score}]]}`; the score may be missing."""
    return [
        # Most texts have no entities: for them an inner comprehension would cost more than the rest.
        []
        if entities == []
        else [entity_of((e["start"], e["end"], e["label"], e["text"], e.get("score"))) for e in entities]
        for entities in answer["results"]
    ]


def presidio_request(texts: Sequence[str]) -> Any:
    """Sends one text as a string, several as a list (presidio-analyzer, `POST /analyze`)."""
    return {"text": texts[0] if len(texts) == 1 else list(texts), "language": "en"}


def presidio_response(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Reads one list of results for a string, or a list of such lists for a list."""
    return [
        [Entity(e["start"], e["end"], e["entity_type"], "", e["score"]) for e in entities]
        for entities in ([answer] if len(texts) == 1 else answer)
    ]


def hugging_face_request(texts: Sequence[str]) -> Any:
    """Sends one text as a string, several as a list (Inference Providers, token classification)."""
    inputs = texts[0] if len(texts) == 1 else list(texts)
    return {"inputs": inputs, "parameters": {"aggregation_strategy": "simple"}}


def hugging_face_response(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Reads the groups or tokens of one text, or a list of these; some pipelines unwrap a list of one."""
    single = len(texts) == 1 and not (answer and isinstance(answer[0], list))
    return [_grouped(tokens) for tokens in ([answer] if single else answer)]


def _grouped(tokens: Iterable[Mapping[str, Any]]) -> list[Entity]:
    """Joins tokens, or groups that the service has not joined, into entities by their tags."""
    groups: list[list[Mapping[str, Any]]] = []
    for token in tokens:
        if groups and _continues(groups[-1][-1], token):
            groups[-1].append(token)
        else:
            groups.append([token])
    return [_entity_of(group) for group in groups]


def _continues(previous: Mapping[str, Any], token: Mapping[str, Any]) -> bool:
    """Tells whether a token continues the entity of the token before: it comes next and has the same label.

    A tag that begins an entity begins another one, and after one that ends an entity comes another one, too,
    except in the middle of a word, whose pieces models tag alike. Pipelines join B- and I- to groups, but
    give the tokens of the other tags as groups of their own: such a group continues one that it touches.
    """
    (tag, label), (before, same) = _tag(token), _tag(previous)
    if label != same:
        return False
    if "entity" not in token:
        touches = token["start"] - previous["end"] in (0, 1)
        return touches and tag in _CONTINUING and before not in _ENDING
    if token["index"] != previous["index"] + 1:
        return False
    return token["word"].startswith("##") or not (tag in _BEGINNING or before in _ENDING)


_BEGINNING, _CONTINUING, _ENDING = frozenset("BSU"), frozenset("IEL"), frozenset("ESLU")
"""Tags before the label: B-, I-; also E- and S- for the end and for a single token (BIOES), which others call
L- and U- (BILOU)."""

_NO_TAG = frozenset({"E-MAIL", "E-COMMERCE", "S-BAHN", "U-BAHN", "U-BOAT"})
"""Labels that only look like a tag and a label."""


def _tag(token: Mapping[str, Any]) -> tuple[str, str]:
    """The tag of a token or group, "" if it has none, and its label."""
    given = str(token["entity"] if "entity" in token else token["entity_group"])
    tag, dash, label = given.partition("-")
    tagged = dash and tag in "BIESLU" and len(tag) == 1 and label and given.upper() not in _NO_TAG
    return (tag, label) if tagged else ("", given)


def _entity_of(group: Sequence[Mapping[str, Any]]) -> Entity:
    """Makes one entity; its score is the mean over its tokens, as in the pipeline's strategy `simple`.

    Its text is `word`, which is the tokenizer's form of it: `##` and blanks are not compared.
    """
    first, last = group[0], group[-1]
    word = "".join([token.get("word") or "" for token in group])
    label = _tag(first)[1]
    return Entity(first["start"], last["end"], label, word, fmean(token["score"] for token in group))


def corenlp_request(texts: Sequence[str]) -> Any:
    """Sends the text itself, in UTF-8 (Stanford CoreNLP server; the query string selects the annotators)."""
    (text,) = texts
    return text.encode()


def corenlp_response(_texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Reads `sentences[].entitymentions[]`; their `text` may be joined tokens, with other blanks."""
    return [
        [
            Entity(e["characterOffsetBegin"], e["characterOffsetEnd"], e["ner"], e.get("text") or "")
            for sentence in answer["sentences"]
            for e in sentence["entitymentions"]
        ]
    ]


def gliner_request(texts: Sequence[str]) -> Any:
    """Sends `{"text", "labels"}` (`python -m gliner.serve`, which collects batches itself)."""
    (text,) = texts
    return {"text": text, "labels": list(GLINER_LABELS)}


def gliner_response(_texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Reads `{"entities": [{start, end, text, label, score}]}`."""
    return [[Entity(e["start"], e["end"], e["label"], e["text"], e["score"]) for e in answer["entities"]]]


def comprehend_request(texts: Sequence[str]) -> Any:
    """Sends `{"TextList", "LanguageCode"}` (Amazon Comprehend, BatchDetectEntities)."""
    return {"TextList": list(texts), "LanguageCode": "en"}


def comprehend_response(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Reads `ResultList`, in the order of `Index`.

    Raises:
        ExtractionError: the `ErrorList` is not empty. The error fails the whole batch, which the engine then
            halves until each failing text is alone.
    """
    if answer["ErrorList"]:
        raise _comprehend_error(answer["ErrorList"])
    found = {result["Index"]: result["Entities"] for result in answer["ResultList"]}
    indexes = sorted(result["Index"] for result in answer["ResultList"])
    if indexes != list(range(len(texts))):
        raise ValueError(f"results for texts {indexes} and no errors, but {len(texts)} texts were sent")
    return [
        [Entity(e["BeginOffset"], e["EndOffset"], e["Type"], e["Text"], e["Score"]) for e in found[at]]
        for at in range(len(texts))
    ]


def _comprehend_error(errors: Sequence[Mapping[str, Any]]) -> ExtractionError:
    """Joins the errors into one. If any can succeed on a retry, all are retried before a text is blamed."""
    failures = {_comprehend_failure(str(e["ErrorCode"])) for e in errors}
    failure = next(f for f in (Failure.THROTTLED, Failure.TRANSIENT, Failure.PERMANENT) if f in failures)
    listed = "; ".join(_described(errors))
    return ExtractionError(
        f"{len(errors)} texts of the request failed: {listed}", failure=failure, status=200
    )


def _described(errors: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for error in errors[:3]:
        yield f"text {error['Index']}: {error['ErrorCode']}: {error.get('ErrorMessage', '')}"


def _comprehend_failure(code: str) -> Failure:
    """Returns the failure class of an `ErrorCode`, which may be a status number or an exception's name."""
    name = code.replace("_", "").lower()
    if code == "429" or "throttl" in name or "toomanyrequests" in name:
        return Failure.THROTTLED
    if code.startswith("5") or any(word in name for word in ("internal", "unavailable", "timeout")):
        return Failure.TRANSIENT
    return Failure.PERMANENT
