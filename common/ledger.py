"""The ledger: read, decide, commit; decide again when the record has moved in between."""

from collections.abc import Callable

from common.errors import LonghaulError
from common.jobs.change import Change, Done, Refused
from common.jobs.head import Head
from common.store.base import JobStore

ROUNDS = 16  # each refusal means that somebody else's commit succeeded


class ContendedError(LonghaulError):
    """The record kept moving; whoever asked may try again later."""


async def transact(
    store: JobStore,
    job_id: str,
    decide: Callable[[Head], Change | None],
    *,
    head: Head | None = None,
    commit_id: str | None = None,
) -> Done | Refused | None:
    """Commit what `decide` makes of the current head; None when it wants nothing, or no record.

    `decide` must be pure: it is called again with the newer head when the version has moved. A
    refusal by one of the change's own guards is the answer, not a reason to repeat. With a
    `commit_id` and the `head` it began with, the whole of it may be repeated after a lost reply.

    Raises:
        ContendedError: The record kept moving.
        StoreUnreachableError: As the store's commit.
    """
    head = head or await store.get(job_id)
    for _ in range(ROUNDS):
        if head is None:
            return None
        change = decide(head)
        if change is None:
            return None
        answer = await store.commit(job_id, change, version=head.version, commit_id=commit_id)
        if isinstance(answer, Done) or answer.guard not in {"version", "missing"}:
            return answer
        head = answer.head
    raise ContendedError(f"job {job_id} kept moving")
