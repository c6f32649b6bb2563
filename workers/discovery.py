"""Discovery: what a backend lists goes into the catalogue, when it has changed."""

import structlog

from common.catalogue import catalogue_entry
from common.runtime import Runtime
from workers.backends.base import ToolListing

log = structlog.get_logger(__name__)


class Discovery:
    def __init__(self, runtime: Runtime, *, trusted: bool) -> None:
        self._runtime = runtime
        self._trusted = trusted
        self._started_at = round(runtime.clock.now() * 1000)

    async def publish(self, listing: ToolListing) -> None:
        """Raises: StoreUnreachableError: Not stored; the pool tries again."""
        for name, reason in (*listing.dropped, *listing.bad_headers):
            log.warning("tool.unusable", backend=listing.backend, tool=name, reason=reason)
        entry = catalogue_entry(
            backend=listing.backend,
            started_at=self._started_at,
            trusted=self._trusted,
            listing={
                "protocol_version": listing.protocol_version,
                "era": listing.era,
                "server_info": listing.server_info,
                "instructions": listing.instructions,
                "tools": listing.tools,
                "dropped": listing.dropped,
                "bad_headers": listing.bad_headers,
                "capabilities": listing.capabilities,
            },
        )
        if await self._runtime.store.put_catalogue(entry):
            log.info("catalogue.published", backend=listing.backend, tools=len(listing.tools))
