"""Redis changes its place behind its address."""

import pytest
import redis

from common.clock import SystemClock
from common.errors import StoreUnreachableError
from common.store.redis.store import open_redis_store
from tests.support.namespaces import Namespace
from tests.support.private import PrivateServer
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_server_that_was_made_a_replica_is_left(
    private_redis: PrivateServer, namespace: Namespace
) -> None:
    """Or whoever was connected before a failover would be refused for as long as it lives."""
    with redis.Redis.from_url(private_redis.url) as server:

        def others() -> set[str]:
            ours = server.client_id()
            return {each["id"] for each in server.client_list() if int(each["id"]) != ours}

        async with open_redis_store(private_redis.url, namespace, SystemClock()) as store:
            await store.beat("w1", {})
            before = others()
            assert before
            server.replicaof("127.0.0.1", 1)  # nobody is there
            try:
                with pytest.raises(StoreUnreachableError, match="READONLY"):
                    await store.beat("w1", {})
                await until(lambda: others() and not others() & before)
            finally:
                server.replicaof("NO", "ONE")
            await store.beat("w1", {})
