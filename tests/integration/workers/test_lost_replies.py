"""The answer to a claim is lost, and the record moves on before the claim is asked for again."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.brokers.base import Delivery
from common.heartbeat import Heartbeat
from common.jobs.change import Change, Done, Refused
from common.jobs.decisions import Reaction, Release
from common.jobs.endings import owner_died
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.token import Token, decode_token
from common.jobs.transitions import claim
from common.releasing import ReleaseWindow
from tests.support.system import OpenSystem, System
from workers.claims import Claimed, Claims

pytestmark = pytest.mark.anyio
US, OTHER = "worker-us", "worker-other"


@dataclass
class Forgetful:
    """The system's store; the first answer to a commit is lost, and something happens before the
    commit comes again.
    """

    system: System
    meanwhile: Callable[[Head], Awaitable[None]]
    lost: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.system.store, name)

    async def commit(
        self, job_id: str, change: Change, *, version: int, commit_id: str | None = None
    ) -> Done | Refused:
        commit = self.system.store.commit
        answer = await commit(job_id, change, version=version, commit_id=commit_id)
        if self.lost:
            return answer
        self.lost += 1
        assert isinstance(answer, Done)
        await self.meanwhile(await self.system.head(job_id))
        return await commit(job_id, change, version=version, commit_id=commit_id)


async def claimed_by_us(
    system: System, tmp_path: Path, meanwhile: Callable[[Head], Awaitable[None]]
) -> tuple[Claimed | Reaction, str]:
    """What our claim of a queued job comes to."""
    async with system.worker():
        await system.offered("b__safe")
    job = await system.submit("b__safe", log=str(tmp_path / "log"))
    runtime: Any = replace(system.runtime, store=Forgetful(system, meanwhile))
    heartbeat = Heartbeat(system.runtime, US, dict)
    await heartbeat.beat()
    await system.store.beat(OTHER, {})
    async with system.runtime.broker.consume("b", 1) as deliveries:
        delivery: Delivery = await anext(aiter(deliveries))
        token: Token = decode_token(delivery.raw)
        assert token.job == job
        claims = Claims(runtime, US, heartbeat, ReleaseWindow(runtime))
        found = await claims.claim(token, delivery, runs_here=False)
        await delivery.ack()
    return found, job


async def test_a_claim_that_was_noted_in_between_is_ours(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async def nothing(head: Head) -> None:
        assert head.owner == US

    async with system_on() as system:
        found, job = await claimed_by_us(system, tmp_path, nothing)
        assert isinstance(found, Claimed)
        head = await system.head(job)
        assert (found.head.claim, found.head.version) == (head.claim, head.version)


async def test_a_job_that_was_cancelled_in_between_starts_no_more(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """And its claim is let go: there is no tool that could."""
    async with system_on() as system:

        async def cancelled(head: Head) -> None:
            assert await system.cancel(head.id)

        found, job = await claimed_by_us(system, tmp_path, cancelled)
        assert isinstance(found, Release)
        head = await system.head(job)
        assert (head.state, head.still_running, head.owner) == (JobState.CANCELLED, False, "")


async def test_a_job_that_another_worker_has_by_now_is_its(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """Our lease lapsed while the store was away from us only."""
    async with system_on() as system:

        async def taken_away(head: Head) -> None:
            await system.store.release(US)
            safe = replace(head, spec=replace(head.spec, repeatable=True))
            died = owner_died(safe, system.runtime.retention)
            answer = await system.store.commit(head.id, died, version=head.version)
            assert isinstance(answer, Done)
            mine = await system.store.commit(head.id, claim(OTHER), version=answer.version)
            assert isinstance(mine, Done)

        found, job = await claimed_by_us(system, tmp_path, taken_away)
        assert isinstance(found, Release)
        head = await system.head(job)
        assert (head.state, head.owner, head.claims) == (JobState.RUNNING, OTHER, 2)
        await system.store.release(OTHER)
        await system.in_state(job, JobState.LOST)
