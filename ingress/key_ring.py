"""The ingress's copy of the API keys that operators made: no request asks the store about its key.

A change made anywhere is known here when its hint comes, and without one at the next look. While
the store is away the copy counts for `TRUSTED_FOR`; after that these keys are refused for now, not
as unknown. Nothing can be revoked meanwhile, and without the store no job can be seen or made; but
an ingress that alone is cut off must not trust a key for ever. Keys of the environment do not
stand in the store, and count always.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from common.api_keys import StoredKey, digest_of
from common.errors import StoreUnreachableError
from common.runtime import Runtime
from ingress.caller import Caller
from ingress.errors import EXPIRED_KEY, STORE_UNREACHABLE, UNKNOWN_KEY, Problem

log = structlog.get_logger(__name__)

LOOK = 0.5  # seconds; hints may be lost, and a revoked key shall be dead within a second
PATIENCE = 2.0  # seconds for the store, where a request waits for it
TRUSTED_FOR = 60.0  # seconds without a look
UNREAD = STORE_UNREACHABLE.saying("the key cannot be checked now; try again soon")


class KeyRing:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._stale = asyncio.Event()
        self._keys: Mapping[str, StoredKey] = {}
        self._revision: str | None = None
        self._read_at = float("-inf")

    @property
    def loaded(self) -> bool:
        """It has been read once: from now on a key that is not there is not known."""
        return self._revision is not None

    def find(self, key: str) -> Caller | Problem:
        """Who has this key, or why it opens nothing.

        Looked up by its digest: how long that takes tells nothing about keys that exist.
        """
        if self._runtime.clock.monotonic() - self._read_at > TRUSTED_FOR:
            return UNREAD
        found = self._keys.get(digest_of(key))
        if found is None:
            return UNKNOWN_KEY
        if found.expires_at and self._runtime.clock.now() * 1000 >= found.expires_at:
            return EXPIRED_KEY
        return Caller(name=found.caller, role=found.role)

    def refresh_soon(self) -> None:
        """A hint came: the keys in the store have changed."""
        self._stale.set()

    async def run(self) -> None:
        """Keep the copy fresh until cancelled."""
        while True:
            self._stale.clear()
            try:
                await self.refresh()
            except StoreUnreachableError:  # a store that refuses does so at once: no haste
                await self._runtime.clock.sleep(LOOK)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._stale.wait()

    async def refresh(self) -> None:
        """Raises: StoreUnreachableError: The copy is as it was."""
        began = self._runtime.clock.monotonic()
        table = await self._runtime.store.api_keys.read(self._revision)
        if table is not None:
            self._keys = {key.digest: key for key in table.keys}
            self._revision = table.revision
            log.info("keys.read", keys=len(self._keys))
        self._read_at = began


class ReadFirst:
    """Before a door that is seldom asked: the keys are read for each request, not all the time."""

    def __init__(self, door: ASGIApp, ring: KeyRing, spared: Collection[str]) -> None:
        self._door = door
        self._ring = ring
        self._spared = spared  # paths that need no key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._spared:
            with suppress(StoreUnreachableError, TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._ring.refresh()
        await self._door(scope, receive, send)
