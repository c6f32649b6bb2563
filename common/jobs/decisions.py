"""What to do about a delivery, and about a record whose check is due. Pure."""

from dataclasses import dataclass

from common.errors import TIMED_OUT
from common.jobs.callbacks import is_owed
from common.jobs.head import Head
from common.jobs.state import LETTERS, JobState
from common.jobs.token import Token

NEWER_FORMAT_DELAY_MS = 5_000
OVERTAKEN_MS = 30_000  # a younger token was claimed so long after a job's publication: it is lost


# --- a delivery whose first claim was refused


@dataclass(frozen=True, slots=True)
class ClaimAt:
    """Claim at the record's current version: the token's was only out of date."""

    version: int


@dataclass(frozen=True, slots=True)
class Release:
    """Ack: the token has nothing to say."""

    why: str


@dataclass(frozen=True, slots=True)
class Adopt:
    """It runs here already: keep this delivery in the place of the old one."""


@dataclass(frozen=True, slots=True)
class Rescue:
    """It runs elsewhere: settle it if the owner's lease is gone, then ack."""


@dataclass(frozen=True, slots=True)
class PutBack:
    """The same generation again, after a delay."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class Expire:
    """A clock has run out: the reconciler's decision is made now."""


@dataclass(frozen=True, slots=True)
class BuryToken:
    """No record and a young token: a dead letter."""


Reaction = ClaimAt | Release | Adopt | Rescue | PutBack | Expire | BuryToken


def react(
    token: Token, head: Head | None, now: int, *, runs_here: bool, age_ms: int, shortest_ms: int
) -> Reaction:
    """What a delivery means, given the record as the refusal showed it.

    `age_ms` is how long ago the token was published, `shortest_ms` the shortest retention: a
    record can have been removed only after that.
    """
    if head is None:
        return Release("its record is gone") if age_ms > shortest_ms else BuryToken()
    if head.newer:
        return PutBack(NEWER_FORMAT_DELAY_MS)
    if head.state is JobState.RUNNING and runs_here:
        return Adopt()
    if head.terminal:
        return Release(f"already {head.state}")
    if token.generation < head.generation:
        return Release("a newer token exists")
    if head.state is JobState.RUNNING:
        return Rescue()
    if head.state in {JobState.HELD, JobState.INPUT_REQUIRED}:
        return Release(f"it is {head.state}")
    if head.not_before > now:
        return PutBack(head.not_before - now)
    if _clock_out(head, now):
        return Expire()
    return ClaimAt(head.version)


# --- a record whose check is due


@dataclass(frozen=True, slots=True)
class Remove:
    """Retention is over."""


@dataclass(frozen=True, slots=True)
class KeepLonger:
    """Ended while held, but its answer was never noted as sent."""


@dataclass(frozen=True, slots=True)
class LetGo:
    """Cancelled, and the worker that ran it is gone (the commit checks)."""


@dataclass(frozen=True, slots=True)
class CallBack:
    """Its caller is to be told of its end; whoever sends that takes it (a guarded commit)."""


@dataclass(frozen=True, slots=True)
class Drive:
    """A batch: whoever drives batches looks at it."""


@dataclass(frozen=True, slots=True)
class Fail:
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Cancel:
    reason: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Its token may be missing."""

    why: str


@dataclass(frozen=True, slots=True)
class TakeTurn:
    """Held until now: it joins the queue."""


@dataclass(frozen=True, slots=True)
class Look:
    """Ask the broker how the queue stands, then decide again."""


@dataclass(frozen=True, slots=True)
class Leave:
    """All is well; look again later."""


@dataclass(frozen=True, slots=True)
class AnswerInstead:
    """Nobody answered the tool's question in time."""


@dataclass(frozen=True, slots=True)
class HandOff:
    """The ingress that held its call is gone (the commit checks)."""


