"""The store's contract: how full it is, and that what is there goes on when it is full."""

import pytest
import redis

from common.errors import StoreUnreachableError
from common.jobs.change import Done, Note
from common.jobs.endings import complete
from common.jobs.state import JobState
from common.jobs.transitions import claim, submit
from tests.support.ledger import RETENTION, SUBMISSION, Ledger, a_job_id, open_ledger
from tests.support.namespaces import Namespace
from tests.support.private import PrivateServer

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
