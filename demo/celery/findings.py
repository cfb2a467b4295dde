"""What a demo has to show beside the run's own report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was seen.

    Attributes:
        words: What it is.
        passed: Whether it is as it should be.
    """

    words: str
    passed: bool
