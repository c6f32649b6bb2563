"""What a run takes: memory of its processes, tokens at the broker, room in the store."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aio_pika
import anyio
import redis.asyncio as redis
from aio_pika.abc import AbstractConnection

from common.brokers.rabbitmq.topology import Names
from tests.volume.deployment import QUEUE, Deployment

EVERY = 0.25  # seconds
MB = 1_000_000


@dataclass(slots=True)
class Seen:
    """The most of each."""

    memory: dict[str, int] = field(default_factory=dict)  # bytes, by process
    tokens: int = 0  # ready ones in the work queue
    waiting: int = 0  # bytes that Redis uses for the batch while all its rows wait
    store: int = 0  # and at most


async def used(deployment: Deployment) -> int:
    """Bytes that Redis uses."""
    async with redis.Redis.from_url(deployment.redis.url) as store:
        return await _used(store)


async def watch(
    deployment: Deployment,
    pids: Callable[[], Mapping[str, int]],
    seen: Seen,
    before: int,
    over: anyio.Event,
) -> None:
    """Look again and again, until it is over."""
    queue = Names(namespace="lh").queue(QUEUE)
    broker = await aio_pika.connect(deployment.rabbit.url)
    async with broker, redis.Redis.from_url(deployment.redis.url) as store:
        while not over.is_set():
            for name, pid in pids().items():
                seen.memory[name] = max(seen.memory.get(name, 0), peak_memory(pid))
            seen.tokens = max(seen.tokens, await _ready(broker, queue))
            seen.store = max(seen.store, await _used(store) - before)
            await anyio.sleep(EVERY)


def peak_memory(pid: int) -> int:
    """The most that was resident of a process since its start; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


async def _ready(broker: AbstractConnection, queue: str) -> int:
    async with broker.channel() as channel:
        declared = await channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0


async def _used(store: "redis.Redis") -> int:
    return int((await store.info("memory"))["used_memory"])
