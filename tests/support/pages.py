"""The documentation as data: its pages, links, code blocks, commands and variables."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from tests.support.sources import ROOT

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_VARIABLE = re.compile(r"LONGHAUL_[A-Z][A-Z0-9_]*")
_COMMAND = re.compile(r"^(?:\S*/)?longhaul ((?:[a-z]|-).*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    words: tuple[str, ...]  # without `longhaul`
    planned: bool  # its paragraph says so


@dataclass(frozen=True, slots=True)
class Page:
    path: Path

    @override
    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text()

    def links(self) -> list[str]:
        """Targets within the repository, as written."""
        found = _LINK.findall(_FENCE.sub("", self.text))
        return [link for link in found if "://" not in link]

    def anchors(self) -> set[str]:
        """What GitHub calls its headings."""
        plain = (heading.replace("`", "").lower() for heading in _HEADING.findall(self.text))
        return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}

    def blocks(self, language: str) -> list[str]:
        return [code for kind, code in _FENCE.findall(self.text) if kind == language]

    def variables(self) -> set[str]:
        return {name.rstrip("_") for name in _VARIABLE.findall(self.text)}

    def commands(self) -> Iterator[Command]:
        """Every `longhaul ...` in a block of shell or between backticks."""
        for block in self.blocks("sh"):
            for line in block.splitlines():
                yield from _read(line, planned=False)
        for paragraph in _FENCE.sub("", self.text).split("\n\n"):
            planned = "planned" in paragraph.lower()
            for span in _SPAN.findall(paragraph):
                yield from _read(span, planned=planned)


def pages() -> list[Page]:
    """README and everything below docs, without the template."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(path) for path in found if path.name != "template.md"]


def _read(line: str, *, planned: bool) -> Iterator[Command]:
    match = _COMMAND.match(line.strip())
    if match:
        yield Command(words=tuple(shlex.split(match[1], comments=True)), planned=planned)
