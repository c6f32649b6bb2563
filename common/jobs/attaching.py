"""Letting go and attaching: a job without a client, and the identical call that may come for it.

An identical call has the same caller, tool, version of the tool and arguments. The commit that lets
a job go takes the unique key of such calls for it; a new call's record is created only while that
key is free. So a job that is held, or answered as a task, is never attached to.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from common.jobs.callbacks import rest
from common.jobs.change import Add, Change, Free, LeaseGone, Now, Value
from common.jobs.endings import RetentionMs
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.transitions import IllegalMoveError, next_look
from common.wire import canonical_json

_LENGTH = 32  # of the digest, in hexadecimal digits


def attach_key(
    caller: str, tool: str, tool_version: str, arguments: Mapping[str, Any] | None
) -> str:
    """The unique key of identical calls; the order of an object's members makes no difference."""
    call = canonical_json([caller, tool, tool_version, arguments or {}])
    return f"attach:{sha256(call).hexdigest()[:_LENGTH]}"


def attachable(head: Head, now: int, attach_for_ms: int) -> bool:
    """Whether an identical call may have this job: let go not long ago, its result uncollected."""
    fresh = head.let_go_at > 0 and now - head.let_go_at < attach_for_ms
    taken = head.collected or head.answered
    return fresh and not taken and head.state is not JobState.CANCELLED


def attach(head: Head) -> Change:
    """An identical call came for it while it was still the one to come for (the commit checks)."""
    if head.terminal:
        raise IllegalMoveError(f"{head.id} is {head.state}; its result is there to be read")
    return Change(
        name="attached",
        fields={"cancel_at": 0, "let_go_at": Now()},
        guards=(Free(head.spec.attach),),
        due=next_look(head),
    )


def hand_off(
    head: Head,
    reason: str,
    cancel_after_ms: int | None = None,
    *,
    seen_gone: bool = False,
    as_task: bool = False,
) -> Change:
    """Nobody is held for it any more: its id was given out, or its caller was lost.

    `cancel_after_ms`: cancelled then, unless somebody comes for it. With `seen_gone` it rests on
    the holder's lease, and the commit checks it. `as_task`: its client follows it by its id, so no
    identical call attaches. What has ended keeps its retention.
    """
    if head.terminal:
        raise IllegalMoveError(f"{head.id} is {head.state}; it goes on no more")
    fields: dict[str, Value] = {"handed_off": 1, "holder": ""}
    if cancel_after_ms is not None:
        fields["cancel_at"] = Now(cancel_after_ms)
    key = "" if as_task else head.spec.attach
    if key:
        fields["let_go_at"] = Now()
    return Change(
        name="handed_off",
        fields=fields,
        guards=(LeaseGone(head.holder),) if seen_gone else (),
        takes=(key,) if key else (),
        due=next_look(head),
        facts={"reason": reason},
    )


def send_back(head: Head, cancel_after_ms: int | None) -> Change:
    """Its caller was told to come again, with what only this caller can show.

    `cancel_after_ms`: cancelled then, unless it comes; None: it is kept in any case.
    """
    if head.terminal:
        raise IllegalMoveError(f"{head.id} is {head.state}; there is an answer to give")
    fields: dict[str, Value] = {"handed_off": 1, "holder": "", "leg": Add(1)}
    if cancel_after_ms is not None:
        fields["cancel_at"] = Now(cancel_after_ms)
    return Change(name="sent_back", fields=fields, due=next_look(head))


def come_back(head: Head, retention: RetentionMs) -> Change:
    """Its caller came again, as it was told to: the next time it needs to be told anew."""
    fields: dict[str, Value] = {}
    due = next_look(head)
    if head.terminal:
        fields, due = rest(head, retention.of(head.state, answered=False))
    return Change(
        name="came_back",
        fields={"cancel_at": 0, "leg": Add(1), **fields},
        due=due,
    )
