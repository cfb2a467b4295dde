"""OrderIndex: an index that serves an order, and what to do where there is none. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bson.max_key import MaxKey
from bson.min_key import MinKey

from engine.keys.key import Key, Order


@dataclass(frozen=True, slots=True)
class OrderIndex:
    """An index by which documents can be read in an order: its fields begin with those of the order.

    The server reads an index in both directions, so an ascending order may have a descending index.

    Attributes:
        collection: the name of its collection. Behind a view, that is another one than is read.
        name: None if the indexes of the collection may not be listed; then it is the one that is expected.
        keys: its fields and their directions, 1 or -1; it may have more fields than the order.
        clustered: whether it is the collection itself, stored in the order of `_id`.
    """

    collection: str
    name: str | None
    keys: tuple[tuple[str, int], ...]
    clustered: bool = False

    @property
    def descending(self) -> bool:
        """Whether the first field, and so the whole order, is descending."""
        return self.keys[0][1] < 0

    @property
    def hint(self) -> Any:
        """What `hint` takes: the name, because several indexes may have the same fields."""
        return self.name or dict(self.keys)

    @property
    def creation(self) -> str:
        """What creates it again."""
        return f"Create it again: {_created(self.collection, self.keys)})"

    def serves(self, order: Order) -> bool:
        """Whether it has all fields of the order first, in one direction; else it serves the first alone."""
        first = self.keys[: len(order.fields)]
        return tuple(name for name, _ in first) == order.fields and len({to for _, to in first}) == 1

    def bound(self, key: Key) -> list[tuple[str, Any]]:
        """The Key as the argument of a cursor's `min` or `max`: before all entries with these values.

        Fields that the order does not have get the value that comes first in the index.
        """
        more = [MinKey() if to > 0 else MaxKey() for _, to in self.keys[len(key.values) :]]
        return [(name, value) for (name, _), value in zip(self.keys, (*key.values, *more), strict=True)]


def missing_index(
    namespace: str,
    order: Order,
    reasons: Sequence[str],
    *,
    behind: str | None = None,
    ways: Sequence[str] = (),
    taken: Collection[str] = (),
) -> str:
    """The message that the order has no usable index, with the reasons and what to do.

    Args:
        namespace: `database.collection` of the source.
        behind: the collection behind a view, on which the index must be.
        ways: what makes an index usable that is there; if there is a way, no other index is proposed.
        taken: the names of indexes that are there: a new one needs another name.
    """
    fields = ", ".join(order.fields)
    name = namespace.partition(".")[2]
    view = f"; it is a view of {behind}" if behind and behind != name else ""
    why = "".join(f"; {reason}" for reason in reasons)
    way = ", or ".join(ways) or _creation(behind or name, order, taken)
    return (
        f"{namespace} has no full index on ({fields}), and reading it in order would sort "
        f"the whole collection{view}{why}. {way}. Or set order_field=_id, which needs no index"
    )


def _creation(name: str, order: Order, taken: Collection[str]) -> str:
    usual = "_".join(f"{field}_1" for field in order.fields)
    named = f', {{"name": "{usual}_full"}}' if usual in taken else ""
    return f"Create it: {_created(name, order.spec)}{named})"


def _created(name: str, keys: Iterable[tuple[str, int]]) -> str:
    spec = ", ".join(f'"{field}": {to}' for field, to in keys)
    return f'db.getCollection("{name}").createIndex({{{spec}}}'
