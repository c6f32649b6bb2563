"""The data sets that can be exported: what is in them, and which rows a filter keeps."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"

Where = Mapping[str, str | list[str]]


class UnknownName(LookupError):
    """There is no data set or column of that name; the message lists those there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A table held in memory: the bundled ones are small."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def matching(self, where: Where) -> list[tuple[str, ...]]:
        """The rows, in order, whose value in every named column is (one of) the wanted."""
        for column in where:
            if column not in self.columns:
                there = ", ".join(self.columns)
                raise UnknownName(f"{self.name!r} has no column {column!r}; it has: {there}")
        tests = [
            (self.columns.index(column), {wanted} if isinstance(wanted, str) else set(wanted))
            for column, wanted in where.items()
        ]
        return [row for row in self.rows if all(row[index] in wanted for index, wanted in tests)]


def names() -> list[str]:
    return sorted(path.stem for path in DATA.glob("*.csv"))


@cache
def load(name: str) -> Dataset:
    """The data set of that name, read once; raises UnknownName."""
    if name not in names():
        raise UnknownName(f"there is no data set {name!r}; there are: {', '.join(names())}")
    with (DATA / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return Dataset(name=name, columns=tuple(header), rows=tuple(map(tuple, rows)))
