"""Stand-in for what a list of a parameter node is in Slicer: no `list`, and each change in it is kept on the node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableSequence
from typing import Any


class ObservedList(MutableSequence[Any]):
    """Items, and what to call with all of them after each change. As in Slicer it cannot be joined with ``+``."""

    def __init__(self, items: Iterable[Any], save: Callable[[list[Any]], None]) -> None:
        self._items, self._save = list(items), save

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self._items[index] = value
        self._save(self._items)

    def __delitem__(self, index: Any) -> None:
        del self._items[index]
        self._save(self._items)

    def insert(self, index: int, value: Any) -> None:
        self._items.insert(index, value)
        self._save(self._items)

    def __eq__(self, other: object) -> bool:
        return self._items == (other._items if isinstance(other, ObservedList) else other)

    def __repr__(self) -> str:
        return f"ObservedList({self._items})"
