"""The commands, and the boundary where an error becomes a sentence and an exit code."""

from collections.abc import Callable, Sequence
from importlib.metadata import version as installed_version
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

from common.config.problems import ConfigError
from longhaul.arguments import split_json_option
from longhaul.commands import (
    batch,
    batches,
    callbacks,
    calls,
    check,
    dead,
    drill,
    fleet,
    jobs,
    keys,
    resources,
    roles,
    stdio,
)
from longhaul.exits import CommandError, Exit
from longhaul.meant import meant
from longhaul.screen.output import fail, out, say

app = typer.Typer(
    name="longhaul",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        out.print(installed_version("mcp-longhaul"))
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Make any MCP server's slow tools durable: a job router on RabbitMQ and Redis."""


roles.register(app)
stdio.register(app)
check.register(app)
calls.register(app)
batch.register(app)
batches.register(app)
jobs.register(app)
dead.register(app)
callbacks.register(app)
fleet.register(app)
keys.register(app)
resources.register(app)
drill.register(app)


def _commands(command: object) -> dict[str, list[str]]:
    """Each command, and what stands below it."""
    if not isinstance(command, TyperGroup):
        return {}
    return {name: [*_commands(below)] for name, below in command.commands.items()}


def run(words: Sequence[str]) -> int:
    """One command line; its exit code."""
    command = get_command(app)
    code = _run(command, words)
    if code == Exit.USAGE and (right := meant(_commands(command), words)):
        say(f"Did you mean `longhaul {right}`?")
    return code


def _run(command: Callable[..., object], words: Sequence[str]) -> int:
    try:
        command(split_json_option(words), prog_name="longhaul")
    except CommandError as error:
        fail(str(error))
        return error.code
    except ConfigError as error:
        for problem in error.problems:
            fail(str(problem))
        return Exit.USAGE
    except UnicodeEncodeError as error:
        if error.reason != "surrogates not allowed":
            raise
        # Bytes that the system passed on as they were typed; a file may have such a name.
        fail("a part of the command is not UTF-8, and cannot be sent as text")
        return Exit.USAGE
    except BrokenPipeError:
        return Exit.DONE  # whoever read it has seen enough
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE
    return Exit.DONE
