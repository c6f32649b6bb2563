"""The project's own files, read as text and as syntax trees."""

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("common", "ingress", "workers", "longhaul")
BESIDE = ("tests", "examples", "bench")


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    target: str  # a module, or a module and a name in it
    line: int
    typing_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    path: str  # from the root, with slashes
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def top(self) -> str:
        return self.path.partition("/")[0]

    def imports(self) -> Iterator[Import]:
        typing_only = {
            id(inner)
            for outer in ast.walk(self.tree)
            if isinstance(outer, ast.If) and ast.unparse(outer.test).endswith("TYPE_CHECKING")
            for inner in ast.walk(outer)
        }
        for node in ast.walk(self.tree):
            for target in _targets(node):
                yield Import(
                    target=target,
                    line=getattr(node, "lineno", 0),
                    typing_only=id(node) in typing_only,
                )


def _targets(node: ast.AST) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [name.name for name in names]
        case ast.ImportFrom(module=str(module), names=names, level=0):
            return [f"{module}.{name.name}" for name in names]
        case _:
            return []


@cache
def sources(*tops: str) -> tuple[Source, ...]:
    """The Python files below these top-level folders; all of the project's without one."""
    folders = tops or (*PRODUCT, *BESIDE)
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(_read(path) for path in paths)


def _read(path: Path) -> Source:
    text = path.read_text()
    return Source(path=path.relative_to(ROOT).as_posix(), text=text, tree=ast.parse(text))


def own_files() -> Iterator[Path]:
    """Every file of the project but what `.gitignore` names, whether or not there is a git here."""
    ignored = [".git", *(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split())]

    def is_own(name: str) -> bool:
        return not any(fnmatch(name, pattern) for pattern in ignored)

    for folder, folders, files in os.walk(ROOT):
        folders[:] = filter(is_own, folders)
        yield from (Path(folder, name) for name in files if is_own(name))
