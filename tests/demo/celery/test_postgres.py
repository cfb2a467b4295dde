"""PostgreSQL's and Redis's commands, accounts and folders; nothing is started here."""

import os
import pwd
import stat

import pytest

from demo.celery import postgres
from demo.celery.postgres import (
    Account,
    account_to_use,
    as_account,
    initdb_arguments,
    make_cluster_folder,
    remove_cluster,
    server_arguments,
)
from demo.celery.redis import Redis, configuration
from demo.errors import DemoError

ME = Account("me", os.geteuid(), os.getegid())


def test_root_hands_over_to_an_account_without_privileges():
    """PostgreSQL refuses to run as root; other users run it under their own account."""
    assert account_to_use(1000) is None
    account = account_to_use(0)
    assert account is not None
    assert account.uid != 0
    assert pwd.getpwnam(account.name).pw_uid == account.uid


def test_a_system_without_such_an_account_is_told(monkeypatch):
    """The message comes before initdb would fail."""
    monkeypatch.setattr(postgres, "_ACCOUNTS", ("no-such-user-here",))
    with pytest.raises(DemoError, match="does not run as root, and there is no user no-such-user-here"):
        account_to_use(0)


def test_a_command_of_another_account_drops_all_groups_and_stands_in_its_own_folder(tmp_path):
    """Our working directory may be closed to the account."""
    command = as_account(["initdb", "-D", "x"], Account("nobody", 65534, 65533), tmp_path)
    assert command == [
        *("env", "-C", str(tmp_path)),
        *("setpriv", "--reuid=65534", "--regid=65533", "--clear-groups", "--"),
        *("initdb", "-D", "x"),
    ]
    assert as_account(["initdb"], None, tmp_path) == ["initdb"]


def test_the_cluster_listens_on_the_loopback_interface_alone_and_asks_for_a_password(tmp_path):
    """So it cannot collide with the system's own cluster."""
    server = server_arguments(tmp_path, 5555)
    for setting in ("listen_addresses=127.0.0.1", "port=5555", "unix_socket_directories="):
        assert server[server.index(setting) - 1] == "-c"
    assert "--auth=scram-sha-256" in initdb_arguments(tmp_path)


@pytest.mark.parametrize("account", [None, ME])
def test_a_cluster_is_fresh_private_and_removed(tmp_path, account):
    """With another account it is among the temporary files, and the state directory has a link to it."""
    state = tmp_path / "odd 'name' %s"
    first = make_cluster_folder(state, account)
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert (state / "postgres").resolve() == first.resolve()
    (first / "data").mkdir()

    second = make_cluster_folder(state, account)
    assert list(second.iterdir()) == []
    assert first == second or not first.exists()

    remove_cluster(state)
    assert not second.exists()
    assert list(state.iterdir()) == []
    remove_cluster(state)


def test_redis_keeps_nothing_and_its_password_is_in_no_command(tmp_path):
    """Every user may read the command lines of processes, but only the owner the file."""
    started = []

    class Supervisor:
        def start(self, name, command, *, outlives):
            started.append((name, command, outlives))

        def check(self):
            raise DemoError("it ended by itself")

    redis = Redis(tmp_path, "/usr/bin/redis-server", Supervisor())
    password = redis.url.partition("redis://:")[2].partition("@")[0]
    with pytest.raises(DemoError, match="ended by itself"):
        redis.start()
    path = tmp_path / "redis.conf"
    assert started == [("redis", ["/usr/bin/redis-server", str(path)], True)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"requirepass {password}\n" in path.read_text()
    assert len(password) >= 32
    for line in ("bind 127.0.0.1", "port 7777", 'save ""', "appendonly no"):
        assert f"{line}\n" in configuration(7777, "secret")
