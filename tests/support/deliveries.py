"""A delivery out of a queue of its own."""

from common.brokers.base import Delivery
from common.brokers.memory import MemoryBroker
from common.clock import SystemClock
from common.jobs.token import Token, ToolRef

TOKEN = Token(job="j", generation=1, version=1, tool=ToolRef(backend="b", tool="t", version="v"))


async def a_delivery(token: Token = TOKEN) -> Delivery:
    broker = MemoryBroker(SystemClock())
    await broker.publish("b", token, 4)
    async with broker.consume("b", 1) as deliveries:
        return await anext(aiter(deliveries))
