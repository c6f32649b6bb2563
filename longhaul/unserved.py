"""Backends that the store lists and nobody runs: their tools are offered, calls to them wait."""

import structlog

from common.errors import StoreUnreachableError
from common.runtime import Runtime
from ingress.operations.fleet import fleet_of

log = structlog.get_logger(__name__)


async def warn_of_unserved(runtime: Runtime) -> None:
    """Once. A store that is away has nothing to say about it."""
    try:
        entries = await runtime.store.catalogue()
        fleet = fleet_of(await runtime.store.leases())
    except StoreUnreachableError:
        return
    served = {each.name for each in runtime.settings.backends}
    served |= {each.name for worker in fleet.workers for each in worker.backends}
    for entry in entries:
        if entry.backend not in served:
            log.warning(
                "backend.not_configured",
                backend=entry.backend,
                tools=len(entry.body.get("tools", ())),
                help="no worker runs it, its tools are listed all the same and calls to them wait; "
                f"longhaul backends forget {entry.backend} takes them out",
            )
