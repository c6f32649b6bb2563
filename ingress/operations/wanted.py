"""Which jobs are wanted, and the walk that finds them. Pure."""

from dataclasses import dataclass, replace

from common.jobs.indexes import ALL, caller_index, state_index, tool_state_index
from common.jobs.state import JobState
from ingress.operations.search import Fields, Walk

ERRORS = (JobState.FAILED, JobState.DEAD, JobState.LOST)
"""The states whose jobs have an error to search in."""

_NOBODY = "\0"  # no caller's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is None does not matter.

    Of a state, a tool or an error, times are those when the jobs came into their present state;
    else those of their creation.
    """

    state: JobState | None = None
    tool: str | None = None
    caller: str | None = None
    since: int | None = None  # ms; at or after
    until: int | None = None  # ms; before
    error: str | None = None  # part of it, in capitals or not

    def of(self, caller: str) -> "Wanted":
        """Only this caller's."""
        return replace(self, caller=caller if self.caller in {None, caller} else _NOBODY)


EVERY = Wanted()


def walk_of(wanted: Wanted) -> Walk | None:
    """None when no job can fit."""
    states: tuple[JobState, ...] = tuple(JobState) if wanted.error is None else ERRORS
    if wanted.state is not None:
        states = (wanted.state,) if wanted.state in states else ()
    if not states or wanted.caller == _NOBODY:
        return None
    mine = None if wanted.caller is None else caller_index(wanted.caller)
    if wanted.tool is None and wanted.state is None and wanted.error is None:
        return Walk(indexes=(mine or ALL,), since=wanted.since, until=wanted.until)
    return Walk(
        indexes=indexes_of(states, wanted.tool),
        within=mine,
        since=wanted.since,
        until=wanted.until,
        reads=() if wanted.error is None else ("reason",),
        passes=lambda fields: names(wanted.error, fields),
    )


def indexes_of(states: tuple[JobState, ...], tool: str | None) -> tuple[str, ...]:
    if tool is None:
        return tuple(state_index(state) for state in states)
    return tuple(tool_state_index(tool, state) for state in states)


def names(error: str | None, fields: Fields) -> bool:
    """Whether what went wrong says so."""
    return error is None or error.lower() in fields["reason"].lower()
