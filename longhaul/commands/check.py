"""`check`: read the configuration, try everything it names, say what is there and what is wrong."""

import asyncio
from typing import Annotated

import typer

from common.config.problems import ConfigError
from common.telemetry.logging import configure_logging
from longhaul import configured
from longhaul.commands.options import AsJson, ConfigFile, Host, NoAuth, Port
from longhaul.exits import Exit
from longhaul.screen.output import err, print_json, show

Everything = Annotated[bool, typer.Option("--all", help="Show settings at their defaults, too.")]


def register(app: typer.Typer) -> None:
    app.command()(check)


def check(
    config: ConfigFile = None,
    host: Host = None,
    port: Port = None,
    no_auth: NoAuth = False,
    everything: Everything = False,
    as_json: AsJson = False,
) -> None:
    """Check the configuration; try broker, store and every backend."""
    # What tries backends takes a second to import, and the other commands do without.
    from longhaul.checkup import check_up  # noqa: PLC0415 - as said
    from longhaul.screen.check import (  # noqa: PLC0415 - as said
        complaints,
        problem_json,
        report_json,
        report_screen,
    )

    try:
        loaded = configured.load(config, host=host, port=port, no_auth=no_auth)
    except ConfigError as error:
        if not as_json:
            raise
        print_json({"ok": False, "problems": [problem_json(each) for each in error.problems]})
        raise typer.Exit(Exit.USAGE) from None
    # The report says it better than the log of a start that fails.
    configure_logging(loaded.settings.model_copy(update={"log_level": "critical"}))
    with err.status("") as status:
        report = asyncio.run(check_up(loaded, lambda what: status.update(f"{what} …")))
    if as_json:
        print_json(report_json(report))
    else:
        show(report_screen(report, every_setting=everything))
    if complaints(report):
        raise typer.Exit(Exit.USAGE)
