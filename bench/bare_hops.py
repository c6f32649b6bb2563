"""The hops of a call through Longhaul and nothing else: what drivers, servers and machine take.

HTTP in, a key set in Redis, a message through RabbitMQ, the key taken, HTTP to the backend, the
result set and told over Redis, HTTP out; with the same drivers, and no promise of any kind.

    python -m bench.bare_hops ingress PORT BROKER STORE
    python -m bench.bare_hops worker BACKEND BROKER STORE
"""

import asyncio
import sys
from itertools import count
from typing import Any

import aiormq
import redis.asyncio as redis
import uvicorn
import uvloop
from aiormq import spec
from aiormq.abc import DeliveredMessage
from starlette.types import Receive, Scope, Send

from bench.caller import Connection, request

QUEUE = "bare"
NEWS = "bare:news"
PERSISTENT = spec.Basic.Properties(delivery_mode=2)
SLOTS = 64
CONNECTIONS = 512  # one for each command under way


class Ingress:
    def __init__(self, channel: aiormq.abc.AbstractChannel, store: "redis.Redis") -> None:
        self._channel = channel
        self._store = store
        self._numbers = count()
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._publishing: set[asyncio.Task[Any]] = set()

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        call = (await receive())["body"]
        job = b"%d" % next(self._numbers)
        ended = self._waiting[job] = asyncio.get_running_loop().create_future()
        await self._store.set(b"bare:call:" + job, call)
        publishing = asyncio.create_task(self._publish(job))
        self._publishing.add(publishing)
        publishing.add_done_callback(self._publishing.discard)
        body = await ended
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _publish(self, job: bytes) -> None:
        await self._channel.basic_publish(job, routing_key=QUEUE, properties=PERSISTENT)

    async def listen(self, news: Any) -> None:
        async for said in news.listen():
            if said["type"] == "message":
                job, _, body = said["data"].partition(b"\n")
                self._waiting.pop(job).set_result(body)


class Worker:
    def __init__(self, backend: str, store: "redis.Redis") -> None:
        self._backend = backend
        self._store = store
        self._call = request(backend, "echo", {"text": "ping"})
        self._idle: list[Connection] = []

    async def on_message(self, message: DeliveredMessage) -> None:
        job = message.body
        await self._store.getdel(b"bare:call:" + job)
        connection = self._idle.pop() if self._idle else await Connection.to(self._backend)
        body = await connection.answer(self._call)
        self._idle.append(connection)
        async with self._store.pipeline(transaction=True) as both:
            both.set(b"bare:result:" + job, body, ex=60)
            both.publish(NEWS, job + b"\n" + body)
            await both.execute()
        await message.channel.basic_ack(message.delivery_tag or 0)


async def ingress(port: str, broker: str, store: str) -> None:
    channel = await _channel(broker)
    client = redis.Redis.from_url(store, max_connections=CONNECTIONS)
    news = client.pubsub()
    await news.subscribe(NEWS)
    app = Ingress(channel, client)
    listening = asyncio.create_task(app.listen(news))
    config = uvicorn.Config(app, port=int(port), log_level="error", lifespan="off")
    await uvicorn.Server(config).serve()
    listening.cancel()


async def worker(backend: str, broker: str, store: str) -> None:
    channel = await _channel(broker)
    await channel.basic_qos(prefetch_count=SLOTS)
    client = redis.Redis.from_url(store, max_connections=CONNECTIONS)
    await channel.basic_consume(QUEUE, Worker(backend, client).on_message)
    await asyncio.Event().wait()


async def _channel(broker: str) -> aiormq.abc.AbstractChannel:
    connection = await aiormq.connect(broker)
    channel = await connection.channel()
    await channel.queue_declare(QUEUE, durable=True)
    return channel


if __name__ == "__main__":
    role = {"ingress": ingress, "worker": worker}[sys.argv[1]]
    uvloop.run(role(*sys.argv[2:]))
