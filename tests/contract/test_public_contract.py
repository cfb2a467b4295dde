"""The public names, the errors, the settings and the command line are those in `public_contract.json`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.listing import check, differences_of
from tests.support.public_contract import describe

LISTED = Path(__file__).with_name("public_contract.json")


def test_the_public_contract_is_as_listed(tmp_path):
    """Each name, parameter, default, setting, command and option is listed, and nothing else is."""
    check(LISTED, describe(), tmp_path)


def test_a_difference_is_shown_with_the_path_to_it():
    """Only the values that differ are shown; the others are left out."""
    listed = {"run": {"parameters": ["window", "limit = 20"]}, "verify": {"kind": "function"}}
    found = {"run": {"parameters": ["window", "limit = 10"]}, "verify": {"kind": "function"}}
    assert differences_of(listed, found) == [
        '-run > parameters: "limit = 20"',
        '+run > parameters: "limit = 10"',
    ]


def test_a_list_that_is_not_right_fails_the_test_and_is_written_anew(tmp_path):
    """The message shows the differences and says where the new list is."""
    listed, folder = tmp_path / "listed.json", tmp_path / "new"
    listed.write_text('{"a": 1, "b": 2}')
    folder.mkdir()
    with pytest.raises(pytest.fail.Exception, match=r"-b: 2\n\+b: 3\n"):
        check(listed, {"a": 1, "b": 3}, folder)
    check(folder / "listed.json", {"a": 1, "b": 3}, folder)
