"""`RedisApiKeys`: a hash of all keys, and a revision that every change replaces."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from common.api_keys import Role, StoredKey
from common.store.api_keys import KeyTable
from common.store.redis.keys import Keys
from common.wire import dump_json, load_json

Run = Callable[..., Awaitable[Any]]
_NONE = "?"  # no revision is like it


class RedisApiKeys:
    def __init__(self, run: Run, keys: Keys) -> None:
        """`run` takes a script's name, its prefix and arguments."""
        self._run = run
        self._keys = keys

    async def create(self, key: StoredKey, *, life_ms: int = 0) -> bool:
        said = dump_json([key.caller, key.role, key.digest, key.shown])
        return await self._change("create", key.name, life_ms, said)

    async def revoke(self, name: str) -> bool:
        return await self._change("revoke", name)

    async def read(self, known: str | None = None) -> KeyTable | None:
        revision = _NONE if known is None else known
        reply = await self._run("api_keys", self._keys.home, "read", revision)
        if reply is None:
            return None
        found, flat = reply
        names, bodies = flat[::2], flat[1::2]
        read = [_read(name.decode(), body) for name, body in zip(names, bodies, strict=True)]
        return KeyTable(revision=found.decode(), keys=sorted(read, key=lambda key: key.name))

    async def _change(self, verb: str, *arguments: Any) -> bool:
        channels = self._keys.channels
        revision = secrets.token_hex(8)  # the same when the script is sent again
        prefix = self._keys.home
        return bool(await self._run("api_keys", prefix, verb, revision, channels, *arguments))


def _read(name: str, body: bytes) -> StoredKey:
    created_at, expires_at, said = body.split(b" ", 2)
    caller, role, digest, shown = load_json(said)
    return StoredKey(
        name=name,
        caller=caller,
        role=Role(role),
        digest=digest,
        shown=shown,
        created_at=int(created_at),
        expires_at=int(expires_at),
    )
