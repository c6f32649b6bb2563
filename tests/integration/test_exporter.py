"""The bundled exporter, as a real client sees it over stdio."""

import csv
import hashlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, ResourceLink, TextContent

from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
ORDERS = 8_000


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "exports"


@pytest.fixture
async def exporter(output: Path) -> AsyncIterator[Client]:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "examples.exporter", "--output", str(output)],
        cwd=ROOT,
    )
    async with Client(server) as client:
        yield client


def structured(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def complaint(result: CallToolResult) -> str:
    assert result.is_error
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def test_annotations_say_what_may_be_repeated(exporter: Client) -> None:
    tools = {tool.name: tool.annotations for tool in (await exporter.list_tools()).tools}
    assert set(tools) == {"list_datasets", "preview_rows", "export_rows"}
    for reading in ("list_datasets", "preview_rows"):
        assert (hints := tools[reading]) is not None
        assert hints.read_only_hint is True
    assert (export := tools["export_rows"]) is not None
    assert (export.read_only_hint, export.idempotent_hint) == (False, True)


async def test_lists_and_previews(exporter: Client) -> None:
    listed = structured(await exporter.call_tool("list_datasets"))["datasets"]
    assert {each["name"]: each["rows"] for each in listed} == {"orders": ORDERS, "readings": 12_000}
    preview = structured(
        await exporter.call_tool(
            "preview_rows", {"dataset": "orders", "where": {"country": "DE"}, "limit": 3}
        )
    )
    assert [row["country"] for row in preview["rows"]] == ["DE"] * 3
    assert 3 < preview["matching"] < ORDERS


async def test_export_writes_every_row_as_csv(exporter: Client, output: Path) -> None:
    result = await exporter.call_tool("export_rows", {"dataset": "orders"})
    export = structured(result)
    path = Path(export["path"])
    assert path == output.resolve() / "orders.csv"
    assert path.read_bytes() == (ROOT / "examples/exporter/data/orders.csv").read_bytes()
    assert (export["rows"], export["bytes"]) == (ORDERS, path.stat().st_size)
    assert export["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    (link,) = [block for block in result.content if isinstance(block, ResourceLink)]
    assert link.uri == path.as_uri()
    assert [file.name for file in output.iterdir()] == ["orders.csv"]


async def test_export_filters_and_writes_json_lines(exporter: Client) -> None:
    where = {"status": ["returned", "cancelled"], "country": "CH"}
    arguments = {"dataset": "orders", "format": "jsonl", "where": where, "destination": "a/b"}
    export = structured(await exporter.call_tool("export_rows", arguments))
    with (ROOT / "examples/exporter/data/orders.csv").open(newline="") as file:
        expected = [
            row
            for row in csv.DictReader(file)
            if row["country"] == "CH" and row["status"] in {"returned", "cancelled"}
        ]
    path = Path(export["path"])
    assert [json.loads(line) for line in path.read_text().splitlines()] == expected
    assert path.parent.parts[-2:] == ("a", "b")
    again = structured(await exporter.call_tool("export_rows", arguments))
    assert (again["path"], again["sha256"]) == (export["path"], export["sha256"])


async def test_a_filter_that_keeps_nothing_makes_an_empty_export(exporter: Client) -> None:
    arguments = {"dataset": "orders", "where": {"country": "XX"}}
    export = structured(await exporter.call_tool("export_rows", arguments))
    assert export["rows"] == 0
    assert Path(export["path"]).read_text().startswith("order_id,")


async def test_progress_strictly_increases_to_the_total_at_the_given_rate(exporter: Client) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    export = structured(
        await exporter.call_tool(
            "export_rows",
            {"dataset": "orders", "rows_per_second": 8_000},
            progress_callback=progress,
        )
    )
    values = [value for value, _, _ in heard]
    assert values == sorted(set(values))
    assert len(values) >= 4
    assert values[-1] == ORDERS
    assert heard[-1][1:] == (ORDERS, "8,000 of 8,000 rows")
    assert export["seconds"] >= 1.0


async def test_cancellation_stops_the_export_and_leaves_nothing(
    exporter: Client, output: Path
) -> None:
    heard = anyio.Event()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        del progress, total, message
        heard.set()

    async def export() -> None:
        arguments = {"dataset": "orders", "rows_per_second": 20}
        await exporter.call_tool("export_rows", arguments, progress_callback=progress)

    async with anyio.create_task_group() as group:
        group.start_soon(export)
        with anyio.fail_after(PATIENCE):
            await heard.wait()
        assert len(list(output.iterdir())) == 1  # the part file
        group.cancel_scope.cancel()
    await until(lambda: not list(output.iterdir()))


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"dataset": "invoices"}, "there are: orders, readings"),
    ({"dataset": "orders", "where": {"colour": "red"}}, "has no column 'colour'"),
    ({"dataset": "orders", "destination": "../elsewhere"}, "outside"),
    ({"dataset": "orders", "destination": "/elsewhere"}, "outside"),
    ({"dataset": "orders", "format": "xlsx"}, "'csv' or 'jsonl'"),
    ({"dataset": "orders", "rows_per_second": 0}, "greater than 0"),
]


async def test_bad_arguments_get_a_clear_tool_error(exporter: Client, output: Path) -> None:
    for arguments, says in BAD_ARGUMENTS:
        assert says in complaint(await exporter.call_tool("export_rows", arguments))
    assert not output.exists()


async def test_a_symbolic_link_does_not_lead_outside(
    exporter: Client, output: Path, tmp_path: Path
) -> None:
    output.mkdir()
    (output / "way-out").symlink_to(tmp_path, target_is_directory=True)
    arguments = {"dataset": "orders", "destination": "way-out"}
    assert "outside" in complaint(await exporter.call_tool("export_rows", arguments))
    assert not (tmp_path / "orders.csv").exists()
