"""The reconciler, in every process: takes records whose check is due and does the one thing due.

Any number of them may run: taking pushes a record 5 s ahead, and every action is a guarded commit.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from common.answering import answer_in_their_stead
from common.errors import BlobsUnreachableError, StoreUnreachableError
from common.forgetting import (
    forget,
    look_after_documents,
    look_after_strays,
    stays_with_batch,
)
from common.jobs import decisions
from common.jobs.attaching import hand_off
from common.jobs.callbacks import CALLBACK_DUE, CALLBACKS
from common.jobs.change import BATCHES, Change, Done, Refused, Window
from common.jobs.decisions import DueAction, Facts, decide_due
from common.jobs.endings import cancel, fail, keep, let_go, owner_died
from common.jobs.head import Head
from common.jobs.held import line_up, release
from common.jobs.indexes import SCHEDULED
from common.jobs.put_off import put_off
from common.jobs.state import JobState
from common.jobs.transitions import check
from common.leftovers import look_after_leftovers
from common.notifier.base import ingress_channel, worker_channel
from common.notifier.hints import JobHint, encode_hint
from common.publishing import token_of
from common.queue_looks import QueueLooks
from common.releasing import ReleaseWindow
from common.runtime import Runtime
from common.store.base import DUE_PUSH_MS
from common.telemetry.metrics import DueLabel

log = structlog.get_logger(__name__)

TAKEN = 100  # records at once
PERIOD = 1.0  # seconds between two looks at the due index
SOON = 0.02  # seconds at least
FORGET_WITHIN = DUE_PUSH_MS / 1000  # seconds: then it is due again, and anybody's


class Reconciler:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.window = ReleaseWindow(runtime)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.window.run())
            group.create_task(self._look_after_records())
            group.create_task(look_after_leftovers(self._runtime))
            group.create_task(look_after_strays(self._runtime))
            group.create_task(look_after_documents(self._runtime))

    async def _look_after_records(self) -> None:
        while True:
            pause = PERIOD
            try:
                more = await self.sweep() >= TAKEN
                pause = 0.0 if more else await self._until_next()
            except StoreUnreachableError as error:
                log.warning("sweep.failed", error=str(error))
            except Exception:  # boundary: a record that nobody expected must not end the process
                log.exception("sweep.broken")
            if pause:
                await self._runtime.clock.sleep(pause)

    async def _until_next(self) -> float:
        """Seconds until the next look: a scheduled job is let go on time, not a period later."""
        store = self._runtime.store
        due = await store.oldest(SCHEDULED)
        left = PERIOD if due is None else (due - await store.now()) / 1000
        return min(PERIOD, max(SOON, left))

    async def sweep(self) -> int:
        """One look; how many records were due.

        Raises:
            StoreUnreachableError: The rest comes back by itself.
        """
        heads = await self._runtime.store.due(TAKEN)
        if not heads:
            return 0
        now = await self._runtime.store.now()
        queues = QueueLooks(self._runtime)
        known = list(zip(heads, await self._facts(heads), strict=True))
        # Many may be scheduled for one moment: the last is not to be late.
        scheduled = [each for each in known if each[0].state is JobState.HELD]
        await asyncio.gather(*(self._look_safely(*each, now, queues) for each in scheduled))
        for each in known:
            if not (each[0].state is JobState.HELD or _ended(each[0])):
                await self._look_safely(*each, now, queues)
        if queues.left:
            await self._runtime.store.put_off([put_off(head, now) for head in queues.left])
        # Many may be over since one moment, too. Last: a place for blobs may keep them waiting.
        ended = [each for each in known if _ended(each[0])]
        await asyncio.gather(*(self._look_safely(*each, now, queues) for each in ended))
        return len(heads)

    async def _look_safely(self, head: Head, facts: Facts, now: int, queues: QueueLooks) -> None:
        """Raises: StoreUnreachableError."""
        try:
            await self._look_after(head, facts, now, queues)
        except StoreUnreachableError:
            raise
        except Exception:  # boundary: one odd record must not keep the others from their turn
            log.exception("record.broken", job_id=head.id)

    async def _look_after(self, head: Head, facts: Facts, now: int, queues: QueueLooks) -> None:
        """The one thing due; after a hand-off the next one, too: its token may be missing."""
        current: Head | None = head
        while current is not None:
            action = decide_due(current, now, facts)
            if isinstance(action, decisions.Look):
                facts = await queues.look(current.queue, facts)
                action = decide_due(current, now, facts)
            if isinstance(action, decisions.Publish) and queues.is_deaf(current.queue):
                return  # it comes back by itself; another one tries for all of its queue
            current = await self._act(current, action, queues)
            facts = replace(facts, holder_gone=False)

    async def _facts(self, heads: Sequence[Head]) -> list[Facts]:
        owners = [head.owner if _owned(head) else "" for head in heads]
        holders = ["" if head.handed_off or head.terminal else head.holder for head in heads]
        gone = await self._runtime.store.gone([*owners, *holders])
        return [
            Facts(owner_gone=owner, holder_gone=holder)
            for owner, holder in zip(gone[: len(heads)], gone[len(heads) :], strict=True)
        ]

    async def _act(self, head: Head, action: DueAction, queues: QueueLooks) -> Head | None:
        """The record when there may be more to do about it."""
        self._runtime.metrics.due_actions.labels(action=_LABELS[type(action)]).inc()
        if isinstance(action, decisions.Remove):
            await self._forget(head)
            return None
        if isinstance(action, decisions.AnswerInstead):
            await answer_in_their_stead(self._runtime, head)
            return None
        if isinstance(action, decisions.CallBack):
            await self._wake(CALLBACKS, head, CALLBACK_DUE)
            return None  # it comes back by itself, in case no ingress heard
        if isinstance(action, decisions.Drive):
            await self._wake(BATCHES, head, "due")
            return None  # as above
        if isinstance(action, decisions.Leave):
            await self._leave(head, queues)
            return None
        if isinstance(action, decisions.Publish):
            await self._publish_again(head, action.why, queues)
            return None
        change = self._change(head, action)
        change, answer = await self._commit(head, change)
        if not isinstance(answer, Done):
            return None  # it moved on, and was given its next check when it did
        self.window.leave(head, answer)
        self._runtime.metrics.count_letter(change.name)
        log.info("job.reconciled", job_id=head.id, change=change.name)
        if change.name in {"rescued", "released"}:
            again = change.name == "rescued"
            token = token_of(head, generation=head.generation + again, version=answer.version)
            await queues.publish(head, token)
        elif isinstance(action, decisions.HandOff):
            return await self._runtime.store.get(head.id)
        return None

    async def _publish_again(self, head: Head, why: str, queues: QueueLooks) -> None:
        """First the token: one that is not taken leaves the record as it is, and an outage of the
        broker, however long, does not fill the job's events.
        """
        token = token_of(head, generation=head.generation, version=head.version + 1)
        if await queues.publish(head, token):
            log.info("job.republished", job_id=head.id, why=why)
            await self._runtime.store.commit(head.id, check(head), version=head.version)

    async def _leave(self, head: Head, queues: QueueLooks) -> None:
        """What is not put off comes back by itself: its version stays for who settles it."""
        if _owned(head) or head.newer or head.terminal:
            await self._order_again(head)
        else:
            queues.left.append(head)

    async def _commit(self, head: Head, change: Change) -> tuple[Change, Done | Refused]:
        """What was tried in the end, and its answer."""
        answer = await self._runtime.store.commit(head.id, change, version=head.version)
        if isinstance(answer, Done) or answer.guard != Window.__name__:
            return change, answer
        change = line_up(head)
        return change, await self._runtime.store.commit(head.id, change, version=head.version)

    async def _forget(self, head: Head) -> None:
        try:
            async with asyncio.timeout(FORGET_WITHIN):
                if not await stays_with_batch(self._runtime, head):
                    await forget(self._runtime, head)
        except (BlobsUnreachableError, TimeoutError) as error:
            # It comes back by itself, without what was deleted; others need no blobs.
            log.info("record.stays", job_id=head.id, error=str(error) or "it takes long")

    async def _order_again(self, head: Head) -> None:
        """Its worker lives and still runs it: perhaps the order to stop was lost."""
        if head.still_running and not head.newer:
            order = JobHint(kind="state", job=head.id, state=head.state, version=head.version)
            await self._runtime.notifier.publish(worker_channel(head.owner), encode_hint(order))

    async def _wake(self, watcher: str, head: Head, why: str) -> None:
        """The ingresses that do what no other process does."""
        due = JobHint(kind="state", job=head.id, state=head.state, version=head.version, body=why)
        await self._runtime.notifier.publish(ingress_channel(watcher), encode_hint(due))

    def _change(self, head: Head, action: DueAction) -> Change:
        retention = self._runtime.retention
        match action:
            case decisions.KeepLonger():
                return keep(head, retention)
            case decisions.LetGo():
                return let_go(head, retention, seen_gone=True)
            case decisions.TakeTurn():
                return release(head, self.window.limit(head.queue))
            case decisions.Rescue():
                return owner_died(head, retention)
            case decisions.HandOff():
                return hand_off(head, "the ingress that held the call is gone", seen_gone=True)
            case decisions.Cancel(reason=reason):
                return cancel(head, reason, retention)
            case decisions.Fail(code=code, message=message):
                return fail(head, {"code": code, "message": message}, retention)
            case _:
                raise TypeError(f"no change follows from {action}")


_LABELS: dict[type[DueAction], DueLabel] = {
    decisions.Remove: "remove",
    decisions.KeepLonger: "keep",
    decisions.LetGo: "let_go",
    decisions.CallBack: "call_back",
    decisions.Drive: "drive",
    decisions.Fail: "fail",
    decisions.Cancel: "cancel",
    decisions.Publish: "publish",
    decisions.TakeTurn: "release",
    decisions.Look: "leave",
    decisions.Leave: "leave",
    decisions.Rescue: "rescue",
    decisions.HandOff: "hand_off",
    decisions.AnswerInstead: "answer",
}


def _ended(head: Head) -> bool:
    return head.terminal and not head.still_running


def _owned(head: Head) -> bool:
    return bool(head.owner) and (not head.terminal or head.still_running)
