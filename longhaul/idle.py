"""The end of a router that nobody needs: no open request and no job under way for a while.

`longhaul stdio` starts routers that end this way. A bridge keeps a stream open while it lives.
"""

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from common.clock import Clock
from common.errors import StoreUnreachableError
from common.jobs.indexes import state_index
from common.jobs.state import TERMINAL, JobState
from common.store.base import JobStore
from ingress.app import MCP

log = structlog.get_logger(__name__)

LOOK = 5.0  # seconds between two looks at the jobs, at most
FIRST_CLIENT = 15.0  # seconds for whoever had it started: a client's library takes long to load
WATCHING = frozenset({"/livez", "/readyz", "/metrics"})  # who only watches needs no router
_UNDER_WAY = tuple(state_index(state) for state in JobState if state not in TERMINAL)


class Visitors:
    """Wraps an application, and knows whether anybody is being served."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._open = 0
        self._last_left = clock.monotonic()
        self.met_client = False  # greeted only, it has not begun to be of use

    @property
    def last_seen(self) -> float:
        """When somebody was served last, on the monotonic clock; now, while somebody is."""
        return self._clock.monotonic() if self._open else self._last_left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in WATCHING:
            await self._app(scope, receive, send)
            return
        self.met_client = self.met_client or scope["path"] == MCP
        self._open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._open -= 1
            self._last_left = self._clock.monotonic()


async def until_idle(visitors: Visitors, store: JobStore, clock: Clock, after: float) -> None:
    """Returns once there was no visitor, and no job under way, for `after` seconds.

    Before the first client has come it is `FIRST_CLIENT` seconds at least.
    """
    busy_at = clock.monotonic()
    while True:
        if await _has_jobs(store):
            busy_at = clock.monotonic()
        patience = after if visitors.met_client else max(after, FIRST_CLIENT)
        left = patience - (clock.monotonic() - max(busy_at, visitors.last_seen))
        if left <= 0:
            log.info("router.idle", seconds=patience)
            return
        await clock.sleep(min(left, LOOK))


async def _has_jobs(store: JobStore) -> bool:
    try:
        return any(await store.counts(_UNDER_WAY))
    except StoreUnreachableError:
        return True  # nobody can tell
