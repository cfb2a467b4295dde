"""The result of something that the demo checks beside the run's own report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was checked.

    Attributes:
        text: What was found, in words.
        passed: Whether it is as it should be.
    """

    text: str
    passed: bool
