"""What is owed to a caller's URL, on every store: from the end of the job on, in the due index."""

from dataclasses import replace

import pytest

from common.jobs.callbacks import (
    CALLBACKS,
    CallbackState,
    call_back_again,
    deliver,
    give_up,
    is_owed,
    message_id,
    postpone,
    take,
)
from common.jobs.change import WATCH_END, Done, Refused
from common.jobs.decisions import CallBack, Facts, Leave, LetGo, Remove, decide_due
from common.jobs.endings import cancel, complete, let_go, lose
from common.jobs.head import Head
from common.jobs.indexes import callback_index
from common.notifier.base import Hint, ingress_channel
from common.notifier.hints import decode_hint
from tests.support.ledger import RETENTION, SUBMISSION, Ledger

pytestmark = pytest.mark.anyio

WITH_CALLBACK = replace(
    SUBMISSION,
    spec=replace(SUBMISSION.spec, callback="https://example.com/hook"),
    watcher=CALLBACKS + WATCH_END,
)
HOLD = 30_000
AN_HOUR = 3_600_000


async def completed(ledger: Ledger) -> Head:
    head = await ledger.claimed(WITH_CALLBACK)
    return await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))


async def test_it_is_owed_with_the_end_and_due_at_once(ledger: Ledger) -> None:
    head = await completed(ledger)
    assert is_owed(head)
    assert await ledger.due_at(head) == head.callback_at == head.finished_at
    assert head.forget_at == head.finished_at + RETENTION.completed
    assert await ledger.members(callback_index(CallbackState.PENDING)) == {head.id}
    due = {each.id: each for each in await ledger.store.due(10)}
    assert decide_due(due[head.id], await ledger.store.now(), Facts()) == CallBack()


async def test_a_job_without_a_callback_owes_nothing(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert (head.callback, head.callback_at, head.forget_at) == ("", 0, 0)
    assert await ledger.due_at(head) == head.finished_at + RETENTION.completed


async def test_the_end_is_told_to_whoever_sends_callbacks(ledger: Ledger) -> None:
    head = await ledger.claimed(WITH_CALLBACK)
    async with ledger.notifier.listen([ingress_channel(CALLBACKS)]) as hints:
        heard = aiter(hints)
        await anext(heard)
        await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
        hint = await anext(heard)
    assert isinstance(hint, Hint)
    assert (decode_hint(hint.payload).job, decode_hint(hint.payload).body) == (head.id, "completed")


async def test_one_of_many_takes_a_try_and_another_may_once_its_time_is_over(
    ledger: Ledger,
) -> None:
    head = await completed(ledger)
    taken = await ledger.store.commit(head.id, take(head, HOLD), version=head.version)
    assert isinstance(taken, Done)
    late = await ledger.store.commit(head.id, take(head, HOLD), version=head.version)
    assert isinstance(late, Refused)
    assert late.guard == "version"
    head = await ledger.head(head.id)
    assert (head.callback_tries, head.callback_at) == (1, taken.now + HOLD)
    assert await ledger.due_at(head) == head.callback_at
    assert (await ledger.refused(head, take(head, HOLD))).guard == "TimeReached"


async def test_a_delivered_one_leaves_the_record_its_retention(ledger: Ledger) -> None:
    head = await completed(ledger)
    forget_at = head.forget_at
    head = await ledger.done(head, take(head, HOLD))
    head = await ledger.done(head, deliver(head))
    assert (head.callback, head.callback_at) == (CallbackState.DELIVERED, 0)
    assert head.callback_delivered_at >= head.finished_at
    assert await ledger.due_at(head) == head.forget_at == forget_at
    assert await ledger.members(callback_index(CallbackState.DELIVERED)) == {head.id}
    assert await ledger.members(callback_index(CallbackState.PENDING)) == set()
    assert decide_due(head, forget_at, Facts()) == Remove()


async def test_a_record_outlives_its_retention_while_a_callback_is_owed(ledger: Ledger) -> None:
    head = await completed(ledger)
    head = await ledger.done(head, take(head, HOLD))
    head = await ledger.done(head, postpone(head, 2 * RETENTION.completed, "HTTP 503"))
    assert await ledger.due_at(head) == head.callback_at > head.forget_at
    assert decide_due(head, head.forget_at, Facts()) == Leave()
    now = await ledger.store.now()
    head = await ledger.done(head, give_up(head, "HTTP 503", now + 2 * RETENTION.failed))
    assert (head.callback, head.callback_error) == (CallbackState.FAILED, "HTTP 503")
    assert await ledger.due_at(head) == head.forget_at == now + 2 * RETENTION.failed


async def test_a_failed_one_can_be_sent_again_with_the_same_id(ledger: Ledger) -> None:
    head = await completed(ledger)
    name = message_id(head)
    head = await ledger.done(head, take(head, HOLD))
    head = await ledger.done(head, give_up(head, "HTTP 410", 0))
    forget_at = head.forget_at
    head = await ledger.done(head, call_back_again(head, "somebody"))
    assert (head.callback, head.callback_tries, head.callback_error) == ("pending", 0, "")
    assert await ledger.due_at(head) == head.callback_at
    assert (message_id(head), head.forget_at) == (name, forget_at)
    assert await ledger.members(callback_index(CallbackState.FAILED)) == set()


async def test_a_cancelled_job_whose_tool_runs_on_keeps_both_its_checks(ledger: Ledger) -> None:
    head = await ledger.claimed(WITH_CALLBACK)
    head = await ledger.done(head, cancel(head, "asked to", RETENTION))
    assert await ledger.due_at(head) == head.callback_at
    now = await ledger.store.now()
    assert decide_due(head, now, Facts()) == CallBack()
    assert decide_due(head, now, Facts(owner_gone=True)) == LetGo()
    head = await ledger.done(head, take(head, AN_HOUR))
    lease_check = await ledger.due_at(head)
    assert lease_check < head.callback_at
    sent = await ledger.done(head, deliver(head))
    assert await ledger.due_at(sent) < sent.forget_at
    gone = await ledger.done(sent, let_go(sent, RETENTION))
    assert await ledger.due_at(gone) == pytest.approx(gone.forget_at, abs=1_000)


async def test_letting_go_does_not_forget_what_is_owed(ledger: Ledger) -> None:
    head = await ledger.claimed(WITH_CALLBACK)
    head = await ledger.done(head, cancel(head, "asked to", RETENTION))
    head = await ledger.done(head, let_go(head, RETENTION))
    assert is_owed(head)
    assert await ledger.due_at(head) == head.callback_at


async def test_a_loss_waits_for_a_late_finish_which_is_another_message(ledger: Ledger) -> None:
    head = await ledger.claimed(WITH_CALLBACK)
    lost = await ledger.done(head, lose(head, "its worker died", RETENTION, seen_gone=False))
    assert lost.callback_at > lost.finished_at
    sent = await ledger.done(lost, deliver(lost))
    late = await ledger.done(sent, complete(sent, b"{}", RETENTION, tool_error=False))
    assert (late.callback, late.callback_at) == (CallbackState.PENDING, late.finished_at)
    assert message_id(late) != message_id(lost)
    assert await ledger.members(callback_index(CallbackState.DELIVERED)) == set()
