"""The roles of docs/security.md, as the commands that stand there."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.support.places import DOCS

DOCUMENT = DOCS / "security.md"
PASSWORD = "least-pass-b27d"
TARGET = "results"
"""Database of the results in the commands; the source is `chat.messages`."""


def commands() -> list[dict[str, Any]]:
    """The commands, in order; each user with a password that the tests know."""
    blocks = re.findall(r"```javascript\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    found = re.findall(r"db\.adminCommand\((\{.*?\})\)$", "".join(blocks), re.DOTALL | re.MULTILINE)
    return [json.loads(command.replace("<password>", PASSWORD)) for command in found]


def privileges_of(role: str) -> list[dict[str, Any]]:
    """The privileges of a role, one an action."""
    (command,) = [command for command in commands() if command.get("createRole") == role]
    return [
        {"resource": privilege["resource"], "actions": [action]}
        for privilege in command["privileges"]
        for action in privilege["actions"]
    ]
