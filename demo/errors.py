"""The error that ends a demo."""

from pathlib import Path


class DemoError(Exception):
    """Tells the user why the demo cannot continue.

    Attributes:
        log: The log file with the details, if there is one.
    """

    def __init__(self, message: str, *, log: Path | None = None) -> None:
        super().__init__(message)
        self.log = log
