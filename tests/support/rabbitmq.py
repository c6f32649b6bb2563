"""RabbitMQ seen past our own code: raw messages in, leftovers out."""

import aio_pika

from common.brokers.rabbitmq.topology import Names, names


async def put_raw(url: str, exchange: str, key: str, body: bytes) -> None:
    """A message as a stranger would send it: no id, no time, no priority."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)
        target = await channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(body), key)


async def delete_queue(url: str, namespace: str, queue: str) -> None:
    """As an operator does by mistake: the work queue and the tokens in it."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.queue_delete(Names(namespace=namespace).queue(queue))


async def remove_namespace(url: str, namespace: str, queues: list[str]) -> None:
    """Delete what a test made; a queue that never was counts as deleted."""
    footprint = names(namespace, queues)
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        for queue in footprint.queues:
            await channel.queue_delete(queue)
        for exchange in footprint.exchanges:
            await channel.exchange_delete(exchange)
