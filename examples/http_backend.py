"""A small MCP server over streamable HTTP with quick tools: `python -m examples.http_backend PORT`.

It prints one line when it can be called, its URL, and nothing else on standard output.
"""

import argparse
import re
import socket
from collections import Counter
from typing import Annotated, Literal

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

# What one unit is in the base unit of its kind; a temperature also has an offset.
_FACTORS = {
    "length": {
        "mm": 0.001,
        "cm": 0.01,
        "m": 1.0,
        "km": 1000.0,
        "in": 0.0254,
        "ft": 0.3048,
        "mi": 1609.344,
    },
    "mass": {"g": 0.001, "kg": 1.0, "t": 1000.0, "oz": 0.028349523125, "lb": 0.45359237},
    "volume": {"ml": 0.001, "l": 1.0, "m3": 1000.0, "gal": 3.785411784},
    "temperature": {"K": 1.0, "C": 1.0, "F": 5 / 9},
}
_OFFSETS = {"C": 273.15, "F": 459.67 * 5 / 9}
_KIND = {unit: kind for kind, units in _FACTORS.items() for unit in units}

Unit = Literal[
    "mm", "cm", "m", "km", "in", "ft", "mi",
    "g", "kg", "t", "oz", "lb",
    "ml", "l", "m3", "gal",
    "K", "C", "F",
]  # fmt: skip


class Conversion(BaseModel):
    value: float
    unit: str


class TextStatistics(BaseModel):
    characters: int
    words: int
    sentences: int
    lines: int
    longest_word: str
    common_words: list[str] = Field(description="Up to five, the most frequent first")


def convert_units(value: float, unit: Unit, to: Unit) -> Conversion:
    """Convert a length, mass, volume or temperature."""
    kind = _KIND[unit]
    if kind != _KIND[to]:
        raise ToolError(f"{unit} is a {kind}, {to} is a {_KIND[to]}")
    base = value * _FACTORS[kind][unit] + _OFFSETS.get(unit, 0.0)
    return Conversion(
        value=float(f"{(base - _OFFSETS.get(to, 0.0)) / _FACTORS[kind][to]:.10g}"), unit=to
    )


def text_statistics(
    text: Annotated[str, Field(max_length=200_000, description="Plain text")],
) -> TextStatistics:
    """Count what a text is made of."""
    words = re.findall(r"[^\W_]+(?:['\u2019-][^\W_]+)*", text)
    return TextStatistics(
        characters=len(text),
        words=len(words),
        sentences=len(re.findall(r"[.!?…]+(?=\s|$)", text)),
        lines=len(text.splitlines()),
        longest_word=max(words, key=len, default=""),
        common_words=[word for word, _ in Counter(map(str.lower, words)).most_common(5)],
    )


def build_server() -> MCPServer:
    server = MCPServer("desk", version="1.0.0", log_level="WARNING")
    pure = ToolAnnotations(read_only_hint=True, open_world_hint=False)
    server.tool(annotations=pure)(convert_units)
    server.tool(annotations=pure)(text_statistics)
    return server


def main() -> None:
    parser = argparse.ArgumentParser(prog="examples.http_backend", description=__doc__)
    parser.add_argument("port", type=int, nargs="?", default=8091, help="0 takes a free one")
    listening = socket.create_server(("127.0.0.1", parser.parse_args().port))
    port = listening.getsockname()[1]
    app = build_server().streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2))
    # It listens already: a call made now waits in the backlog until the server takes it.
    print(f"http://127.0.0.1:{port}/mcp", flush=True)
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
