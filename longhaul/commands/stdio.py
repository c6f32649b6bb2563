"""`stdio`: the bridge that desktop clients start."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from common.config.load import load_settings
from common.config.model import Settings
from common.config.problems import ConfigError
from common.telemetry.logging import configure_logging
from longhaul.commands.options import AsJson, ConfigFile, seconds
from longhaul.screen.output import say

IdleExit = Annotated[
    str,
    typer.Option(
        metavar="DURATION",
        help="How long a router that this starts stays without clients and jobs.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command()(stdio)


def stdio(config: ConfigFile = None, idle_exit: IdleExit = "10m", as_json: AsJson = False) -> None:
    """Be an MCP server on standard input and output, for desktop clients.

    Carries messages to LONGHAUL_URL, else to the router of the data folder, else to one that it
    starts in the background.
    """
    del as_json  # what goes out is JSON anyway
    seconds(idle_exit, "--idle-exit")
    cwd = Path.cwd()
    environ = dict(os.environ)
    if config is not None:
        environ["LONGHAUL_CONFIG"] = str(cwd / config)
    configure_logging(_settings(environ, cwd))
    if sys.stdin.isatty():
        say("This speaks MCP on standard input, for a client that starts it; Ctrl-D ends it.")
    from longhaul.bridge.run import serve_stdio  # noqa: PLC0415 - the options are known to be good

    uvloop.run(serve_stdio(environ, cwd, idle_exit=idle_exit))


def _settings(environ: dict[str, str], cwd: Path) -> Settings:
    """For the form of the log. What is wrong with them matters to who starts a router."""
    try:
        return load_settings(config_file=None, environ=environ, cwd=cwd, overrides={}).settings
    except ConfigError:
        return Settings()
