"""The demo's streamable HTTP server: ready when it says so, and right."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mcp import Client

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]


@pytest.fixture
def url() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, "-m", "examples.http_backend", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()
        assert process.stdout.read() == ""  # one ready line, nothing else


async def test_converts_and_counts(url: str) -> None:
    async with Client(url) as client:
        boiling = await client.call_tool("convert_units", {"value": 212, "unit": "F", "to": "C"})
        assert boiling.structured_content == {"value": 100.0, "unit": "C"}
        mixed = await client.call_tool("convert_units", {"value": 1, "unit": "kg", "to": "m"})
        assert mixed.is_error
        counted = await client.call_tool(
            "text_statistics", {"text": "The long road. The long haul!\nDon't stop."}
        )
        assert counted.structured_content == {
            "characters": 41,
            "words": 8,
            "sentences": 3,
            "lines": 2,
            "longest_word": "Don't",
            "common_words": ["the", "long", "road", "haul", "don't"],
        }
