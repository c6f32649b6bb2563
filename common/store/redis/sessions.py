"""`RedisSessions`: a hash for each session, that ends by its TTL, and a string for each note."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from common.store.base import Timings
from common.store.redis.keys import Keys
from common.store.sessions import SEEN_WITHIN, Session
from common.wire import dump_json, load_json

Send = Callable[..., Awaitable[Any]]


class RedisSessions:
    def __init__(self, send: Send, run: Send, keys: Keys, timings: Timings) -> None:
        """`send` takes the words of a command, `run` a script's name, its prefix and arguments."""
        self._send = send
        self._run = run
        self._keys = keys
        self._timings = timings

    async def create(self, session: Session, *, limit: int) -> bool:
        said = dump_json([session.caller, session.version, session.client, session.capabilities])
        return bool(await self._session("create", session.id, limit, said))

    async def get(self, session_id: str) -> Session | None:
        flat = await self._session("get", session_id, self._timings.session_ms // SEEN_WITHIN)
        if not flat:
            return None
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        caller, version, client, capabilities = load_json(fields[b"said"])
        level = fields.get(b"level")
        return Session(
            id=session_id,
            caller=caller,
            version=version,
            client=client,
            capabilities=capabilities,
            log_level=None if level is None else level.decode(),
            created_at=int(fields[b"created_at"]),
            seen_at=int(fields[b"seen_at"]),
        )

    async def set_level(self, session_id: str, level: str) -> bool:
        return bool(await self._session("level", session_id, level))

    async def delete(self, session_id: str) -> bool:
        return bool(await self._session("delete", session_id))

    async def leave(self, session_id: str, name: str, body: bytes) -> None:
        life = self._timings.session_note_ms
        await self._run("sessions", self._keys.home, "leave", session_id, life, name, body)

    async def notes(self, session_id: str, names: Sequence[str]) -> Mapping[str, bytes]:
        if not names:
            return {}
        keys = [self._keys.session_note(session_id, name) for name in names]
        bodies = await self._send("MGET", *keys)
        return {name: body for name, body in zip(names, bodies, strict=True) if body is not None}

    async def _session(self, verb: str, session_id: str, *arguments: Any) -> Any:
        life = self._timings.session_ms
        return await self._run("sessions", self._keys.home, verb, session_id, life, *arguments)
