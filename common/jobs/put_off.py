"""The reconciler's next look at a job that stays where it is. Pure."""

from dataclasses import dataclass

from common.jobs.head import Head
from common.jobs.transitions import due_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOff:
    """When to look again, if the record is still at this version. No transition: no event tells it.

    So a job's events do not fill up with looks, and its token's version stays good for a claim
    without a read, however long it waits.
    """

    job_id: str
    version: int
    at: int  # ms


def put_off(head: Head, now: int) -> PutOff:
    """`now` is the store's time, ms."""
    due = due_of(head)
    times = [at for name in due.fields if (at := int(getattr(head, name))) > 0]
    if due.after is not None:
        times.append(now + due.after)
    return PutOff(job_id=head.id, version=head.version, at=min(times, default=now))
