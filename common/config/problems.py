"""What is wrong with a configuration, and where it stands: the words of every complaint."""

from collections.abc import Iterable
from dataclasses import dataclass

from typing_extensions import override


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a value came from: a line of a file, or a source that a label names."""

    file: str | None = None
    line: int | None = None  # from 1
    label: str = "default"

    @override
    def __str__(self) -> str:
        if self.file is None:
            return self.label
        return self.file if self.line is None else f"{self.file}:{self.line}"


DEFAULT = Origin()
COMMAND_LINE = Origin(label="command line")


def environment(name: str) -> Origin:
    return Origin(label=f"environment {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that must or should change, as an error or as a warning."""

    message: str
    path: tuple[str, ...] = ()
    origin: Origin = DEFAULT
    nearest: str | None = None  # the known name that looks most like the unknown one

    @property
    def file(self) -> str | None:
        return self.origin.file

    @property
    def line(self) -> int | None:
        return self.origin.line

    @property
    def key(self) -> str:
        """The dotted setting, as `mcpServers.exporter.replicas`; empty for a whole file."""
        return ".".join(self.path)

    @override
    def __str__(self) -> str:
        where = "" if self.origin == DEFAULT else str(self.origin)
        hint = f" (did you mean {self.nearest}?)" if self.nearest else ""
        return ": ".join(part for part in (where, self.key, self.message + hint) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A key of another program's file that means nothing to Longhaul."""

    file: str
    line: int
    key: str  # dotted
    reason: str


class ConfigError(Exception):
    """The configuration cannot be used; `problems` names everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
