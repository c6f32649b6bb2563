"""Consuming: one channel per queue, opened again for as long as the consumer lives."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Self

import structlog
from aiormq.abc import DeliveredMessage

from common.backoff import Backoff
from common.brokers.base import BrokerError, Delivery
from common.brokers.rabbitmq.connection import Connection, bounded, server_version
from common.brokers.rabbitmq.declare import declare_work_queue
from common.brokers.rabbitmq.link import BACKOFF_FIRST, BACKOFF_MAX, Link
from common.brokers.rabbitmq.session import RabbitDelivery, Session
from common.brokers.rabbitmq.topology import Names, QueueKind, consume_arguments
from common.clock import Clock

log = structlog.get_logger(__name__)

SUBSCRIBE_WITHIN = 10.0  # seconds


class RabbitConsumer:
    """Deliveries over a chain of sessions; `run` makes them, whoever iterates takes from them."""

    def __init__(
        self,
        link: Link,
        *,
        names: Names,
        queue: str,
        slots: int,
        choose: Callable[[Connection], QueueKind],
        clock: Clock,
    ) -> None:
        self._link = link
        self._names = names
        self._queue = queue
        self._slots = slots
        self._choose = choose
        self._clock = clock
        # Bounded by the prefetch; None ends the iteration.
        self._arrived: asyncio.Queue[RabbitDelivery | None] = asyncio.Queue()
        self._session: Session | None = None
        self._stopped = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            delivery = await self._arrived.get()
            if delivery is None:
                self._arrived.put_nowait(None)
                raise StopAsyncIteration
            # Not what a lost session left behind: the broker delivers that again.
            if not delivery.session.ended.is_set():
                return delivery

    async def stop(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        session = self._session
        if session is not None:
            with suppress(BrokerError):
                async with bounded(SUBSCRIBE_WITHIN, f"stop consuming {self._queue}"):
                    await session.cancel(self._names.queue(self._queue))
        while not self._arrived.empty():
            delivery = self._arrived.get_nowait()
            if delivery is not None:
                delivery.session.give_back(delivery.tag)
        self._arrived.put_nowait(None)

    async def run(self) -> None:
        """Keep a session open until stopped or cancelled."""
        backoff = Backoff(first=BACKOFF_FIRST, limit=BACKOFF_MAX)
        try:
            while not self._stopped:
                connection = await self._link.up()
                began = self._clock.monotonic()
                try:
                    await self._serve(connection)
                except BrokerError as error:
                    log.warning("consumer.failed", queue=self._queue, reason=str(error))
                else:
                    if self._clock.monotonic() - began > BACKOFF_MAX:
                        backoff.reset()
                if not self._stopped:
                    await self._clock.sleep(backoff.next())
        finally:
            self._arrived.put_nowait(None)

    async def _serve(self, connection: Connection) -> None:
        """One session, to its end. Raises: BrokerError: It did not come about."""
        async with AsyncExitStack() as after:
            async with bounded(SUBSCRIBE_WITHIN, f"consume {self._queue}"):
                session = await self._subscribe(connection)
                after.push_async_callback(session.close)  # here, as the block may still raise
            await self._outlive(session)

    async def _outlive(self, session: Session) -> None:
        try:
            # Stopped while it was opened: nobody would take what it brings.
            if not self._stopped:
                self._session = session
                await session.ended.wait()
                log.info("consumer.interrupted", queue=self._queue)
        finally:
            self._session = None

    async def _subscribe(self, connection: Connection) -> Session:
        wanted = self._choose(connection)
        kind = await declare_work_queue(connection, self._names, self._queue, wanted)
        opened = await connection.channel(publisher_confirms=False)
        channel = await opened.get_underlay_channel()
        session = Session(
            connection.wire,
            opened,
            channel,
            queue=self._queue,
            arrived=self._arrived.put_nowait,
            now=self._clock.now,
        )
        name = self._names.queue(self._queue)
        try:
            await channel.basic_qos(prefetch_count=self._slots)
            session.listen()
            await channel.basic_consume(
                name,
                _never_told,
                consumer_tag=name,
                arguments=dict(consume_arguments(kind, server_version(connection))),
            )
        except BaseException:
            await session.close()
            raise
        return session


async def _never_told(_: DeliveredMessage) -> None:
    raise AssertionError("deliveries go past the driver")
