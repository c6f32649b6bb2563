"""RabbitMQ seen past our own code: raw messages in, leftovers out."""

import aio_pika
from aio_pika.exceptions import ChannelNotFoundEntity

from common.brokers.rabbitmq.topology import Names


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


async def has_queue(url: str, name: str) -> bool:
    """Whether there is a queue of this very name."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        try:
            await channel.get_queue(name)
        except ChannelNotFoundEntity:
            return False
        return True
