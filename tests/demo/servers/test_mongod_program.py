"""Finding a MongoDB server program, and saying what to do when there is none."""

import pytest

from demo.errors import DemoError
from demo.servers import mongod_program
from demo.servers.mongod_program import explain, find_mongod


def program(path, body):
    """An executable shell script."""
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_a_program_on_the_path_comes_first(tmp_path):
    """The user's installation has priority over the packaged one."""
    mine = program(tmp_path / "mongod", "exit 0")
    assert find_mongod(lambda _: str(mine)) == mine


def test_a_missing_curl_library_is_named_with_its_package(tmp_path):
    """The message is one line with the command to type."""
    complaint = "mongod: error while loading shared libraries: libcurl.so.4: cannot open shared object file"
    mine = program(tmp_path / "mongod", f"echo '{complaint}' >&2; exit 127")
    with pytest.raises(DemoError, match="apt-get install libcurl4") as caught:
        find_mongod(lambda _: str(mine))
    assert "\n" not in str(caught.value)


def test_a_program_of_another_platform_is_refused_in_one_line(tmp_path):
    """The message has the error of the system, and says what to do."""
    mine = tmp_path / "mongod"
    mine.write_bytes(b"\x00not for this machine")
    mine.chmod(0o755)
    with pytest.raises(DemoError, match=r"does not run on this platform.*MONGODB_URI"):
        find_mongod(lambda _: str(mine))


def test_without_any_program_the_ways_to_get_one_are_told(monkeypatch):
    """The message says: install one, or name a server."""
    monkeypatch.setattr(mongod_program.metadata, "distribution", _not_installed)
    with pytest.raises(DemoError, match=r"install MongoDB.*MONGODB_URI"):
        find_mongod(lambda _: None)


def _not_installed(name):
    raise mongod_program.metadata.PackageNotFoundError(name)


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ("libssl.so.3: cannot open", "OpenSSL 3"),
        ("Illegal\ninstruction", "Illegal instruction: install MongoDB"),
        ("", "it gave no reason"),
    ],
)
def test_other_complaints_lead_to_some_advice(complaint, advice):
    """The message always names a next step."""
    assert advice in explain(complaint)
