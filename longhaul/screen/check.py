"""The check-up on the screen, and as JSON. Pure."""

from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from common.config.explain import Row, explain
from common.config.names import expose
from common.config.problems import Ignored, Problem
from longhaul.checkup import Report, Server, Tried
from longhaul.screen.output import indented
from longhaul.screen.sheet import sheet
from longhaul.screen.words import first_line

_DEFAULT = "default"


def complaints(report: Report) -> list[str]:
    """What must change, in sentences; empty: it can be used."""
    return [
        *(str(problem) for problem in report.problems),
        *(f"{each.kind} {each.name}: {each.error}" for each in report.servers if each.error),
        *(f"backend {each.name}: {each.error}" for each in report.backends if each.error),
    ]


def cautions(report: Report) -> list[str]:
    """What should be known; it works all the same."""
    return [
        *(str(problem) for problem in report.warnings),
        *(f"{each.kind}: {warning}" for each in report.servers for warning in each.warnings),
        *(f"backend {each.name}: {words}" for each in report.backends for words in _odd(each)),
    ]


def _odd(tried: Tried) -> Iterable[str]:
    if tried.listing is None:
        return
    for name, reason in tried.listing.dropped:
        yield f"tool {name} is left out: {reason}"
    for name, reason in tried.listing.bad_headers:
        yield f"tool {name} is not shown to clients of 2026-07-28: {reason}"


def report_screen(report: Report, *, every_setting: bool) -> RenderableType:
    namespaces = report.loaded.settings.namespaces
    parts: list[RenderableType] = [
        _heading("Configuration"),
        indented(Text(str(report.loaded.file or "no file; defaults and the environment"))),
        _settings(report, every_setting=every_setting),
        _heading("Servers"),
        *(indented(_server(each)) for each in report.servers),
        _heading("Backends"),
        *(indented(_backend(each, namespaces=namespaces)) for each in report.backends),
    ]
    if report.loaded.ignored:
        parts += [_heading("Ignored"), *(indented(_ignored(e)) for e in report.loaded.ignored)]
    for word, style, found in (
        ("Warnings", "yellow", cautions(report)),
        ("Problems", "bold red", complaints(report)),
    ):
        if found:
            parts.append(_heading(word, style))
            parts += [indented(Text(f"· {each}")) for each in found]
    parts.append(_verdict(report))
    return Group(*parts)


def _settings(report: Report, *, every_setting: bool) -> RenderableType:
    rows = explain(report.loaded)
    shown = [row for row in rows if every_setting or row.source != _DEFAULT]
    listing = sheet(":whole", ":wrap", ":whole", headed=False)
    for row in shown:
        listing.add_row(row.setting, row.value, Text(_source(report, row), style="dim"))
    hidden = len(rows) - len(shown)
    if not hidden:
        return indented(listing)
    note = Text(f"{hidden} more are at their defaults; --all shows them", style="dim")
    return indented(Group(listing, note) if shown else note)


def _source(report: Report, row: Row) -> str:
    """The file that stands at the top is called by its name alone."""
    file = report.loaded.file
    return row.source if file is None else row.source.replace(f"{file}:", f"{file.name}:", 1)


def _server(server: Server) -> RenderableType:
    mark, style = ("✗", "bold red") if server.error else ("✓", "green")
    return Text.assemble(
        (mark, style), f" {server.kind}  {server.name}  ", (server.summary or server.error, "dim")
    )


def _backend(tried: Tried, *, namespaces: bool) -> RenderableType:
    listing = tried.listing
    mark, style = ("✗", "bold red") if tried.error else ("✓", "green")
    if listing is None:
        head = Text.assemble((mark, style), f" {tried.name}  ", (tried.error, "dim"))
        said = Padding(Text(tried.stderr, style="dim"), (0, 0, 0, 4), expand=False)
        return Group(head, said) if tried.stderr else head
    count = f"{len(listing.tools)} tool" + ("" if len(listing.tools) == 1 else "s")
    server = " ".join(str(listing.server_info.get(key, "")) for key in ("name", "version"))
    about = f"MCP {listing.protocol_version}, {server.strip()}, {count}"
    tools = sheet(":whole", ":line", headed=False)
    for tool in listing.tools:
        name = expose(tried.name, tool["name"], namespaces=namespaces)
        tools.add_row(name, Text(first_line(tool.get("description"), 70), style="dim"))
    head = Text.assemble((mark, style), f" {tried.name}  ", (about, "dim"))
    return Group(head, Padding(tools, (0, 0, 0, 4), expand=False)) if listing.tools else head


def _ignored(ignored: Ignored) -> Text:
    return Text(f"{ignored.file}:{ignored.line}: {ignored.key}: {ignored.reason}", style="dim")


def _verdict(report: Report) -> Text:
    found, known = len(complaints(report)), len(cautions(report))
    warnings = "" if not known else f", {known} warning" + ("s" if known > 1 else "")
    if found:
        return Text(f"\n{found} problem{'s' if found > 1 else ''}{warnings}.", style="bold red")
    return Text(f"\nAll is well{warnings}.", style="green")


def _heading(text: str, style: str = "bold") -> Text:
    return Text(f"\n{text}", style=style)


def report_json(report: Report) -> dict[str, Any]:
    found = complaints(report)
    return {
        "ok": not found,
        "file": None if report.loaded.file is None else str(report.loaded.file),
        "problems": [problem_json(each) for each in report.problems]
        + [{"message": text} for text in found[len(report.problems) :]],
        "warnings": cautions(report),
        "ignored": [_ignored_json(each) for each in report.loaded.ignored],
        "settings": [_row_json(row) for row in explain(report.loaded)],
        "servers": [
            {"kind": e.kind, "name": e.name, "summary": e.summary, "error": e.error or None}
            for e in report.servers
        ],
        "backends": [_backend_json(each) for each in report.backends],
    }


def problem_json(problem: Problem) -> dict[str, Any]:
    return {
        "message": problem.message,
        "file": problem.file,
        "line": problem.line,
        "key": problem.key or None,
        "nearest": problem.nearest,
    }


def _ignored_json(ignored: Ignored) -> dict[str, Any]:
    return {
        "file": ignored.file,
        "line": ignored.line,
        "key": ignored.key,
        "reason": ignored.reason,
    }


def _row_json(row: Row) -> dict[str, str]:
    return {"setting": row.setting, "value": row.value, "source": row.source}


def _backend_json(tried: Tried) -> dict[str, Any]:
    listing = tried.listing
    return {
        "name": tried.name,
        "error": tried.error or None,
        "stderr": tried.stderr or None,
        "protocol_version": listing.protocol_version if listing else None,
        "server": listing.server_info if listing else None,
        "tools": [tool["name"] for tool in listing.tools] if listing else [],
    }