DueAction = (
    Remove
    | KeepLonger
    | LetGo
    | CallBack
    | Drive
    | Fail
    | Cancel
    | Publish
    | TakeTurn
    | Look
    | Leave
    | Rescue
    | HandOff
    | AnswerInstead
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """The youngest token of one priority that a worker claimed from a queue. Milliseconds."""

    priority: int
    published_at: int  # by its publisher's clock, in whole seconds where the broker stamps it
    claimed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the reconciler found out besides the record; None: not asked yet."""

    owner_gone: bool = False
    holder_gone: bool = False
    queue_ready: int | None = None  # tokens waiting; -1: no such queue
    passings: tuple[Passing, ...] = ()  # of its queue


def decide_due(head: Head, now: int, facts: Facts) -> DueAction:
    """The one thing to do about a record whose check is due."""
    if head.newer:
        return Leave()  # somebody who knows the format looks after it
    if head.is_batch:
        return _batch_due(head, now)
    if head.terminal:
        return _ended_due(head, now, facts)
    if head.state is JobState.RUNNING or head.owner:
        return _running_due(head, now, facts)
    if head.cancel_at and head.cancel_at <= now:
        return Cancel("nobody waited for it any more")
    if _clock_out(head, now):
        clock = "its deadline" if _past(head.deadline, now) else "the queue time limit"
        passed = "while it waited" if head.claims else "before it could start"
        return Fail(TIMED_OUT, f"{clock} passed {passed}")
    if _past(head.answer_by, now):
        return AnswerInstead()
    if facts.holder_gone:
        return HandOff()
    if head.state is JobState.HELD and _past(head.not_before, now):
        return TakeTurn()
    return _waiting_due(head, now, facts)


def _batch_due(head: Head, now: int) -> DueAction:
    if is_owed(head):
        return CallBack() if head.callback_at <= now else Drive()
    return Remove() if _past(head.forget_at, now) else Drive()


def _ended_due(head: Head, now: int, facts: Facts) -> DueAction:
    if head.still_running and facts.owner_gone:
        return LetGo()
    if is_owed(head):
        return CallBack() if head.callback_at <= now else Leave()
    if head.still_running:
        return Leave()
    held = bool(head.holder) and not head.handed_off
    untold = held and not head.answered and head.state not in LETTERS  # they were kept anyway
    return KeepLonger() if untold else Remove()


def _running_due(head: Head, now: int, facts: Facts) -> DueAction:
    if facts.owner_gone:
        return Rescue()
    if head.cancel_at and head.cancel_at <= now:
        return Cancel("nobody waited for it any more")
    if _past(head.answer_by, now):
        return AnswerInstead()
    return HandOff() if facts.holder_gone else Leave()


def _waiting_due(head: Head, now: int, facts: Facts) -> DueAction:
    if head.not_before > now or head.state not in {JobState.QUEUED, JobState.WAITING}:
        return Leave()
    if head.confirmed < head.generation:
        return Publish("not confirmed by the broker")
    if facts.queue_ready is None:
        return Look()
    if facts.queue_ready < 0:
        return Publish("its queue is missing")
    if facts.queue_ready == 0:
        return Publish("its queue is empty")
    if overtaken(head, facts.passings):
        return Publish("it was overtaken")
    if now - (head.published_at or head.created_at) > 600_000 * 2 ** min(head.checks // 40, 6):
        return Publish("it has waited long")
    return Leave()


def overtaken(head: Head, passings: tuple[Passing, ...]) -> bool:
    """Whether a younger token, of no higher priority, was claimed long after the job's came."""
    came = max(head.published_at or head.created_at, head.not_before)
    return any(
        each.priority <= head.spec.priority
        and each.published_at > came
        and each.claimed_at > came + OVERTAKEN_MS
        for each in passings
    )


def _clock_out(head: Head, now: int) -> bool:
    return _past(head.queue_deadline, now) or _past(head.deadline, now)


def _past(deadline: int, now: int) -> bool:
    return 0 < deadline <= now
