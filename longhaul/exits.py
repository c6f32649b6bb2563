"""Exit codes, and the errors that end a command with one: what is wrong and what to do about it."""

from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    TOOL_ERROR = 1
    USAGE = 2  # usage or configuration
    UNREACHABLE = 3
    NOT_FOUND = 4
    STILL_RUNNING = 5  # its id was printed
    ENDED_BADLY = 6  # lost, dead or cancelled


class CommandError(Exception):
    """Ends the command; the text is for a person."""

    code = Exit.USAGE


class UsageError(CommandError):
    """The command line cannot be understood as it is."""


class UnreachableError(CommandError):
    """No router answers, or it cannot serve now."""

    code = Exit.UNREACHABLE


class NotThereError(CommandError):
    """There is no such job or tool."""

    code = Exit.NOT_FOUND


BY_STATE = {
    "completed": Exit.DONE,
    "failed": Exit.TOOL_ERROR,
    "cancelled": Exit.ENDED_BADLY,
    "lost": Exit.ENDED_BADLY,
    "dead": Exit.ENDED_BADLY,
}


def exit_of(state: str, *, tool_error: bool) -> Exit:
    """What a job's state means for a command that waited for it."""
    return Exit.TOOL_ERROR if tool_error else BY_STATE.get(state, Exit.STILL_RUNNING)
