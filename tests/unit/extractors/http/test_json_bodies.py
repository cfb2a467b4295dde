"""JSON bodies are the same whether orjson is installed or not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.extractors.http import json_bodies
from engine.extractors.http.json_bodies import decoded, encoded

WAYS = ["orjson", "json"]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    """Runs the test twice: with orjson if it is installed, and without it."""
    if request.param == "json":
        monkeypatch.setattr(json_bodies, "_decode", None)
        monkeypatch.setattr(json_bodies, "_encode", None)
    else:
        pytest.importorskip("orjson")
    return request.param


@given(st.lists(st.text()))
def test_any_texts_come_through(texts):
    """Lone surrogates too, which BSON can hold but UTF-8 cannot."""
    assert json.loads(encoded({"texts": texts})) == {"texts": texts}


def test_bodies_are_compact_utf_8(way):
    """A service gets the same bytes with and without the extra."""
    assert encoded({"texts": ["Zoë 😀", 'a "b"\n'], "n": 1.5}) == (
        '{"texts":["Zoë 😀","a \\"b\\"\\n"],"n":1.5}'.encode()
    )


def test_half_a_surrogate_pair_is_escaped(way):
    """It has no form in UTF-8."""
    assert encoded(["é\ud83d"]) == rb'["\u00e9\ud83d"]'


def test_what_is_no_json_is_refused(way):
    """A parameter of a wrong type is an error, and is not converted to something else."""
    with pytest.raises(TypeError, match="serializable"):
        encoded({"labels": {"a", "b"}})


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"text": "a\tb"}', {"text": "a\tb"}),
        (b"[Infinity]", [float("inf")]),
        ('["Zoë"]'.encode("utf-16"), ["Zoë"]),
        (b'["\\ud83d"]', ["\ud83d"]),
        ('["Zoë"]'.encode(), ["Zoë"]),
    ],
    ids=["control-character", "infinity", "utf-16", "half-a-pair", "utf-8"],
)
def test_answers_are_understood(way, body, data):
    """Some services send JSON that orjson refuses; it is decoded too."""
    assert decoded(body) == data


def test_what_is_no_json_raises_value_error(way):
    """The page of a proxy, for example."""
    with pytest.raises(ValueError, match="Expecting value"):
        decoded(b"<html>")
