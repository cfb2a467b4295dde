"""Settings: the message for a wrong value names the setting, the value and what is allowed."""

from __future__ import annotations

import re

import pytest
from bson import ObjectId

from engine import ConfigError, Settings, Tuning
from tests.support.places import ROOT


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"range_documents": 0}, "range_documents = 0: Input should be greater than or equal to 1"),
        ({"max_concurrency": "many"}, "max_concurrency = 'many'"),
        ({"order_type": "datetime"}, "order_type = 'datetime': Input should be 'date', 'string', 'number'"),
        ({"order_field": "_id.x"}, "a part of _id cannot order the documents"),
        ({"text_field": "$text"}, "text_field = '\\$text'"),
        ({"rang_documents": 5}, "unknown setting 'rang_documents'; did you mean 'range_documents'"),
        ({"wholly_unknown_thing": 5}, "settings are order_field, "),
        ({"plans_collection": "x", "checkpoints_collection": "x"}, "four different collections"),
        ({"filter": "not json"}, "filter = 'not json'"),
    ],
)
def test_a_wrong_value_names_the_setting(values, says):
    """The error is raised before any work starts."""
    with pytest.raises(ConfigError, match=says):
        Settings(**values)


def test_the_environment_is_read(monkeypatch):
    """The variable is `ENGINE_` and the setting's name; keyword arguments win."""
    monkeypatch.setenv("ENGINE_RANGE_DOCUMENTS", "123")
    monkeypatch.setenv("ENGINE_MAX_CONCURRENCY", "7")
    settings = Settings.from_environment(max_concurrency=8)
    assert (settings.range_documents, settings.max_concurrency) == (123, 8)


def test_a_wrong_value_in_the_environment_names_the_setting(monkeypatch):
    """The message is the same as for keyword arguments."""
    monkeypatch.setenv("ENGINE_RANGE_DOCUMENTS", "-1")
    with pytest.raises(ConfigError, match="range_documents = '-1'"):
        Settings.from_environment()


def test_a_filter_may_be_extended_json(monkeypatch):
    """A filter given as text may contain BSON types as Extended JSON; operators stay unchanged."""
    monkeypatch.setenv("ENGINE_FILTER", '{"owner": {"$oid": "0123456789ab0123456789ab"}, "n": {"$gt": 5}}')
    assert Settings.from_environment().filter == {
        "owner": ObjectId("0123456789ab0123456789ab"),
        "n": {"$gt": 5},
    }


def test_settings_do_not_change():
    """They are immutable, because many tasks share them."""
    with pytest.raises(Exception, match="frozen"):
        Settings().range_documents = 5


def test_a_script_does_not_read_the_environment(monkeypatch):
    """`Settings()` in a program means the defaults, whatever the shell holds."""
    monkeypatch.setenv("ENGINE_FORCE", "1")
    monkeypatch.setenv("ENGINE_TUNING__PAGE_DOCUMENTS", "5")
    assert (Settings().force, Settings().tuning.page_documents) == (False, 1024)
    asked = Settings.from_environment(tuning={"max_page_bytes": 9})
    assert (asked.force, asked.tuning.page_documents, asked.tuning.max_page_bytes) == (True, 5, 9)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"page_documents": 5}, "setting page_documents is now tuning.page_documents"),
        ({"tuning": {"page_documents": 0}}, "setting tuning.page_documents = 0: Input should be greater"),
        ({"tuning": {"page_document": 5}}, "unknown setting 'tuning.page_document'; did you mean"),
    ],
)
def test_a_wrong_value_of_tuning_names_the_setting(values, says):
    """Its full name is the one that the command line takes."""
    with pytest.raises(ConfigError, match=says):
        Settings(**values)


def test_a_variable_of_a_setting_that_moved_is_refused(monkeypatch):
    """If it were ignored, a run would change without a word."""
    monkeypatch.setenv("ENGINE_PAGE_DOCUMENTS", "5")
    with pytest.raises(ConfigError, match="is now tuning.page_documents"):
        Settings.from_environment()


def test_settings_of_tuning_follow_from_others_unless_they_are_given():
    """Zero is a value that may be given."""
    derived = Settings(max_concurrency=200, max_outage_s=60, tuning=Tuning(max_page_bytes=1000))
    assert (derived.read_ahead_bytes, derived.max_throttled_s, derived.max_ahead_batches) == (2000, 60, 800)
    given = Settings(tuning=Tuning(read_ahead_bytes=0, max_throttled_s=0, max_ahead_batches=2))
    assert (given.read_ahead_bytes, given.max_throttled_s, given.max_ahead_batches) == (0, 0, 2)
    plain = Settings()
    assert (plain.read_ahead_bytes, plain.max_throttled_s, plain.max_ahead_batches) == (16 << 20, 900, 256)


@pytest.mark.parametrize("most", [1, 7, 64, 1024])
def test_as_many_batches_are_read_ahead_as_requests_may_be_in_flight(most):
    """Else `max_concurrency` would promise more than the pipeline can do."""
    assert Settings(max_concurrency=most).max_ahead_batches >= most


READ_AS = {
    "entities_collection": "entities_of",
    "dead_letters_collection": "dead_letters_of",
    "extractor_name": "extractor_label",
    "extractor_version": "extractor_label",
}
"""Settings that the engine reads through another member of `Settings`."""


@pytest.mark.parametrize("name", [*Settings.model_fields, *Tuning.model_fields])
def test_the_engine_reads_each_setting(name):
    """A setting that nothing reads would do nothing."""
    files = [file for file in (ROOT / "engine").rglob("*.py") if file.parent.name != "settings"]
    read = re.compile(rf"(settings|tuning)\.{READ_AS.get(name, name)}\b")
    assert any(read.search(file.read_text("utf-8")) for file in files)
