"""What a job's tool said, on the screen. Pure: JSON of the REST interface in, text out."""

from collections.abc import Mapping
from typing import Any

from longhaul.screen.words import moment


class Page:
    """Messages stand on lines of their own; pieces of the tool's text follow each other."""

    def __init__(self) -> None:
        self._open = False  # the last line has no end yet
        self._tried: int | None = None

    def new_try(self, entry: Mapping[str, Any]) -> int | None:
        """The number of the try that begins with this entry, unless it is the first one shown."""
        before, self._tried = self._tried, entry["tried"]
        return self._tried if before not in {None, self._tried} else None

    def add(self, entry: Mapping[str, Any]) -> str:
        text = str(entry["text"])
        if entry["kind"] == "text":
            self._open = not text.endswith("\n")
            return text
        at = moment(entry["at"]).astimezone().strftime("%H:%M:%S")
        level = f"{entry['level']}: " if entry["level"] else ""
        return f"{self.end()}{at} {level}{text}\n"

    def end(self) -> str:
        """What ends the last line."""
        ending = "\n" if self._open else ""
        self._open = False
        return ending
