"""The store's contract: how full it is, and that what is there goes on when it is full."""

import pytest
import redis

from common.errors import StoreUnreachableError
from common.jobs.change import Done, Note
from common.jobs.endings import complete
from common.jobs.state import JobState
from common.jobs.transitions import claim, submit
from common.store.base import Timings
from common.store.sessions import SEEN_WITHIN, Session
from tests.support.ledger import RETENTION, SUBMISSION, Ledger, a_job_id, open_ledger
from tests.support.namespaces import Namespace
from tests.support.private import PrivateServer
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio
LIMIT = 64 << 20


async def test_without_a_limit_it_is_never_full(ledger: Ledger) -> None:
    assert await ledger.store.fullness() == 0


async def test_a_full_redis_takes_no_new_job_and_lets_the_others_end(
    private_redis: PrivateServer, namespace: Namespace
) -> None:
    """At the limit itself, above which Redis refuses what takes memory: results still do."""
    with redis.Redis.from_url(private_redis.url) as server:
        async with open_ledger(private_redis.url, namespace) as ledger:
            await ledger.store.beat("w1", {})
            running, queued = await ledger.claimed(), await ledger.submitted()
            server.set("ballast", b"x" * LIMIT)
            server.config_set("maxmemory", LIMIT)
            try:
                assert await ledger.store.fullness() > 1
                with pytest.raises(StoreUnreachableError, match="refused"):
                    await ledger.store.commit(a_job_id(), submit(SUBMISSION, 0), version=0)
                await ledger.store.beat("w1", {})
                assert await ledger.store.note(running.id, Note(fields={"progress": "[1,2,null]"}))
                change = complete(await ledger.head(running.id), b"{}", RETENTION, tool_error=False)
                assert (await ledger.done(running, change)).state is JobState.COMPLETED
                queued = await ledger.done(queued, claim("w1"))
                assert len(await ledger.store.due(10)) == 0
                assert await ledger.store.remove(queued.id, version=queued.version)
            finally:
                server.config_set("maxmemory", 0)
                server.delete("ballast")
            assert await ledger.store.fullness() == 0
            answer = await ledger.store.commit(a_job_id(), submit(SUBMISSION, 0), version=0)
            assert isinstance(answer, Done)


async def test_a_full_redis_keeps_the_sessions_of_those_who_wait(
    private_redis: PrivateServer, namespace: Namespace
) -> None:
    """Or no client of the handshake era would get the results that it still lets in."""
    timings = Timings(session_ms=60_000)
    with redis.Redis.from_url(private_redis.url) as server:
        async with open_ledger(private_redis.url, namespace, timings) as ledger:
            sessions = ledger.store.sessions
            assert await sessions.create(Session(id="s1", caller="c", version="v"), limit=2)
            server.set("ballast", b"x" * LIMIT)
            server.config_set("maxmemory", LIMIT)
            try:
                # Asked for so late, it is written down: a sign of life.
                began = await ledger.store.now()

                async def seen() -> bool:
                    found = await sessions.get("s1")
                    assert found is not None
                    return found.seen_at > began

                await until_answered(seen, seconds=60 / SEEN_WITHIN + 3)
                assert await sessions.set_level("s1", "info")
                await sessions.leave("s1", "call", b"cancelled")
                assert await sessions.notes("s1", ["call"]) == {"call": b"cancelled"}
                assert await sessions.create(Session(id="s2", caller="c", version="v"), limit=2)
                assert not await sessions.create(Session(id="s3", caller="c", version="v"), limit=2)
            finally:
                server.config_set("maxmemory", 0)
                server.delete("ballast")
