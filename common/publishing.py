"""Publish the token of a record again; the confirmation is noted. Used wherever a job goes back."""

import structlog

from common.brokers.base import BrokerError
from common.errors import StoreUnreachableError
from common.jobs.change import AtLeast, Note
from common.jobs.head import Head
from common.jobs.token import Token, ToolRef
from common.runtime import Runtime

log = structlog.get_logger(__name__)


def token_of(head: Head, *, generation: int, version: int) -> Token:
    spec = head.spec
    return Token(
        job=head.id,
        generation=generation,
        version=version,
        tool=ToolRef(backend=spec.backend, tool=spec.backend_tool, version=spec.tool_version),
    )


async def publish_token(runtime: Runtime, head: Head, token: Token, delay: float = 0.0) -> bool:
    """To the job's queue, or to a lane when there is a delay (seconds).

    A broker that does not take it is no loss: an unconfirmed generation is published when due.
    """
    try:
        if delay > 0:
            await runtime.broker.park(head.queue, token, head.spec.priority, delay)
        else:
            await runtime.broker.publish(head.queue, token, head.spec.priority)
        await runtime.store.note(head.id, Note(fields={"confirmed": AtLeast(token.generation)}))
    except (BrokerError, StoreUnreachableError) as error:
        log.warning("job.unconfirmed", job_id=head.id, error=str(error))
        return False
    return True
