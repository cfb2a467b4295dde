"""The four collections that a run writes; the place where their names are compared with the source's."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import ConfigError
from engine.mongo import driver
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """The collections of results and state, whose writes a majority acknowledges."""

    entities: driver.Collection
    dead_letters: driver.Collection
    plans: driver.Collection
    checkpoints: driver.Collection

    @classmethod
    def of(cls, database: driver.Database, source_name: str, settings: Settings) -> Target:
        """Returns the collections for the source of this name.

        Raises:
            ConfigError: two of them are the same collection.
        """
        names = _names(source_name, settings)
        _refuse_equal(names)
        return cls(**{part: driver.durable(database[name]) for part, name in names.items()})


def target_of(database: driver.Database, source: driver.Collection, settings: Settings) -> Target:
    """Returns the collections that a run of this source writes; call it before anything is read.

    Database and collection names are compared, because two clients of one deployment cannot be told from
    clients of two deployments.

    Raises:
        ConfigError: two of them are the same collection, or one of them is the source, whose documents would
            be overwritten (trap 34, docs/traps.md).
    """
    for part, name in _names(source.name, settings).items():
        if f"{database.name}.{name}" == driver.namespace(source):
            raise ConfigError(
                f"{part.replace('_', ' ')} would be written into the source {driver.namespace(source)}: "
                f"choose another {part}_collection, or another target database"
            )
    return Target.of(database, source.name, settings)


def _names(source_name: str, settings: Settings) -> dict[str, str]:
    return {
        "entities": settings.entities_of(source_name),
        "dead_letters": settings.dead_letters_of(source_name),
        "plans": settings.plans_collection,
        "checkpoints": settings.checkpoints_collection,
    }


def _refuse_equal(names: dict[str, str]) -> None:
    parts: dict[str, str] = {}
    for part, name in names.items():
        if (other := parts.setdefault(name, part)) != part:
            raise ConfigError(
                f"{other.replace('_', ' ')} and {part.replace('_', ' ')} would both be written into "
                f"{name!r}: choose another {other}_collection or {part}_collection"
            )
