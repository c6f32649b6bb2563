"""Removing a namespace from a Redis: what a drill made, and nothing else."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.config.urls import mask_url
from common.errors import StoreUnreachableError
from common.store.redis.keys import Keys

ANSWER = 5.0  # seconds for each answer
AT_ONCE = 1_000  # keys


async def remove_namespace(url: str, namespace: str) -> None:
    """Delete its keys.

    Raises:
        StoreUnreachableError: Some of them may be left.
    """
    client = Redis.from_url(url, socket_timeout=ANSWER, socket_connect_timeout=ANSWER)
    try:
        for shard in Keys(namespace).shards:
            async for key in client.scan_iter(f"{shard}:*", count=AT_ONCE):
                await client.delete(key)
    except (RedisError, OSError) as error:
        raise StoreUnreachableError(mask_url(str(error))) from error
    finally:
        await client.aclose()
