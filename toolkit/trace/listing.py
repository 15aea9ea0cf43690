"""A few rows of one kind, as a learner wants them: to loop over, and to look at."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar, overload

T = TypeVar("T")
NEW, CHANGED = "new", "changed"
_GAP = "  "
_SIGNS = {NEW: "+", CHANGED: "~"}


class Shape(NamedTuple):
    """How rows of one kind look as text."""

    columns: tuple[str, ...]
    empty: str
    """What is to be said where there are no rows."""


class Listing(Sequence[T], Generic[T]):
    """Rows that print as a table, with those marked that the last step has made or changed."""

    def __init__(
        self, shape: Shape, items: Sequence[T], cells: Sequence[tuple[str, ...]], marks: dict[int, str] | None = None
    ) -> None:
        """Keep `items`, how each looks, and by their index the marks of those that have one."""
        self.shape = shape
        self.cells = tuple(cells)
        self.marks = marks or {}
        self._items = tuple(items)

    @property
    def new(self) -> list[T]:
        """Those that the last step has made, or changed."""
        return [self._items[index] for index in sorted(self.marks)]

    @property
    def rows(self) -> list[dict[str, str]]:
        """Each row as a dict from heading to text."""
        return [dict(zip(self.shape.columns, cells, strict=True)) for cells in self.cells]

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequence[T]": ...
    def __getitem__(self, index: int | slice) -> "T | Sequence[T]":
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        if not self._items:
            return self.shape.empty
        lines = [self.shape.columns, *self.cells]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        signs = [" ", *(_SIGNS.get(self.marks.get(index, ""), " ") for index in range(len(self.cells)))]
        return "\n".join(
            f"{sign} {_GAP.join(map(str.ljust, line, widths))}".rstrip()
            for sign, line in zip(signs, lines, strict=True)
        )
