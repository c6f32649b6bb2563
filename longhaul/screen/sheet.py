"""Rows in columns that fit the terminal: what gives way when they do not, and what is never cut.

One rule for every list. Names, ids, states and numbers stand in full. Where the terminal is too
narrow for a row, in this order, until the rest fits: free text leaves its row, the last column
first, and stands in full beneath it; then a name that is too long stands on a line of its own;
then any other column leaves, the last one first.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

GAP = 2  # cells between columns, and before what stands beneath
LEAST = 24  # cells that an elastic column needs to stay in its row
NARROWEST = 8  # cells that are kept for names, once the longer ones stand alone

Cell = str | Text


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`how`: empty (free text) | whole | number | line (may be cut) | wrap (may be broken)."""

    name: str
    how: str

    @property
    def elastic(self) -> bool:
        return self.how in {"line", "wrap"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which columns stay in the row, how broad each is, and which stand beneath it."""

    widths: dict[int, int]  # by the column's place
    beneath: tuple[int, ...]


def arrange(columns: Sequence[Column], natural: Sequence[int], width: int) -> Layout:
    """Pure. `natural` is how much room each column would take, `width` how much there is."""
    inside = list(range(len(columns)))
    alone = False
    for place in (None, *_giving_way(columns)):
        if place == 0:
            alone = True
        elif place is not None:
            inside.remove(place)
        if _needed(columns, natural, inside, alone=alone) <= width:
            break
    least = _needed(columns, natural, inside, alone=alone)
    spare = max(0, width - least)
    widths: dict[int, int] = {}
    for place in inside:
        wanted, minimum = natural[place], _minimum(columns, natural, place, alone=alone)
        widths[place] = min(wanted, minimum + spare)
        spare -= widths[place] - minimum
    return Layout(
        widths=widths,
        beneath=tuple(place for place in range(len(columns)) if place not in inside),
    )


def _giving_way(columns: Sequence[Column]) -> Iterator[int]:
    """Places in the order in which they leave; 0 stands for: long names stand alone."""
    others = range(len(columns) - 1, 0, -1)
    yield from (place for place in others if not columns[place].how)
    yield 0
    yield from (place for place in others if columns[place].elastic)
    yield from (place for place in others if columns[place].how in {"whole", "number"})


def _minimum(columns: Sequence[Column], natural: Sequence[int], place: int, *, alone: bool) -> int:
    if place == 0:
        return min(natural[0], NARROWEST) if alone else natural[0]
    return min(natural[place], LEAST) if columns[place].elastic else natural[place]


def _needed(
    columns: Sequence[Column], natural: Sequence[int], inside: Sequence[int], *, alone: bool
) -> int:
    least = (_minimum(columns, natural, place, alone=alone) for place in inside)
    return sum(least) + GAP * (len(inside) - 1)


class Sheet:
    """Plain columns without rules: easy to read, easy to copy."""

    def __init__(self, columns: Sequence[Column], *, headed: bool = True) -> None:
        self._columns = columns
        self._head = [Text(column.name, style="dim") for column in columns] if headed else None
        self._rows: list[list[Text]] = []

    def add_row(self, *cells: Cell) -> None:
        made = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        self._rows.append(made)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        natural = self._natural()
        return Measurement(NARROWEST, sum(natural) + GAP * (len(natural) - 1))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        width = options.max_width
        layout = arrange(self._columns, self._natural(), width)
        for row in self._all():
            below = _below(row, layout, console, width)
            for line in (*self._inside(row, layout, console, width), *below):
                line.rstrip()
                line.no_wrap, line.overflow = True, "ignore"
                yield line

    def _all(self) -> list[list[Text]]:
        return self._rows if self._head is None else [self._head, *self._rows]

    def _natural(self) -> list[int]:
        return [
            max((_breadth(row[place]) for row in self._all()), default=0)
            for place in range(len(self._columns))
        ]

    def _inside(
        self, row: Sequence[Text], layout: Layout, console: Console, width: int
    ) -> Iterator[Text]:
        """The row itself, and before it its name, if that stands alone."""
        row = list(row)
        if _breadth(row[0]) > layout.widths[0]:
            yield from row[0].wrap(console, width)
            row[0] = Text("")
            if not any(row[place].plain for place in layout.widths):
                return
        cells = [
            self._fitted(row[place], place, room, console) for place, room in layout.widths.items()
        ]
        for number in range(max(len(lines) for lines in cells)):
            yield _joined(
                [
                    _padded(
                        lines[number] if number < len(lines) else Text(""),
                        room,
                        right=self._columns[place].how == "number",
                    )
                    for lines, (place, room) in zip(cells, layout.widths.items(), strict=True)
                ],
                " " * GAP,
            )

    def _fitted(self, cell: Text, place: int, width: int, console: Console) -> list[Text]:
        if self._columns[place].how == "line":
            short = cell.copy()
            short.truncate(width, overflow="ellipsis")
            return [short]
        return list(cell.wrap(console, max(1, width))) or [Text("")]


def sheet(*columns: str, headed: bool = True) -> Sheet:
    """A column may say how: `NAME:number`, `:whole`, `:line` (may be cut), `:wrap`; else text."""
    parted = (column.partition(":") for column in columns)
    return Sheet([Column(name=name, how=how) for name, _, how in parted], headed=headed)


def _below(row: Sequence[Text], layout: Layout, console: Console, width: int) -> Iterator[Text]:
    said = [row[place] for place in layout.beneath if row[place].plain.strip()]
    if said:
        for line in _joined(said, " · ").wrap(console, max(1, width - GAP)):
            yield _joined([Text(" " * GAP), line], "")


def _breadth(cell: Text) -> int:
    return max((cell_len(line) for line in cell.plain.splitlines()), default=0)


def _padded(cell: Text, width: int, *, right: bool) -> Text:
    missing = max(0, width - cell_len(cell.plain))
    return _joined([Text(" " * missing), cell] if right else [cell, Text(" " * missing)], "")


def _joined(parts: Iterable[Text], between: str) -> Text:
    return Text(between).join(parts)
