"""The record of what a demo has started, for whoever must end it later."""

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from demo.processes.process_tree import Leader


@dataclass(frozen=True, slots=True)
class Entry:
    """One started server.

    Attributes:
        name: What it is, "mongod" for instance.
        leader: Its process.
        log: Where its output goes.
        outlives: Whether it ends only after the others (they need it to end well).
    """

    name: str
    leader: Leader
    log: str
    outlives: bool = False


@dataclass(frozen=True, slots=True)
class Roster:
    """All that runs on behalf of one state directory.

    Attributes:
        owner: The process that started it and ends it; None when it was left running on purpose.
        entries: The servers, in the order of their start.
        notes: What a later run should know of them, the address of a user interface for instance.
    """

    owner: Leader | None = None
    entries: tuple[Entry, ...] = ()
    notes: dict[str, str] = field(default_factory=dict)

    def with_entry(self, entry: Entry) -> "Roster":
        """This roster and one entry more."""
        return replace(self, entries=(*self.entries, entry))

    @property
    def leaders(self) -> list[Leader]:
        """The processes of all entries."""
        return [entry.leader for entry in self.entries]

    @property
    def running(self) -> bool:
        """Whether any server of it runs."""
        return any(leader.alive for leader in self.leaders)

    @property
    def owned(self) -> bool:
        """Whether the process that started it all is still there."""
        return self.owner is not None and self.owner.alive


def read_roster(path: Path) -> Roster:
    """The roster in the file; an empty one if there is no file."""
    if not path.exists():
        return Roster()
    document = json.loads(path.read_text(encoding="utf-8"))
    owner = document["owner"]
    entries = document["entries"]
    return Roster(
        owner=Leader(**owner) if owner else None,
        entries=tuple(Entry(**{**entry, "leader": Leader(**entry["leader"])}) for entry in entries),
        notes=document["notes"],
    )


def write_roster(path: Path, roster: Roster) -> None:
    """Replace the file at once: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(roster), indent=2), encoding="utf-8")
    draft.replace(path)


def this_process() -> Leader:
    """The running process as an owner."""
    return Leader.of(os.getpid())
