"""Outcome: how one run of a tool ended. What follows from it is `workers.settlement`'s business."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from common.blobs.base import Blob
from common.errors import NOT_KEPT, TOO_LARGE
from common.jobs.files import File
from common.jobs.questions import Round
from common.values import value_type

Clock = Literal["idle", "run", "deadline"]


@value_type(frozen=True, slots=True)
class Answered:
    """The tool gave a result, perhaps one that says `isError`."""

    result: Mapping[str, Any]
    files: tuple[File, ...] = ()  # that it handed over; kept by now
    apart: "Apart | None" = None  # the result is too large for a record, and this its preview
    raw: bytes | None = None  # the result as JSON, once it was measured

    @property
    def tool_error(self) -> bool:
        return self.result.get("isError") is True if self.apart is None else self.apart.tool_error


@dataclass(frozen=True, slots=True)
class Apart:
    blob: Blob
    tool_error: bool  # what the whole result says; its preview may have to say otherwise


@dataclass(frozen=True, slots=True)
class Refused:
    """The backend answered with a JSON-RPC error."""

    error: Mapping[str, Any]
    retry_after: float | None = None  # seconds: it asks to be called again after these


@dataclass(frozen=True, slots=True)
class Asked:
    """The tool wants answers first; the call is over, and any worker may go on with them."""

    questions: Round


@dataclass(frozen=True, slots=True)
class NotReached:
    """Provably never ran: not a try."""

    why: str
    reached: Round | None = None  # how far it had come before, when that is news


@dataclass(frozen=True, slots=True)
class NotReady:
    """What it takes could not be read here: not a try, and no fault of its backend."""

    why: str


@dataclass(frozen=True, slots=True)
class Overloaded:
    """Never ran either: the backend has too much to do. A try, or it would go on for ever."""

    why: str
    retry_after: float | None = None  # as in `Refused`
    reached: Round | None = None  # as in `NotReached`


@dataclass(frozen=True, slots=True)
class CutOff:
    """The backend was lost, but has a task of its own for the call; that can be followed again."""

    why: str
    reached: Round | None = None  # as in `NotReached`
    retry_after: float | None = None  # as in `Refused`


@dataclass(frozen=True, slots=True)
class Vanished:
    """The request was written and no answer came: it may have run."""

    why: str
    retry_after: float | None = None  # as in `Refused`


@dataclass(frozen=True, slots=True)
class TimedOut:
    clock: Clock
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """Somebody cancelled the job; the backend was told."""


@dataclass(frozen=True, slots=True)
class Drained:
    """The worker stops, and the job may run again elsewhere: not a try."""

    why: str = "its worker was stopped; it starts again"
    reached: Round | None = None


Failed = Refused | Overloaded | CutOff | Vanished | TimedOut
"""A try that another one may follow."""

Outcome = (
    Answered
    | Refused
    | Asked
    | NotReached
    | NotReady
    | Overloaded
    | CutOff
    | Vanished
    | TimedOut
    | Stopped
    | Drained
)


def unsettled(outcome: Outcome) -> Outcome:
    """What a run ended with that could not be settled, for a reason that nobody expected.

    A tool that has finished is not run again: its answer would be as impossible to keep.
    """
    if isinstance(outcome, Answered | Refused):
        message = "the tool has answered, but its answer could not be kept: see its worker's log"
        return Refused({"code": NOT_KEPT, "message": message})
    return Vanished("its end could not be recorded: see its worker's log")


def too_many_bytes(what: str, size: int, most: int) -> dict[str, object]:
    """A JSON-RPC error that names both."""
    message = f"{what} has {size} bytes, more than the {most} that may be kept"
    return {"code": TOO_LARGE, "message": message, "data": {"size": size, "limit": most}}
