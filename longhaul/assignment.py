"""What a worker is to do: which queues, with how many slots, under which lease."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from common.config.model import Settings
from common.routing.rules import Rules


class RoleError(Exception):
    """This role cannot run with these settings; the text says what to change."""


class Assignment(BaseModel):
    """What a parent tells a worker that it starts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    lease: str
    settings: Settings
    slots: dict[str, int]
    port: int | None = None  # for health and metrics; None: not at all
    listening: int | None = None  # the file of its parent's socket for that, which it shares
    as_json: bool = False
    restarts: int = 0  # how often the parent had to start one again
    groups_killed: int = 0  # process groups that earlier ones left


def needs_shared_servers(settings: Settings, role: str) -> None:
    """Raises: RoleError: Nothing is shared with other processes."""
    if settings.embedded:
        raise RoleError(
            f"longhaul {role} alone needs a broker and a store that other processes share: set "
            "LONGHAUL_BROKER_URL (amqp://…) and LONGHAUL_STORE_URL (redis://…), "
            "or run everything in one process with longhaul up"
        )


def slots_of(rules: Rules, queues: Mapping[str, int | None]) -> dict[str, int]:
    """Each queue to serve with its slots; every queue of the configuration where none is named.

    Raises:
        RoleError: A named queue carries no backend.
    """
    known = rules.queue_backends()
    unknown = sorted(set(queues) - set(known))
    if unknown:
        raise RoleError(
            f"no backend's tools go to queue {', '.join(unknown)}; "
            f"the configuration has: {', '.join(sorted(known)) or 'none'}"
        )
    wanted = queues or dict.fromkeys(known)
    return {queue: slots or rules.slots(queue) for queue, slots in wanted.items()}
