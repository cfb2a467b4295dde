"""What services are asked and what they answer: two pure functions for each format.

A request function turns texts into a body: JSON, or bytes that are sent as they are. A response function
turns the texts and the JSON answer into the entities of each text, with offsets in the service's own unit
and the text "" where the service gives none. It may raise KeyError, TypeError, ValueError, IndexError or
AttributeError on an answer of another shape, and ExtractionError for a failure that came with status 200.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from engine.errors import ExtractionError, Failure
from engine.model import Entity, entity_of

GLINER_LABELS = ("person", "organization", "location")
"""Asked for unless the parameter `labels` says otherwise: GLiNER finds what it is told to."""


def native_request(texts: Sequence[str]) -> Any:
    """`{"texts": [...]}`."""
    return {"texts": list(texts)}


def native_response(_texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """`{"results": [[{start, end, label, text, score}]]}`; the score may be missing."""
    return [
        # Most texts have no entities, and an inner list costs more than all else of theirs.
        []
        if entities == []
        else [entity_of((e["start"], e["end"], e["label"], e["text"], e.get("score"))) for e in entities]
        for entities in answer["results"]
    ]


def presidio_request(texts: Sequence[str]) -> Any:
    """One text as a string, several as a list (presidio-analyzer, `POST /analyze`)."""
    return {"text": texts[0] if len(texts) == 1 else list(texts), "language": "en"}


def presidio_response(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """A list of results for a string, a list of those for a list."""
    return [
        [Entity(e["start"], e["end"], e["entity_type"], "", e["score"]) for e in entities]
        for entities in ([answer] if len(texts) == 1 else answer)
    ]


def hugging_face_request(texts: Sequence[str]) -> Any:
    """One text as a string, several as a list (Inference Providers, token classification)."""
    inputs = texts[0] if len(texts) == 1 else list(texts)
    return {"inputs": inputs, "parameters": {"aggregation_strategy": "simple"}}


def hugging_face_response(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """Groups or tokens of one text, or a list of those; some pipelines unwrap a list of one."""
    single = len(texts) == 1 and not (answer and isinstance(answer[0], list))
    return [_grouped(tokens) for tokens in ([answer] if single else answer)]


def _grouped(tokens: Iterable[Mapping[str, Any]]) -> list[Entity]:
    """Groups as they are, tokens tagged B- and I- put together.

    `word` is no surface form: it is what the tokenizer makes of the text.
    """
    groups: list[list[Mapping[str, Any]]] = []
    for token in tokens:
        if groups and "entity" in token and _continues(groups[-1][-1], token):
            groups[-1].append(token)
        else:
            groups.append([token])
    return [_entity_of(group) for group in groups]


def _continues(previous: Mapping[str, Any], token: Mapping[str, Any]) -> bool:
    """Whether a token goes on with the entity of the one before: the next one, of the same label.

    B- begins another entity, but not in the middle of a word: models tag pieces of words so.
    """
    begins = token["entity"].startswith("B-") and not token["word"].startswith("##")
    following = token["index"] == previous["index"] + 1
    return following and not begins and _label(token) == _label(previous)


def _label(token: Mapping[str, Any]) -> str:
    return str(token["entity"]).removeprefix("B-").removeprefix("I-")


def _entity_of(group: Sequence[Mapping[str, Any]]) -> Entity:
    """One entity; its score is the mean of its tokens', as in the pipeline's strategy `simple`."""
    first, last = group[0], group[-1]
    label = first["entity_group"] if "entity_group" in first else _label(first)
    return Entity(first["start"], last["end"], label, "", fmean(token["score"] for token in group))


def corenlp_request(texts: Sequence[str]) -> Any:
    """The text itself, in UTF-8 (Stanford CoreNLP server; what is wanted stands in the query string)."""
    (text,) = texts
    return text.encode()


def corenlp_response(_texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """`sentences[].entitymentions[]`; a mention's `text` may be its tokens, joined: it is not compared."""
    return [
        [
            Entity(e["characterOffsetBegin"], e["characterOffsetEnd"], e["ner"], "")
            for sentence in answer["sentences"]
            for e in sentence["entitymentions"]
        ]
    ]


def gliner_request(texts: Sequence[str]) -> Any:
    """`{"text", "labels"}` (`python -m gliner.serve`: it gathers batches itself)."""
    (text,) = texts
    return {"text": text, "labels": list(GLINER_LABELS)}


def gliner_response(_texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """`{"entities": [{start, end, text, label, score}]}`."""
    return [[Entity(e["start"], e["end"], e["label"], e["text"], e["score"]) for e in answer["entities"]]]


def comprehend_request(texts: Sequence[str]) -> Any:
    """`{"TextList", "LanguageCode"}` (Amazon Comprehend, BatchDetectEntities)."""
    return {"TextList": list(texts), "LanguageCode": "en"}


def comprehend_response(texts: Sequence[str], answer: Any) -> list[list[Entity]]:
    """`ResultList` by `Index`.

    Raises:
        ExtractionError: there is an `ErrorList`. It stands for the whole batch, which is then halved until
            the texts that it names are alone.
    """
    if answer["ErrorList"]:
        raise _comprehend_error(answer["ErrorList"])
    found = {result["Index"]: result["Entities"] for result in answer["ResultList"]}
    if sorted(found) != list(range(len(texts))):
        raise ValueError(f"results of texts {sorted(found)}, no errors, for {len(texts)} texts")
    return [
        [Entity(e["BeginOffset"], e["EndOffset"], e["Type"], e["Text"], e["Score"]) for e in found[at]]
        for at in range(len(texts))
    ]


def _comprehend_error(errors: Sequence[Mapping[str, Any]]) -> ExtractionError:
    """The errors as one: what may pass by repeating is repeated before anything is blamed."""
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
    """The class of an `ErrorCode`: of status numbers and of exceptions' names, for both are in use."""
    name = code.replace("_", "").lower()
    if code == "429" or "throttl" in name or "toomanyrequests" in name:
        return Failure.THROTTLED
    if code.startswith("5") or any(word in name for word in ("internal", "unavailable", "timeout")):
        return Failure.TRANSIENT
    return Failure.PERMANENT
