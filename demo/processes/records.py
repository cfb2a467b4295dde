"""The file that records which servers a demo has started, so that a later command can end them."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from demo.processes.process_tree import SessionLeader, living_members


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """One started server.

    Attributes:
        name: The name of the server, for example "mongod".
        leader: The process that was started.
        log: The file with its output.
        outlives: Whether it must end after the others, because they need it to end cleanly.
    """

    name: str
    leader: SessionLeader
    log: str
    outlives: bool = False


@dataclass(frozen=True, slots=True)
class ProcessRecords:
    """All servers that were started for one state directory.

    Attributes:
        owner: The process that started them and will end them; None if they were left running on purpose.
        servers: The servers, in the order of their start.
        notes: What a later command should know about them, for example the address of the user interface.
    """

    owner: SessionLeader | None = None
    servers: tuple[ServerRecord, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)

    def with_server(self, server: ServerRecord) -> "ProcessRecords":
        """A copy with one more server."""
        return replace(self, servers=(*self.servers, server))

    @property
    def leaders(self) -> list[SessionLeader]:
        """The processes of all servers."""
        return [server.leader for server in self.servers]

    @property
    def running(self) -> bool:
        """Whether any server, or any process that a server has started, still runs."""
        return any(living_members(leader) for leader in self.leaders)

    @property
    def owned(self) -> bool:
        """Whether the process that started the servers still runs."""
        return self.owner is not None and self.owner.alive


def read_records(path: Path) -> ProcessRecords:
    """Read the file; if there is none, no server is recorded."""
    if not path.exists():
        return ProcessRecords()
    document = json.loads(path.read_text(encoding="utf-8"))
    owner, servers = document["owner"], document["servers"]
    return ProcessRecords(
        owner=SessionLeader(**owner) if owner else None,
        servers=tuple(
            ServerRecord(**{**server, "leader": SessionLeader(**server["leader"])}) for server in servers
        ),
        notes=document["notes"],
    )


def write_records(path: Path, records: ProcessRecords) -> None:
    """Replace the file in one step: a reader sees either the old or the new content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(records), indent=2), encoding="utf-8")
    draft.replace(path)


def this_process() -> SessionLeader:
    """The running process, to be recorded as the owner."""
    return SessionLeader.of(os.getpid())
