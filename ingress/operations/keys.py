"""Keys: make, list and revoke API keys. Whoever made one sees it once; nobody can again."""

from collections.abc import Sequence
from dataclasses import replace

import structlog

from common.api_keys import SHOWN, Role, StoredKey, digest_of, new_key
from common.runtime import Runtime
from ingress.key_ring import KeyRing

log = structlog.get_logger(__name__)


class ManageKeys:
    """Each raises: StoreUnreachableError: Nobody knows whether it was done; list the keys."""

    def __init__(self, runtime: Runtime, ring: KeyRing) -> None:
        self._runtime = runtime
        self._ring = ring

    async def list(self) -> Sequence[StoredKey]:
        table = await self._runtime.store.api_keys.read()
        return () if table is None else table.keys

    async def create(
        self, name: str, *, caller: str, role: Role, life: float | None, by: str
    ) -> tuple[StoredKey, str] | None:
        """The key with what is kept of it; None when the name is taken. `life` in seconds."""
        key = new_key()
        kept = StoredKey(
            name=name, caller=caller, role=role, digest=digest_of(key), shown=key[:SHOWN]
        )
        life_ms = 0 if life is None else max(1, round(life * 1000))
        if not await self._runtime.store.api_keys.create(kept, life_ms=life_ms):
            return None
        log.info("key.created", key_name=name, caller=caller, role=role, by=by)
        await self._ring.refresh()
        stored = await self._find(name)
        return stored or replace(kept, created_at=round(self._runtime.clock.now() * 1000)), key

    async def revoke(self, name: str, *, by: str) -> bool:
        """False when there is none of that name. Here it opens nothing from now on."""
        if not await self._runtime.store.api_keys.revoke(name):
            return False
        log.info("key.revoked", key_name=name, by=by)
        await self._ring.refresh()
        return True

    async def _find(self, name: str) -> StoredKey | None:
        return next((key for key in await self.list() if key.name == name), None)
