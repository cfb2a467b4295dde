"""The four collections that a run writes; the place where their names are compared with the source's."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import ConfigError
from engine.mongo import calls, driver, privileges
from engine.settings import Settings


@dataclass(frozen=True, slots=True)
class Target:
    """The collections of results and state, whose writes a majority acknowledges."""

    entities: driver.Collection
    dead_letters: driver.Collection
    plans: driver.Collection
    checkpoints: driver.Collection

    @classmethod
    def of(cls, database: driver.AnyDatabase, source: str, settings: Settings) -> Target:
        """Returns the collections that a run of this source writes; see `target_of`.

        Args:
            source: `database.collection`, as a plan keeps it.
        """
        names = _names(source.partition(".")[2], settings)
        _refuse_source(database.name, names, source)
        _refuse_equal(names)
        return cls(**{part: driver.durable(calls.named(database, name)) for part, name in names.items()})

    async def check_plans(self) -> None:
        """Checks that the login may keep plans and checkpoints (`privileges.check_target`)."""
        await self._check({self.plans.name: privileges.KEEP, self.checkpoints.name: privileges.KEEP})

    async def check_results(self) -> None:
        """Checks that the login may write results."""
        await self._check({self.entities.name: privileges.WRITE, self.dead_letters.name: privileges.WRITE})

    async def check_replay(self) -> None:
        """Checks that the login may write results, and read the dead letters in the order of an index."""
        ordered = privileges.WRITE | privileges.WALK
        results = {self.entities.name: privileges.WRITE, self.dead_letters.name: ordered}
        await self._check({**results, "": privileges.LIST})

    async def check_verification(self) -> None:
        """Checks that the login may read results."""
        await self._check({self.entities.name: privileges.READ, self.dead_letters.name: privileges.READ})

    async def _check(self, needs: privileges.Needs) -> None:
        await privileges.check_target(self.plans.database, needs)


def target_of(database: driver.AnyDatabase, source: driver.AnyCollection, settings: Settings) -> Target:
    """Returns the collections that a run of this source writes; call it before anything is read.

    Database and collection names are compared, because two clients of one deployment cannot be told from
    clients of two deployments.

    Raises:
        ConfigError: two of them are the same collection, or one of them is the source, whose documents would
            be overwritten (trap 34, docs/traps.md).
    """
    return Target.of(database, driver.namespace(source), settings)


def plans_of(database: driver.AnyDatabase, settings: Settings) -> driver.Collection:
    """Returns the collection of plans, from which a run's source is known."""
    return driver.durable(calls.named(database, settings.plans_collection))


def _names(source_name: str, settings: Settings) -> dict[str, str]:
    return {
        "entities": settings.entities_of(source_name),
        "dead_letters": settings.dead_letters_of(source_name),
        "plans": settings.plans_collection,
        "checkpoints": settings.checkpoints_collection,
    }


def _refuse_source(database: str, names: dict[str, str], source: str) -> None:
    for part, name in names.items():
        if f"{database}.{name}" == source:
            raise ConfigError(
                f"{part.replace('_', ' ')} would be written into the source {source}: "
                f"choose another {part}_collection, or another target database"
            )


def _refuse_equal(names: dict[str, str]) -> None:
    parts: dict[str, str] = {}
    for part, name in names.items():
        if (other := parts.setdefault(name, part)) != part:
            raise ConfigError(
                f"{other.replace('_', ' ')} and {part.replace('_', ' ')} would both be written into "
                f"{name!r}: choose another {other}_collection or {part}_collection"
            )
