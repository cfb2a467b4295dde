"""A PostgreSQL server for the demo's Airflow: fresh each time, loopback only, apart from the system's own."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.errors import DemoError
from demo.processes.supervisor import Supervisor
from demo.processes.waiting import wait_for
from demo.servers.ports import LOOPBACK, free_port

USER = "airflow"
DATABASE = "postgres"  # The one that initdb creates; nothing else uses this cluster.
# PostgreSQL refuses to run as root. Debian's package creates the first account; the second exists everywhere.
_ACCOUNTS = ("postgres", "nobody")
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class Account:
    """A user account without privileges."""

    name: str
    uid: int
    gid: int


def account_to_use(uid: int | None = None) -> Account | None:
    """Choose the account that runs the server: an unprivileged one for root, otherwise None (our own).

    Args:
        uid: Our user id; by default that of this process.

    Raises:
        DemoError: We are root, and the system has no unprivileged account that we know.
    """
    if (os.geteuid() if uid is None else uid) != 0:
        return None
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid)
    raise DemoError(f"PostgreSQL does not run as root, and there is no user {' or '.join(_ACCOUNTS)}")


def as_account(command: Sequence[str], account: Account | None, folder: Path) -> list[str]:
    """The command that runs `command` under this account, in `folder`: it may not enter ours."""
    if account is None:
        return list(command)
    become = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups", "--"]
    return ["env", "-C", str(folder), *become, *command]


class Postgres:
    """A server that its supervisor ends; `remove_cluster` then removes its data."""

    def __init__(self, state_dir: Path, programs: Path, supervisor: Supervisor) -> None:
        self.port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._state_dir = state_dir
        self._programs = programs
        self._supervisor = supervisor

    def url(self, driver: str) -> str:
        """The address for SQLAlchemy with this driver; it contains the password."""
        return f"postgresql+{driver}://{USER}:{self._password}@{LOOPBACK}:{self.port}/{DATABASE}"

    def start(self) -> None:
        """Create a cluster, start its server, and wait until it answers.

        Raises:
            DemoError: The server did not start.
        """
        account = account_to_use()
        folder = make_cluster_folder(self._state_dir, account)
        _write_password(folder / "password", self._password, account)
        program = str(self._programs / "initdb")
        self._supervisor.call("initdb", as_account([program, *initdb_arguments(folder)], account, folder))
        server = [str(self._programs / "postgres"), *server_arguments(folder, self.port)]
        # Airflow's processes need the database until their end.
        self._supervisor.start("postgres", as_account(server, account, folder), outlives=True)
        wait_for(self._answers, "PostgreSQL", timeout_s=_START_S, check=self._supervisor.check)

    def _answers(self) -> bool | None:
        question = [
            str(self._programs / "pg_isready"),
            "-q",
            "-h",
            LOOPBACK,
            "-p",
            str(self.port),
            "-d",
            DATABASE,
        ]
        return True if subprocess.run(question, check=False).returncode == 0 else None


def initdb_arguments(folder: Path) -> list[str]:
    """The arguments of initdb for a cluster that can only be entered with the password."""
    return [
        *("-D", str(folder / "data"), "-U", USER, "--pwfile", str(folder / "password")),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
    ]


def server_arguments(folder: Path, port: int) -> list[str]:
    """The arguments of the server: a loopback port, no Unix socket, no syncing of data to disk."""
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(port),
        "unix_socket_directories": "",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return ["-D", str(folder / "data"), *options]


def make_cluster_folder(state_dir: Path, account: Account | None) -> Path:
    """Create an empty folder for a cluster at `<state_dir>/postgres`; an earlier one is removed.

    Another account may not be able to enter the state directory, for example below /root. Its folder is then
    created among the system's temporary files, and the state directory contains a link to it.
    """
    remove_cluster(state_dir)
    place = _place(state_dir)
    if account is None:
        place.mkdir(parents=True, mode=0o700)
        return place
    folder = Path(tempfile.mkdtemp(prefix="demo-postgres-"))
    os.chown(folder, account.uid, account.gid)
    state_dir.mkdir(parents=True, exist_ok=True)
    place.symlink_to(folder)
    return folder


def remove_cluster(state_dir: Path) -> None:
    """Remove the data of a server that has ended, if there are any."""
    place = _place(state_dir)
    shutil.rmtree(place.resolve(), ignore_errors=True)
    if place.is_symlink():
        place.unlink()


def _place(state_dir: Path) -> Path:
    return state_dir / "postgres"


def _write_password(path: Path, password: str, account: Account | None) -> None:
    path.touch(mode=0o600)
    path.write_text(f"{password}\n", encoding="utf-8")
    if account is not None:
        os.chown(path, account.uid, account.gid)
