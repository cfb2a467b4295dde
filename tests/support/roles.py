"""Reads the commands of docs/security.md that create roles and users."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.places import DOCS

DOCUMENT = DOCS / "security.md"
PASSWORD = "least-pass-b27d"
TARGET = "results"
"""The database of the results in those commands; the source is `chat.messages`."""


def commands() -> list[dict[str, Any]]:
    """The commands in their order. The placeholder `<password>` is replaced by `PASSWORD`."""
    blocks = re.findall(r"```javascript\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    found = re.findall(r"db\.adminCommand\((\{.*?\})\)$", "".join(blocks), re.DOTALL | re.MULTILINE)
    return [json.loads(command.replace("<password>", PASSWORD)) for command in found]


def privileges_of(role: str) -> list[dict[str, Any]]:
    """The privileges of a role, each with a single action."""
    (command,) = [command for command in commands() if command.get("createRole") == role]
    return [
        {"resource": privilege["resource"], "actions": [action]}
        for privilege in command["privileges"]
        for action in privilege["actions"]
    ]
