"""Options that several commands share."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from common.config.duration import parse_duration
from common.config.moment import ms_of, parse_moment
from longhaul.exits import UsageError
from longhaul.screen.words import now

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration; default: longhaul.yaml, then mcp.json, in this folder.",
        show_default=False,
    ),
]
Host = Annotated[
    str | None, typer.Option(help="Address to listen on; default 127.0.0.1.", show_default=False)
]
Port = Annotated[
    int | None,
    typer.Option(
        min=0, max=65_535, help="Port; default 8080, 0 takes a free one.", show_default=False
    ),
]
NoAuth = Annotated[
    bool,
    typer.Option("--insecure-no-auth", help="Listen beyond loopback without an API key."),
]
AnyPort = Annotated[
    bool, typer.Option("--any-port", help="Take a free port when the wanted one is taken.")
]
IdleExit = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="End after this long, as 10m, without clients and jobs; default: never.",
        show_default=False,
    ),
]
ToolName = Annotated[str, typer.Argument(metavar="TOOL", help="As `longhaul tools` names it.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
Pairs = Annotated[
    list[str] | None,
    typer.Option(
        "--arg",
        "-a",
        metavar="NAME=VALUE",
        help="One argument, typed by the tool's schema; repeatable.",
        show_default=False,
    ),
]
Arguments = Annotated[
    str | None,
    typer.Option(
        "--arguments",
        metavar="JSON",
        help="Arguments as a JSON object; --json '{…}' is the same.",
        show_default=False,
    ),
]
Priority = Annotated[
    int | None,
    typer.Option(
        min=0, max=9, help="0 to 9, the highest first; default: the tool's.", show_default=False
    ),
]
Key = Annotated[
    str | None,
    typer.Option(
        metavar="KEY",
        help="The same key with the same call is the same job: repeating it is safe.",
        show_default=False,
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Run it then: RFC 3339 with a zone, as 2026-12-31T23:00:00Z.",
        show_default=False,
    ),
]
Delay = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Run it after this, as 30s or 10m.", show_default=False),
]
Callback = Annotated[
    str | None,
    typer.Option(
        "--callback",
        metavar="URL",
        help="Told of the job's end, with a signed POST.",
        show_default=False,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Stop waiting after this, as 30s or 10m; the job goes on.",
        show_default=False,
    ),
]


def seconds(text: str | None, option: str = "--timeout") -> float | None:
    """Raises: UsageError: Not a duration."""
    if text is None:
        return None
    try:
        return float(str(parse_duration(text)))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error


def moment(text: str | None, option: str) -> str | None:
    """As RFC 3339. Raises: UsageError: Neither a time nor how long ago."""
    if text is None:
        return None
    try:
        ms = ms_of(parse_moment(text), now().timestamp())
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: {error}") from error
