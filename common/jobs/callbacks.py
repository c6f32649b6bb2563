"""Callbacks: a message owed to a URL from the end of a job on, until it is there or given up.

That it is owed is written in the commit that ends the job. Whoever sends it takes it first, in a
commit that says when somebody else may: a process that dies in between costs time, and at most a
second message with the same id. While one is owed the record stays, whatever its retention.
"""

from dataclasses import replace
from enum import StrEnum

from common.jobs.change import Add, AtLeast, Change, Due, Move, Now, TimeReached, Value
from common.jobs.head import Head
from common.jobs.indexes import callback_index
from common.jobs.state import JobState

CALLBACKS = "callbacks"
"""The watcher of every job with a callback: ingresses listen on its channel."""
CALLBACK_DUE = "callback_due"  # a hint's body: nothing has changed, but somebody should send it
CALLBACK_REPLAYED = "callback_replayed"
SENT_AT_ENDS = frozenset({*JobState, CALLBACK_DUE, CALLBACK_REPLAYED})
"""What a hint's body says when there is something to send; the name of an end is its state."""
LEASE_MS = 10_000


class CallbackState(StrEnum):
    PENDING = "pending"
    """Owed. It goes out when `callback_at` has come."""
    DELIVERED = "delivered"
    """The receiver said that it has it."""
    FAILED = "failed"
    """Tries used up, or the receiver wants no more: a person may replay it."""


def is_owed(head: Head) -> bool:
    return head.callback == CallbackState.PENDING


def names_another(head: Head, url: str) -> bool:
    """Whether somebody wants this URL told whom the end of the job would never reach."""
    return bool(url) and url != head.spec.callback


def owing(head: Head, ending: Change, state: JobState, kept_ms: int) -> Change:
    """The end of a job whose caller named a URL: the message is owed with the same commit.

    A loss waits for one lease: a finish within it is the job's ordinary end.
    """
    fields: dict[str, Value] = {
        "callback": CallbackState.PENDING,
        "callback_at": Now(LEASE_MS if state is JobState.LOST else 0),
        "callback_tries": 0,
        "callback_error": "",
        "forget_at": Now(kept_ms),
    }
    after = ending.due.after if "still_running" in ending.fields else None
    return replace(
        ending,
        fields={**ending.fields, **fields},
        moves=(*ending.moves, *_moved(head, CallbackState.PENDING)),
        due=Due(after=after, fields=("callback_at",)),
    )


def rest(head: Head, kept_ms: int) -> tuple[dict[str, Value], Due]:
    """Where a record that has ended stands: what is owed for it comes before its removal."""
    if not head.callback:
        return {}, Due(after=kept_ms)
    fields: dict[str, Value] = {"forget_at": Now(kept_ms)}
    return fields, Due(fields=("callback_at",)) if is_owed(head) else Due(after=kept_ms)


def take(head: Head, hold_ms: int) -> Change:
    """One try begins; should its process die, another begins after so long."""
    return Change(
        name="callback_started",
        fields={"callback_tries": Add(1), "callback_at": Now(hold_ms)},
        guards=(TimeReached("callback_at"),),
        due=_next(head),
        returning=("head",),
    )


def deliver(head: Head) -> Change:
    return Change(
        name="callback_delivered",
        fields={
            "callback": CallbackState.DELIVERED,
            "callback_at": 0,
            "callback_delivered_at": Now(),
            "callback_error": "",
        },
        moves=_moved(head, CallbackState.DELIVERED),
        due=_last(head),
        facts={"try": head.callback_tries},
    )


def postpone(head: Head, delay_ms: int, error: str) -> Change:
    """This try failed; another one follows."""
    return Change(
        name="callback_retried",
        fields={"callback_at": Now(delay_ms), "callback_error": error},
        due=_next(head),
        facts={"try": head.callback_tries, "error": error, "delay_ms": delay_ms},
    )


def give_up(head: Head, error: str, forget_at: int) -> Change:
    """No more tries. The record stays until then at least: somebody may want to replay it."""
    return Change(
        name="callback_failed",
        fields={
            "callback": CallbackState.FAILED,
            "callback_at": 0,
            "callback_error": error,
            "forget_at": AtLeast(forget_at),
        },
        moves=_moved(head, CallbackState.FAILED),
        due=_last(head),
        facts={"try": head.callback_tries, "error": error},
    )


def call_back_again(head: Head, by: str) -> Change:
    """Somebody wants it sent again, however it went before; the message keeps its id."""
    return Change(
        name=CALLBACK_REPLAYED,
        fields={
            "callback": CallbackState.PENDING,
            "callback_at": Now(),
            "callback_tries": 0,
            "callback_error": "",
        },
        moves=_moved(head, CallbackState.PENDING),
        due=_next(head),
        facts={"by": by},
    )


def message_id(head: Head) -> str:
    """The same for every try and replay of one message; a job that ends twice has two.

    Without a dot: what is signed has dots between its parts.
    """
    return f"msg_{head.id.replace('.', '-')}_{head.finished_at}_{head.state}"


def _next(head: Head) -> Due:
    return Due(after=LEASE_MS if _goes_on(head) else None, fields=("callback_at",))


def _last(head: Head) -> Due:
    return Due(after=LEASE_MS) if _goes_on(head) else Due(fields=("forget_at",))


def _goes_on(head: Head) -> bool:
    """It has ended, and something of it may not have: its tool, or rows of a cancelled batch."""
    return head.still_running or (head.is_batch and head.state is JobState.CANCELLED)


def _moved(head: Head, state: CallbackState) -> tuple[Move, ...]:
    leave = Move(callback_index(head.callback), None)
    enter = Move(callback_index(state), Now())
    return (leave, enter) if head.callback not in {"", state} else (enter,)
