"""The transitions of a job whose tool asks questions. Pure, as `transitions`.

Free: the backend keeps nothing (2026-07-28), the claim is given up, any worker goes on. Owned: the
question came over a connection that waits for the reply, and its worker keeps the claim.
"""

from collections.abc import Mapping
from dataclasses import replace

from common.errors import UNANSWERED
from common.jobs.answers import refused_round
from common.jobs.change import Add, Change, Due, Guard, Move, Now, TimeReached, Value
from common.jobs.endings import RetentionMs, fail
from common.jobs.head import Head
from common.jobs.indexes import owner_index
from common.jobs.line import rejoin_line
from common.jobs.questions import QUESTIONS, Round, encode_round
from common.jobs.state import JobState
from common.jobs.transitions import (
    CHECK_MS,
    FIRST_CHECK_MS,
    LEASE_MS,
    IllegalMoveError,
    allow,
    hand_back,
    moves_between,
)

ASKS = "the tool asked a question"
_OF_HAND_BACKS = {"tries", "hand_backs", "queue_left", "queued_at", "queue_deadline"}
_WHILE_ASKED = ("answer_by", "deadline", "cancel_at")


def ask(head: Head, asked: Round, deadline_ms: int) -> Change:
    """The call is over, with questions: slot and replica are free, and the try is not counted."""
    allow(head, JobState.INPUT_REQUIRED)
    return Change(
        name="asked",
        fields={
            **_asked(deadline_ms),
            "state": JobState.INPUT_REQUIRED,
            "owner": "",
            "tries": Add(-1),
            "checks": 0,
            "hand_backs": 0,
        },
        moves=(
            *moves_between(head.tool, head.state, JobState.INPUT_REQUIRED),
            Move(owner_index(head.owner), None),
        ),
        due=Due(after=CHECK_MS, fields=_WHILE_ASKED),
        facts=_facts(asked),
        parts=kept(asked),
    )


def ask_owned(head: Head, asked: Round, deadline_ms: int) -> Change:
    """The running call waits for the reply: same claim, same owner.

    A tool that gave up waiting may ask again: the newer round takes the older one's place.
    """
    fields: dict[str, Value] = _asked(deadline_ms)
    moves: tuple[Move, ...] = ()
    if not (head.state is JobState.INPUT_REQUIRED and head.owner):
        allow(head, JobState.INPUT_REQUIRED)
        fields["state"] = JobState.INPUT_REQUIRED
        moves = moves_between(head.tool, head.state, JobState.INPUT_REQUIRED)
    return Change(
        name="asked",
        fields=fields,
        moves=moves,
        due=Due(after=LEASE_MS, fields=_WHILE_ASKED),
        facts=_facts(asked),
        parts=kept(asked),
    )


def answer(head: Head, asked: Round, complete: bool, *, too_late: bool = False) -> Change:
    """Answers are stored; once nothing is open the job goes on.

    `asked` has the answers in it. With `too_late` they were given because nobody did in time, and
    the commit checks that.
    """
    if head.state is not JobState.INPUT_REQUIRED:
        raise IllegalMoveError(f"{head.id} is {head.state}; nothing was asked")
    change = _answered(head) if complete else _partly(head)
    guards: tuple[Guard, ...] = (TimeReached("answer_by"),) if too_late else ()
    return replace(
        change,
        guards=guards,
        facts={"round": asked.number, "answered": sorted(asked.answers), "in_time": not too_late},
        parts=kept(asked),
        returning=("head",),
    )


def conclude(head: Head, asked: Round, retention: RetentionMs, *, too_late: bool = False) -> Change:
    """`answer`, unless somebody refused and the backend has no way to be told: it fails then."""
    refused = None if head.owner or not asked.complete else refused_round(asked)
    if refused is None:
        return answer(head, asked, asked.complete, too_late=too_late)
    return replace(
        fail(head, {"code": UNANSWERED, "message": refused}, retention), returning=("head",)
    )


def start_over(head: Head, why: str, delay_ms: int) -> Change:
    """Its call was lost while it waited for an answer, and the tool may run again: next try."""
    change = hand_back(head, why, delay_ms)
    fields = {name: value for name, value in change.fields.items() if name not in _OF_HAND_BACKS}
    anew: dict[str, Value] = {"backend_task": "", "hand_backs": 0}
    return replace(change, name="started_over", fields={**fields, **anew})


def kept(asked: Round) -> Mapping[str, bytes]:
    """The part of a record that keeps a round."""
    return {QUESTIONS: encode_round(asked)}


def _asked(deadline_ms: int) -> dict[str, Value]:
    return {"answer_by": Now(deadline_ms), "reason": ASKS}


def _facts(asked: Round) -> Mapping[str, object]:
    """Which kinds were asked, never what: an event is shown in lists."""
    methods = {key: request["method"] for key, request in asked.requests.items()}
    return {"round": asked.number, "asked": methods}


def _partly(head: Head) -> Change:
    due = Due(after=LEASE_MS if head.owner else CHECK_MS, fields=_WHILE_ASKED)
    return Change(name="answered_in_part", fields={}, due=due)


def _answered(head: Head) -> Change:
    if head.owner:
        return Change(
            name="answered",
            fields={"state": JobState.RUNNING, "answer_by": 0, "reason": "", "progress_at": Now()},
            moves=moves_between(head.tool, head.state, JobState.RUNNING),
            due=Due(after=LEASE_MS, fields=("deadline", "cancel_at")),
            wake_owner=True,
        )
    return Change(
        name="answered",
        fields={
            "state": JobState.QUEUED,
            "generation": Add(1),
            "answer_by": 0,
            "not_before": 0,
            "published_at": Now(),
            "checks": 0,
            "reason": "its question was answered",
        },
        moves=(
            *moves_between(head.tool, head.state, JobState.QUEUED),
            *rejoin_line(head),
        ),
        due=Due(after=FIRST_CHECK_MS, fields=("deadline", "cancel_at")),
    )
