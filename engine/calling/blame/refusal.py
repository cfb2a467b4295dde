"""Why one text failed for good, and the words for failures that no text is to blame for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from engine.errors import ExtractionError, Failure, ServiceUnusable
from engine.extractors.functions.faults import place_of
from engine.model import DeadLetter, Entity

_RENEW = ": renew the token or login (ENGINE_SERVICE_TOKEN, the Airflow Connection, or the headers)"
LOGIN_REFUSED = {401: _RENEW, 403: _RENEW, 407: ": renew the login for the proxy"}
"""What to do about a status by which a login is refused."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one text failed for good. It holds the text only if the setting `keep_failed_text` is on."""

    kind: Failure
    message: str
    reason: str
    status: int | None
    attempts: int
    first_at: datetime
    last_at: datetime
    text_length: int
    text: str | None = None

    def dead_letter(self, document_id: Any, text_hash: str, range_id: str) -> DeadLetter:
        """Makes the dead letter of a document that has this text."""
        return DeadLetter(
            document_id,
            self.kind.value,
            self.message,
            range_id,
            status=self.status,
            attempts=self.attempts,
            first_at=self.first_at,
            last_at=self.last_at,
            text_length=self.text_length,
            text_hash=text_hash,
            text=self.text,
            reason=self.reason,
        )


Outcome: TypeAlias = tuple[Entity, ...] | Refusal
"""What became of a text: its entities, or why it failed for good."""


def unusable(problem: ExtractionError, error: Exception) -> ServiceUnusable:
    """Returns the error that ends the run, for a probe that was refused for good.

    Args:
        error: what was raised; its place is named if it is not the engine's own.
    """
    place = "" if isinstance(error, ExtractionError) else f", at {place_of(error)}"
    hint = LOGIN_REFUSED.get(problem.status or 0, "")
    return ServiceUnusable(
        f"the service does not work ({problem}{place}){hint}; no document is blamed, run again to resume",
        status=problem.status,
        reason=problem.reason,
    )
