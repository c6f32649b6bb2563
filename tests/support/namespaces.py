"""A namespace of a test's own on servers that it shares, and its removal afterwards."""

import asyncio
import secrets

import redis

from common.brokers.rabbitmq.remove import remove_namespace
from common.store.redis.keys import Keys


class Namespace(str):
    """The name. `queues` are work queues to remove with it that no record in its store names."""

    __slots__ = ("queues",)
    queues: set[str]

    @classmethod
    def fresh(cls) -> "Namespace":
        namespace = cls(f"t{secrets.token_hex(4)}")
        namespace.queues = set()
        return namespace


def remove(namespace: Namespace, *, broker: str | None, store: str | None) -> None:
    """Leave no trace of a namespace on the servers that were in use."""
    queues = set(namespace.queues)
    if store:
        queues |= _empty_store(store, namespace)
    if broker:
        asyncio.run(remove_namespace(broker, namespace, sorted(queues)))


def _empty_store(url: str, namespace: str) -> set[str]:
    """Delete the namespace's keys; answers the queues that its records and catalogue named."""
    keys = Keys(namespace)
    with redis.Redis.from_url(url, decode_responses=True) as store:
        named = {str(backend) for backend in store.hkeys(keys.catalogue)}
        for shard in keys.shards:
            for key in store.scan_iter(f"{shard}:*", count=1000):
                is_head = key.startswith(keys.head(shard, "")) and key.count(":") == 2
                queue = store.hget(key, "queue") if is_head else None
                named |= {queue} if queue else set()
                store.delete(key)
    return named
