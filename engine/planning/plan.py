"""The Plan: the stored list of KeyRanges that cover a window, and the identity of its run. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from bson import json_util

from engine.errors import ConfigError
from engine.keys.key import KeyRange
from engine.keys.window import Window
from engine.model import QueryForm
from engine.settings import Settings


class Proof(StrEnum):
    """The outcome of the cross-check of a plan's counts with an independent count of its window."""

    NONE = "none"
    SNAPSHOT = "snapshot"
    AGREEMENT = "agreement"
    CHANGING = "changing"

    @property
    def guarantee(self) -> str:
        """The outcome in words."""
        return _PROVEN[self]


_PROVEN = {
    Proof.NONE: "not compared with a count of the window",
    Proof.SNAPSHOT: "their sum is that of an independent count of the window at one time",
    Proof.AGREEMENT: "their sum is that of an independent count of the window; the server has no snapshots",
    Proof.CHANGING: "not proven: the window changed while it was counted, and the server has no snapshots",
}


def _now() -> datetime:
    """The current time, in the milliseconds that BSON keeps."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class Plan:
    """The ranges that cover a window, with how they were made and what that guarantees.

    Attributes:
        namespace: `database.collection` of the source.
        parameters: what the run was asked for; a run is never planned again with other parameters.
        ranges: in order, each beginning where the one before ends; empty for an empty window.
        documents: the number of documents in all ranges; exact if `exact`, otherwise an estimate.
        outside: how many documents lie outside the window's type, by the type of their order field.
        form: the query form by which the ranges are read.
        index: name of the index that serves the order; None on a view.
        strategy: `exact`, `counted` or `sample` (engine.planning.partitioning).
        estimate: the window's documents as estimated by a sample, if the strategy was chosen by it.
        proof: the outcome of the cross-check of the counts.
        sharding: what is guaranteed behind `mongos`, in words; None of a server that is not sharded.
        empty: what the collection holds, if the window holds nothing of it; else None.
        source_uuid: what the collection was at planning (`identity_of`); None in old plans.
        problem: what the last verdict found wrong with the collection; it fails a run whose ranges succeeded.
    """

    run_id: str
    namespace: str
    order: tuple[str, ...]
    parameters: Mapping[str, str]
    ranges: tuple[KeyRange, ...]
    documents: int
    outside: Mapping[str, int]
    form: QueryForm
    index: str | None
    strategy: str = "exact"
    estimate: int | None = None
    proof: Proof = Proof.NONE
    sharding: str | None = None
    planned_at: datetime = field(default_factory=_now)
    empty: str | None = None
    source_uuid: str | None = None
    problem: str | None = None

    @property
    def exact(self) -> bool:
        """Whether every range was counted."""
        return all(r.expected is not None for r in self.ranges)

    @property
    def guarantee(self) -> str:
        """What reading these ranges guarantees."""
        counted = f"counted exactly, {self.proof.guarantee}"
        counts = counted if self.exact else "of about the same size, by a sample"
        return "; ".join(filter(None, [self.form.guarantee, counts, self.sharding]))

    def to_document(self) -> dict[str, Any]:
        """The plan as it is stored. Keys are text, because not all BSON may be nested in a document."""
        return {
            "run_id": self.run_id,
            "namespace": self.namespace,
            "order": list(self.order),
            "parameters": dict(self.parameters),
            "ranges": [
                {
                    "range_id": r.range_id,
                    "label": r.label,
                    "expected": r.expected,
                    "about": r.about,
                    "key_range": json.dumps(r.to_json()),
                }
                for r in self.ranges
            ],
            "documents": self.documents,
            "outside": dict(self.outside),
            "form": self.form.value,
            "guarantee": self.guarantee,
            "index": self.index,
            "strategy": self.strategy,
            "estimate": self.estimate,
            "exact": self.exact,
            "proof": self.proof.value,
            "sharding": self.sharding,
            "empty": self.empty,
            "planned_at": self.planned_at,
            "source_uuid": self.source_uuid,
        }

    @classmethod
    def from_document(cls, stored: Mapping[str, Any]) -> Self:
        """The plan that `to_document` was called on."""
        return cls(
            run_id=stored["run_id"],
            namespace=stored["namespace"],
            order=tuple(stored["order"]),
            parameters=stored["parameters"],
            ranges=tuple(KeyRange.from_json(json.loads(r["key_range"])) for r in stored["ranges"]),
            documents=stored["documents"],
            outside=stored["outside"],
            form=QueryForm(stored["form"]),
            index=stored["index"],
            strategy=stored["strategy"],
            estimate=stored["estimate"],
            proof=Proof(stored.get("proof", Proof.NONE)),
            sharding=stored.get("sharding"),
            planned_at=stored["planned_at"],
            empty=stored.get("empty"),
            source_uuid=stored.get("source_uuid"),
            problem=stored.get("problem"),
        )


def parameters_of(namespace: str, window: Window, settings: Settings) -> dict[str, str]:
    """The parameters that identify a run: source, window, order, filter, extractor, force, place of results.

    `force` is one of them: a forced run that resumed an ordinary one would leave out its finished ranges.
    """
    kind = ", ".join(filter(None, (settings.order_type, settings.order_unit)))
    return {
        "source": namespace,
        "start": str(window.start),
        "end": str(window.end),
        "order": f"{settings.order_field} ({kind})",
        "text_field": settings.text_field,
        "filter": json_util.dumps(settings.filter),
        "extractor": settings.extractor_label,
        "force": str(settings.force),
        "entities": settings.entities_collection or "default",
    }


def run_id_of(parameters: Mapping[str, str]) -> str:
    """The id of a run if none is given: the same parameters give the same id."""
    digest = hashlib.sha256(json.dumps(dict(parameters), sort_keys=True).encode()).hexdigest()
    return f"{parameters['source']}-{digest[:12]}"


def check_parameters(plan: Plan, parameters: Mapping[str, str]) -> None:
    """Refuses to resume a plan that was made with other parameters (trap 17, docs/traps.md).

    Raises:
        ConfigError: names the parameters that differ.
    """
    differing = [
        f"{name} was {plan.parameters.get(name)!r}, now {value!r}"
        for name, value in parameters.items()
        if plan.parameters.get(name) != value
    ]
    if differing:
        raise ConfigError(
            f"run_id {plan.run_id!r} is planned already, with other parameters ({'; '.join(differing)}): "
            "choose another run_id"
        )
