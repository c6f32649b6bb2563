"""Publishing: one confirm channel, many messages in flight, each awaited on its own."""

import asyncio
from datetime import UTC, datetime
from typing import cast

from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import (
    AMQPChannelError,
    ChannelNotFoundEntity,
    DeliveryError,
    PublishError,
)
from aiormq import spec
from aiormq.channel import Channel as DriverChannel

from common.brokers.base import BrokerError
from common.brokers.rabbitmq.connection import FAILURES, Link, raise_if_ours
from common.clock import Clock

PERSISTENT = 2


class UnroutableError(Exception):
    """No queue hangs on the exchange under this key: it was deleted behind our back."""


class Publisher:
    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._channel: DriverChannel | None = None
        self._opened_on: AbstractConnection | None = None
        self._opening = asyncio.Lock()

    async def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        message_id: str,
        priority: int,
        in_turn: bool = False,
    ) -> None:
        """Return when the broker has confirmed; a lost connection is waited out and it is repeated.

        A publish that met a lost connection may have been taken: repeating makes a duplicate token,
        which is harmless. The caller bounds the time. `in_turn`: it is written when what was there
        before has gone out, so that nothing piles up before a broker that reads nothing.

        Raises:
            UnroutableError: Nothing took it; declare, then publish again.
            BrokerError: Refused, or the broker is down for longer than the link's grace.
        """
        properties = self._properties(message_id, priority)
        while True:
            connection = await self._link.ready()
            try:
                channel = self._usable(connection) or await self._open_channel(connection)
                await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=key,
                    properties=properties,
                    mandatory=True,
                    wait=in_turn,
                )
            except PublishError as error:
                raise UnroutableError(str(error)) from error
            except ChannelNotFoundEntity:
                # An exchange is gone, the channel with it, and soon the connection: what was still
                # being written came too late. A new connection declares everything again.
                self._link.drop(connection)
            except (DeliveryError, AMQPChannelError) as error:
                raise BrokerError(f"the broker refused a token: {error}") from error
            except FAILURES:
                self._link.drop(connection)
            except asyncio.CancelledError as error:
                raise_if_ours(error)
                self._link.drop(connection)
            else:
                return

    def _properties(self, message_id: str, priority: int) -> spec.Basic.Properties:
        return spec.Basic.Properties(
            delivery_mode=PERSISTENT,
            message_id=message_id,
            priority=priority,
            timestamp=datetime.fromtimestamp(self._clock.now(), UTC),
        )

    async def _open_channel(self, connection: AbstractConnection) -> DriverChannel:
        async with self._opening:
            if channel := self._usable(connection):
                return channel
            opened = await connection.channel(on_return_raises=True)
            channel = cast("DriverChannel", await opened.get_underlay_channel())
            self._channel, self._opened_on = channel, connection
            return channel

    def _usable(self, connection: AbstractConnection) -> DriverChannel | None:
        channel = self._channel
        if channel is None or channel.is_closed or self._opened_on is not connection:
            return None
        return channel
