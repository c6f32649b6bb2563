"""Removing a namespace from a RabbitMQ: what a drill made, and nothing else."""

from collections.abc import Sequence

from aio_pika.exceptions import AMQPError
from yarl import URL

from common.brokers.base import BrokerError
from common.brokers.rabbitmq.connection import bounded, connect
from common.brokers.rabbitmq.topology import names
from common.config.urls import mask_url

REMOVED_WITHIN = 20.0  # seconds


async def remove_namespace(url: str, namespace: str, queues: Sequence[str]) -> None:
    """Delete these work queues and all that stands beside them; what never was counts as deleted.

    Raises:
        BrokerError: Some of it may be left.
    """
    footprint = names(namespace, queues)
    try:
        async with bounded(REMOVED_WITHIN, "RabbitMQ"):
            connection = await connect(URL(url))
            async with connection:
                channel = await connection.channel()
                for queue in footprint.queues:
                    await channel.queue_delete(queue)
                for exchange in footprint.exchanges:
                    await channel.exchange_delete(exchange)
    except (AMQPError, OSError) as error:
        raise BrokerError(mask_url(str(error))) from error
