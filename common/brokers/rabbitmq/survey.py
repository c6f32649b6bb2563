"""What a RabbitMQ is and what an operator should know about it; for `longhaul check`."""

from dataclasses import dataclass
from typing import Literal

from yarl import URL

from common.brokers.rabbitmq.connection import bounded, connect, server_version_text
from common.brokers.rabbitmq.topology import (
    CONSUMER_TIMEOUT_MS,
    QUORUM_SINCE,
    QueueKind,
    choose_kind,
    parse_version,
)

SURVEY_WITHIN = 5.0  # seconds
OLDEST_TRIED = (3, 10)
FIRST_WITH_CONSUMER_TIMEOUT = (3, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSurvey:
    version: str  # as the server says it, "4.3.6"
    quorum_capable: bool  # its quorum queues keep priorities
    queue_type: QueueKind  # what new queues will be
    warnings: tuple[str, ...]


async def survey(
    url: str, queue_type: Literal["auto", "classic", "quorum"] = "auto"
) -> BrokerSurvey:
    """Connect once and look.

    Raises:
        BrokerError: Not reachable, or the login was refused; the text says which.
    """
    async with bounded(SURVEY_WITHIN, "RabbitMQ"):
        connection = await connect(URL(url))
        try:
            version = server_version_text(connection)
        finally:
            await connection.close()
    return judge(version, queue_type)


def judge(text: str, queue_type: Literal["auto", "classic", "quorum"] = "auto") -> BrokerSurvey:
    version = parse_version(text)
    capable = version >= QUORUM_SINCE
    kind = choose_kind(queue_type, version)
    warnings = []
    if version < OLDEST_TRIED:
        warnings.append(
            f"RabbitMQ {text} is older than 3.10, the oldest that Longhaul is tested with"
        )
    if FIRST_WITH_CONSUMER_TIMEOUT <= version < QUORUM_SINCE:
        warnings.append(
            "RabbitMQ before 4.3 takes a job back after 30 minutes without an ack; the job goes on"
            " and is not run twice, but its queue is interrupted. Whether that is changed cannot be"
            f" read from here: set consumer_timeout = {CONSUMER_TIMEOUT_MS} in rabbitmq.conf"
        )
    if kind == "quorum" and not capable:
        warnings.append(
            f"queue_type: quorum on RabbitMQ {text}: its quorum queues do not keep priorities 0-9"
            " apart, jobs run in the order they came; use classic, or RabbitMQ 4.3"
        )
    if kind == "classic" and capable and queue_type == "classic":
        warnings.append(
            "queue_type: classic: queues are not replicated, a cluster loses those of a lost node"
            " (their jobs are queued again by the reconciler)"
        )
    return BrokerSurvey(
        version=text, quorum_capable=capable, queue_type=kind, warnings=tuple(warnings)
    )
