"""Leftovers: what the broker could not place, or gave up on, goes back to where it is looked after.

Both queues are normally empty. A token in them is no loss, the due entry would publish it again;
bytes that are no token are kept nowhere else.
"""

import structlog

from common.brokers.base import BrokerError
from common.errors import StoreUnreachableError
from common.jobs.decisions import NEWER_FORMAT_DELAY_MS
from common.jobs.token import MalformedTokenError, decode_token
from common.poison import bury_raw
from common.publishing import publish_token
from common.runtime import Runtime

log = structlog.get_logger(__name__)

EVERY = 15.0  # seconds between two looks
AT_ONCE = 100
PRIORITY = 4  # of a token that only a newer release can read: the default


async def look_after_leftovers(runtime: Runtime) -> None:
    """Until cancelled."""
    while True:
        try:
            await collect_leftovers(runtime)
        except (BrokerError, StoreUnreachableError) as error:
            log.info("leftovers.stay", error=str(error))
        except Exception:  # boundary: it stays, and would end each process that takes it
            log.exception("leftovers.broken")
        await runtime.clock.sleep(EVERY)


async def collect_leftovers(runtime: Runtime) -> int:
    """Take what lies there, up to a hundred; how many it were.

    Raises:
        BrokerError, StoreUnreachableError: The rest stays where it is.
    """

    async def handle(queue: str, raw: bytes) -> None:
        try:
            token = decode_token(raw)
        except MalformedTokenError as error:
            await bury_raw(runtime, queue, raw, str(error))
            return
        if token.raw:
            await runtime.broker.park(queue, token, PRIORITY, NEWER_FORMAT_DELAY_MS / 1000)
            return
        head = await runtime.store.get(token.job)
        if head is None:
            await bury_raw(runtime, queue, raw, "its record is missing")
        elif not head.terminal and token.generation == head.generation:
            log.warning("token.left_over", job_id=head.id, queue=queue)
            await publish_token(runtime, head, token)

    return await runtime.broker.drain(AT_ONCE, handle)
