"""The exporter's tools, over stdio: an ordinary MCP server, and a cooperative one for Longhaul."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, ResourceLink, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from examples.exporter import datasets
from examples.exporter.cooperation import OUTBOX, mark_of, may_call_again, outbox_of, report
from examples.exporter.datasets import Dataset, UnknownName
from examples.exporter.part import Mark
from examples.exporter.writing import (
    Format,
    OutsideFolder,
    Place,
    Table,
    Written,
    file_name,
    folder_within,
    write_rows,
)

LARGE = 100_000  # rows; a larger export is handed to Longhaul where it takes files
_MEDIA = {"csv": "text/csv", "jsonl": "application/jsonl"}

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_REPLACES = ToolAnnotations(
    read_only_hint=False,
    # The name follows from the arguments: a repeated export replaces itself, nothing else.
    destructive_hint=False,
    idempotent_hint=True,
    open_world_hint=False,
)

DatasetName = Annotated[str, Field(description="A name that list_datasets gives, e.g. orders")]
WhereClause = Annotated[
    dict[str, str | list[str]] | None,
    Field(description='Keep rows with these values, e.g. {"country": ["DE", "AT"]}'),
]


class DatasetInfo(BaseModel):
    name: str
    rows: int
    columns: list[str]


class DatasetList(BaseModel):
    datasets: list[DatasetInfo]


class Preview(BaseModel):
    rows: list[dict[str, str]]
    matching: int = Field(description="Rows that the filter keeps, all told")


class Export(BaseModel):
    path: str
    uri: str
    rows: int
    bytes: int
    sha256: str
    seconds: float


def _load(name: str) -> Dataset:
    try:
        return datasets.load(name)
    except UnknownName as unknown:
        raise ToolError(str(unknown)) from unknown


def _matching(dataset: Dataset, where: dict[str, str | list[str]] | None) -> list[tuple[str, ...]]:
    try:
        return dataset.matching(where or {})
    except UnknownName as unknown:
        raise ToolError(str(unknown)) from unknown


def list_datasets() -> DatasetList:
    """The data sets that can be exported, with their columns."""
    loaded = map(datasets.load, datasets.names())
    return DatasetList(
        datasets=[
            DatasetInfo(name=each.name, rows=len(each.rows), columns=list(each.columns))
            for each in loaded
        ]
    )


def preview_rows(
    dataset: DatasetName,
    where: WhereClause = None,
    limit: Annotated[int, Field(ge=1, le=50)] = 5,
) -> Preview:
    """The first rows of a data set, before the whole is exported."""
    table = _load(dataset)
    rows = _matching(table, where)
    first = [dict(zip(table.columns, row, strict=True)) for row in rows[:limit]]
    return Preview(rows=first, matching=len(rows))


def _answer(written: Written, format_: Format) -> CallToolResult:
    name = written.path.name
    return CallToolResult(
        content=[
            TextContent(
                text=f"Exported {written.rows:,} rows to {name} "
                f"({written.bytes:,} bytes) in {written.seconds:.1f} s."
            ),
            ResourceLink(
                name=name,
                uri=written.path.as_uri(),
                mime_type=_MEDIA[format_],
                size=written.bytes,
            ),
        ],
        structured_content=Export(
            path=str(written.path),
            uri=written.path.as_uri(),
            rows=written.rows,
            bytes=written.bytes,
            sha256=written.sha256,
            seconds=written.seconds,
        ).model_dump(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, and where its file goes."""

    ctx: Context
    output: Path
    destination: str

    def place(self, name: str, rows: int) -> Place:
        """A part is where a later try finds it, a large export where Longhaul keeps it."""
        folder, outbox = folder_within(self.output, self.destination), outbox_of(self.ctx)
        mark = mark_of(self.ctx)
        if outbox is None:
            lasts = may_call_again(self.ctx)
            return Place(target=folder / name, scratch=folder, lasts=lasts, mark=mark)
        kept = outbox if rows > LARGE else folder
        return Place(target=kept / name, scratch=outbox, lasts=True, mark=mark)


async def _export(
    call: Call,
    dataset: DatasetName,
    format: Format,  # noqa: A002 - as the argument is named
    where: WhereClause,
    copies: int,
    rows_per_second: float | None,
) -> CallToolResult:
    loaded = _load(dataset)
    table = Table(columns=loaded.columns, some=_matching(loaded, where), copies=copies)

    async def progress(done: int, total: int, mark: Mark) -> None:
        await report(call.ctx, done, total, mark)

    try:
        written = await write_rows(
            call.place(file_name(dataset, format, where, copies), len(table)),
            table,
            format,
            rows_per_second=rows_per_second,
            progress=progress,
        )
    except OutsideFolder as outside:
        raise ToolError(str(outside)) from outside
    except OSError as trouble:
        raise ToolError(f"cannot write the export: {trouble.strerror}") from trouble
    return _answer(written, format)


def build_server(output: Path) -> MCPServer:
    """The server; every file it writes is below `output`."""
    server = MCPServer(
        "exporter",
        version="1.0.0",
        instructions="Exports rows of bundled data sets to CSV or JSON lines files.",
        log_level="WARNING",
    )
    server.tool(annotations=_READS)(list_datasets)
    server.tool(annotations=_READS)(preview_rows)

    @server.tool(annotations=_REPLACES, meta={OUTBOX: True})
    async def export_rows(
        ctx: Context,
        dataset: DatasetName,
        format: Format = "csv",  # noqa: A002 - the argument's name on the wire
        where: WhereClause = None,
        copies: Annotated[
            int, Field(ge=1, le=1_000_000, description="All rows so often, for a large file")
        ] = 1,
        rows_per_second: Annotated[
            float | None, Field(gt=0, description="A rate limit; without it, as fast as the disk")
        ] = None,
        destination: Annotated[
            str, Field(description="A folder within the exporter's own output folder")
        ] = "",
    ) -> Annotated[CallToolResult, Export]:
        """Export a data set's rows to a file; a long one tells how far it is."""
        call = Call(ctx=ctx, output=output, destination=destination)
        return await _export(call, dataset, format, where, copies, rows_per_second)

    return server


def main() -> None:
    parser = argparse.ArgumentParser(prog="examples.exporter", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("exports"), help="folder for the files")
    build_server(parser.parse_args().output.resolve()).run("stdio")
