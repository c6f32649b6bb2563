"""JSON into a tree of values with lines, with the comments and trailing commas editors allow.

The standard library reads the scalars; it cannot say where they stand, and YAML refuses tabs.
"""

import json
import re
from bisect import bisect_right
from typing import NoReturn

from common.config.problems import ConfigError, Origin, Problem
from common.config.tree import Node

_SKIP = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)


def read_json(text: str, file: str) -> Node:
    """Read one document; of a key written twice the last counts, as in the programs themselves.

    Raises:
        ConfigError: Not JSON.
    """
    return _Reader(text, file).document()


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._lines = [match.start() for match in re.finditer("\n", text)]
        self._scalars = json.JSONDecoder(strict=False)
        self._position = 0

    def document(self) -> Node:
        self._skip()
        node = self._value(self._origin())
        self._skip()
        if self._position < len(self._text):
            self._refuse("more text after the end")
        return node

    def _value(self, origin: Origin) -> Node:
        match self._peek():
            case "{":
                return Node(value=self._object(), origin=origin)
            case "[":
                return Node(value=self._array(), origin=origin)
            case _:
                return self._scalar(origin)

    def _object(self) -> dict[str, Node]:
        self._position += 1
        found: dict[str, Node] = {}
        while not self._closed("}"):
            origin = self._origin()
            key = self._scalar(origin)
            if not isinstance(key.value, str):
                self._refuse("a key must be text in double quotes")
            self._skip()
            if self._peek() != ":":
                self._refuse("a colon is missing after the key")
            self._position += 1
            self._skip()
            found[key.value] = self._value(origin)
            self._separate("}")
        return found

    def _array(self) -> tuple[Node, ...]:
        self._position += 1
        found: list[Node] = []
        while not self._closed("]"):
            found.append(self._value(self._origin()))
            self._separate("]")
        return tuple(found)

    def _closed(self, bracket: str) -> bool:
        self._skip()
        if self._peek() != bracket:
            return False
        self._position += 1
        return True

    def _separate(self, bracket: str) -> None:
        self._skip()
        if self._peek() == ",":
            self._position += 1
        elif self._peek() != bracket:
            self._refuse("a comma is missing" if self._peek() else f"{bracket} is missing")

    def _scalar(self, origin: Origin) -> Node:
        start = self._position
        try:
            value, self._position = self._scalars.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            self._position = min(error.pos, len(self._text))
            self._refuse(error.msg)
        text = value if isinstance(value, str) else self._text[start : self._position]
        return Node(value=value, origin=origin, text=text)

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _skip(self) -> None:
        if match := _SKIP.match(self._text, self._position):
            self._position = match.end()

    def _origin(self) -> Origin:
        return Origin(file=self._file, line=bisect_right(self._lines, self._position - 1) + 1)

    def _refuse(self, why: str) -> NoReturn:
        raise ConfigError([Problem(message=f"not JSON: {why}", origin=self._origin())])
