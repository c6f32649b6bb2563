"""Whether a command line is one that `longhaul` understands, without running it."""

from collections.abc import Sequence

from typer.core import TyperGroup
from typer.main import get_command

from longhaul.arguments import split_json_option
from longhaul.cli import app


def complaint(words: Sequence[str]) -> str:
    """What is wrong with the words after `longhaul`; empty when nothing is."""
    command = get_command(app)
    rest = split_json_option(words)
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        found = command.commands.get(rest[0])
        if found is None:
            return f"there is no {rest[0]}"
        command, rest = found, rest[1:]
    known = {name for parameter in command.params for name in parameter.opts}
    known |= {"--help", "-h"}
    options = [word.partition("=")[0] for word in rest if word.startswith("-")]
    unknown = [option for option in options if option not in known]
    return f"no option {', '.join(unknown)}" if unknown else ""
