"""What the demo says when it cannot go on."""

from pathlib import Path


class DemoError(Exception):
    """The demo cannot go on.

    Attributes:
        log: The file that tells more, if there is one.
    """

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log
