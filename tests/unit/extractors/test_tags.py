"""Tags of tokens in the format of Hugging Face: which of them are one entity."""

from __future__ import annotations

import re

import pytest

from engine.extractors.answer_check import check_answer
from engine.extractors.formats import FORMATS, entities_of
from engine.extractors.offsets import OffsetUnit

TEXT = "Ada King of London"


def found(answer):
    """Labels and texts of the entities of TEXT."""
    entities = entities_of(FORMATS["huggingface"], OffsetUnit.CODE_POINTS, [TEXT], answer)
    ((*checked,),) = check_answer([TEXT], entities)
    return [(entity.label, entity.text) for entity in checked]


def tagged(*tags, field="entity"):
    """Tokens, or groups, of the words of TEXT, with these tags. Pipelines leave those tagged O out."""
    ends = [found.span() for found in re.finditer(r"\S+", TEXT)]
    return [
        {"score": 0.5, "word": TEXT[start:end], field: tag, "start": start, "end": end, "index": at}
        for at, ((start, end), tag) in enumerate(zip(ends, tags, strict=True))
        if tag != "O"
    ]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("B-PER", "E-PER", "O", "S-LOC"), [("PER", "Ada King"), ("LOC", "London")]),
        (("B-PER", "I-PER", "E-PER", "S-PER"), [("PER", "Ada King of"), ("PER", "London")]),
        (("B-PER", "L-PER", "U-LOC", "U-LOC"), [("PER", "Ada King"), ("LOC", "of"), ("LOC", "London")]),
        (("S-PER", "S-PER", "O", "S-PER"), [("PER", "Ada"), ("PER", "King"), ("PER", "London")]),
        (("B-PER", "E-PER", "B-PER", "E-PER"), [("PER", "Ada King"), ("PER", "of London")]),
        (("E-PER", "I-PER", "O", "O"), [("PER", "Ada"), ("PER", "King")]),
        (("B-E-MAIL", "I-E-MAIL", "O", "E-MAIL"), [("E-MAIL", "Ada King"), ("E-MAIL", "London")]),
        (("T-1", "T-1", "O", "MISC"), [("T-1", "Ada King"), ("MISC", "London")]),
    ],
)
def test_hugging_face_tags_of_ends_and_singles(tags, expected):
    """BIOES and BILOU: E- or L- ends an entity, S- or U- is one alone; labels with a dash stay whole."""
    assert found(tagged(*tags)) == expected


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (("PER", "E-PER", "O", "S-LOC"), [("PER", "Ada King"), ("LOC", "London")]),
        (("PER", "O", "E-PER", "U-LOC"), [("PER", "Ada"), ("PER", "of"), ("LOC", "London")]),
        (
            ("S-PER", "E-PER", "PER", "PER"),
            [("PER", "Ada"), ("PER", "King"), ("PER", "of"), ("PER", "London")],
        ),
        (("PER", "PER", "O", "E-LOC"), [("PER", "Ada"), ("PER", "King"), ("LOC", "London")]),
    ],
)
def test_hugging_face_groups_of_models_with_such_tags(groups, expected):
    """The pipeline knows B- and I- only, so it gives the other tags as labels of groups of their own."""
    assert found(tagged(*groups, field="entity_group")) == expected
