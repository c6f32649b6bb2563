"""Dead letters: find them, see what became of each try, replay and drop them.

A letter is the record of a job that is `dead` or `lost`, or of a token that stands for no job.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog

from common.blobs.calls import whole_call
from common.errors import (
    LonghaulError,
    MayHaveRunError,
    NotFoundError,
    NotReplayableError,
    RefusedError,
    StoreUnreachableError,
)
from common.forgetting import forget
from common.jobs.checkpoint import CHECKPOINT
from common.jobs.endings import RAW
from common.jobs.head import Head, StoredCall, decode_call
from common.jobs.state import LETTERS, JobState
from common.jobs.transitions import CALL
from common.runtime import Runtime
from common.wire import load_json
from ingress.caller import Caller
from ingress.operations.call_request import CallRequest
from ingress.operations.letters import Death, Group, Replay, Wanted, group, is_token
from ingress.operations.read import Read
from ingress.operations.search import Found, find, look
from ingress.operations.submit import Submit
from ingress.operations.tries import Try, tries_of

log = structlog.get_logger(__name__)

GROUPED = 3_000  # letters looked at for one grouping
AT_ONCE = 20  # replays under way for one request


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """Everything that is kept of one."""

    head: Head
    call: StoredCall | None  # None: a token, or of a job whose record says no more
    error: Mapping[str, Any] | None
    tries: Sequence[Try]
    all_tries: bool  # False: its first events are no longer kept, and tries with them
    raw: bytes | None  # of a token that stands for no job


class DeadLetters:
    def __init__(self, runtime: Runtime, read: Read, submit: Submit) -> None:
        self._runtime = runtime
        self._store = runtime.store
        self._read = read
        self._submit = submit

    async def list(
        self, caller: Caller, wanted: Wanted, *, limit: int, cursor: str | None = None
    ) -> Found:
        """The newest first. A page may be short and still have a cursor."""
        walk = wanted.walk(_mine(caller))
        if walk is None:
            return Found(heads=[], cursor=None)
        found = await find(self._store, walk, limit=limit, cursor=cursor)
        return replace(found, heads=[head for head in found.heads if head.state in LETTERS])

    async def groups(self, caller: Caller, wanted: Wanted) -> tuple[Sequence[Group], bool]:
        """By what went wrong, the largest first; and whether that is all of them."""
        walk = wanted.walk(_mine(caller))
        if walk is None:
            return [], True
        seen = await look(self._store, walk, limit=GROUPED, budget=GROUPED)
        return group(Death.of(job, fields) for job, fields in seen.jobs), seen.cursor is None

    async def head(self, letter: str, caller: Caller) -> Head:
        """Raises: NotFoundError: Unknown, no dead letter, or somebody else's: the same for all."""
        try:
            head = await self._read.head(letter, caller)
        except NotFoundError:
            raise NotFoundError(f"no dead letter {letter}") from None
        if head.state not in LETTERS:
            raise NotFoundError(f"no dead letter {letter}: that job is {head.state}")
        return head

    async def whole(self, letter: str, caller: Caller) -> Letter:
        """Raises: NotFoundError: As `head`."""
        head = await self.head(letter, caller)
        stored, events = await self._read.result(head), await self._read.events(head)
        error = None if stored is None else load_json(stored)
        return Letter(
            head=head,
            call=await self._call(head),
            error=error,
            tries=tries_of(events, error),
            all_tries=bool(events) and events[0].number == 1,
            raw=await self._store.part(head.id, RAW) if is_token(head) else None,
        )

    async def replay(
        self,
        letter: str,
        caller: Caller,
        *,
        arguments: Mapping[str, Any] | None = None,
        lost: bool = False,
        from_start: bool = False,
    ) -> Replay:
        """Run it again as a new job: once, however often and by however many this is asked.

        `arguments` take the place of the job's own. `lost` is the word that somebody has looked
        whether the tool did it: without it a job whose outcome is unknown is not replayed.
        It goes on from the letter's checkpoint, unless that may be of something else: with other
        arguments, or another version of the tool, or `from_start`, it begins at the beginning.

        Raises:
            NotFoundError: As `head`.
            MayHaveRunError: It is `lost`, and the word was not given.
            NotReplayableError: It is no job.
            InvalidCallError: The arguments do not fit the tool as it is now.
            RefusedError: Nobody offers its tool now, or the queue is full.
            StoreUnreachableError: Nobody knows; asking again does no harm.
        """
        head = await self.head(letter, caller)
        if head.replayed_as:
            return Replay(letter=letter, job=head.replayed_as, new=False)
        request = await self._request(head, caller, arguments, lost=lost)
        if arguments is None and not from_start:
            request = replace(request, checkpoint=await self._checkpoint(head))
        job, new = await self._submit.replay(request)
        if new:
            log.info("letter.replayed", job_id=letter, replayed_as=job, by=caller.name)
        return Replay(letter=letter, job=job, new=new)

    async def replay_many(
        self,
        letters: Sequence[str],
        caller: Caller,
        *,
        dry_run: bool,
        lost: bool,
        from_start: bool = False,
    ) -> Sequence[Replay]:
        """Each by itself, in their order: what is refused says why and keeps no other back.

        Raises:
            StoreUnreachableError: Some may be replayed; asking again makes none of them twice.
        """
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(letter: str) -> Replay:
            async with gate:
                try:
                    if dry_run:
                        return await self._would_replay(letter, caller, lost=lost)
                    return await self.replay(letter, caller, lost=lost, from_start=from_start)
                except StoreUnreachableError:
                    raise
                except LonghaulError as error:
                    return Replay(
                        letter=letter,
                        refused=str(error),
                        again=isinstance(error, RefusedError),
                        missing=isinstance(error, NotFoundError),
                    )

        return await asyncio.gather(*(one(letter) for letter in dict.fromkeys(letters)))

    async def drop(self, letter: str, caller: Caller) -> Head:
        """Forget it, with everything that is kept of it; the head as it was.

        Raises:
            NotFoundError: As `head`.
            RefusedError: It is a row of a batch, which has a result for each.
        """
        while True:
            head = await self.head(letter, caller)
            if head.batch:
                raise RefusedError(f"{letter} is a row of a batch, and is kept as long as that")
            if await forget(self._runtime, head):
                log.info("letter.dropped", job_id=letter, by=caller.name)
                return head

    # --- replaying them

    async def _would_replay(self, letter: str, caller: Caller, *, lost: bool) -> Replay:
        head = await self.head(letter, caller)
        if head.replayed_as:
            return Replay(letter=letter, job=head.replayed_as, new=False)
        self._submit.check(await self._request(head, caller, None, lost=lost))
        return Replay(letter=letter)

    async def _request(
        self, head: Head, caller: Caller, arguments: Mapping[str, Any] | None, *, lost: bool
    ) -> CallRequest:
        if is_token(head):
            raise NotReplayableError(f"{head.id} is a token without a job; it can only be dropped")
        if head.state is JobState.LOST and not lost:
            raise MayHaveRunError(head.id)
        try:
            self._submit.tool(head.tool)
        except NotFoundError:
            raise RefusedError(f"nobody offers {head.tool} now") from None
        call = await self._call(head)
        if call is None:
            raise NotFoundError(f"no dead letter {head.id}")  # dropped in this very moment
        return CallRequest(
            tool=head.tool,
            arguments=call.arguments if arguments is None else arguments,
            caller=head.caller,
            request_id=head.spec.request_id,
            priority=head.spec.priority,
            meta=call.meta,
            client_capabilities=call.client_capabilities,
            log_level=call.log_level,
            callback=head.spec.callback,
            affinity=head.spec.affinity,
            replay_of=head.id,
            replayed_by=caller.name,
        )

    async def _checkpoint(self, head: Head) -> bytes | None:
        same = self._submit.tool(head.tool).version == head.spec.tool_version
        if not (head.checkpoint_bytes and same):
            return None
        return await self._store.part(head.id, CHECKPOINT)

    async def _call(self, head: Head) -> StoredCall | None:
        raw = await self._store.part(head.id, CALL)
        if raw is None:
            return None
        return await whole_call(self._runtime.blobs, head, decode_call(raw))


def _mine(caller: Caller) -> str | None:
    """Whose letters a caller may see; None: everybody's."""
    return None if caller.operator else caller.name
