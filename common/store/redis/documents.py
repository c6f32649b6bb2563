"""`RedisDocuments`: a hash for each content with its place and all its entries, and their order."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from common.documents import Document, Visibility, may_see
from common.store.documents import Content, DocumentPage, Kept, Removed, read_cursor
from common.store.redis.keys import Keys
from common.wire import dump_json, load_json

Run = Callable[..., Awaitable[Any]]
_OWNER = b"o:"  # begins the field of an entry


class RedisDocuments:
    def __init__(self, send: Run, run: Run, keys: Keys) -> None:
        """`send` takes the words of a command, `run` a script's name, its prefix and arguments."""
        self._send = send
        self._run = run
        self._keys = keys

    async def put(self, document: Document, *, place: str, life_ms: int = 0) -> Kept:
        said = dump_json([document.name, document.media_type, document.size])
        which = (document.sha256, document.owner, place)
        found, row = await self._run(
            "document_put", self._keys.home, *which, life_ms, document.visibility, said
        )
        first = row.split(b" ", 4)[3].decode()
        return Kept(
            document=_read(document.sha256, document.owner, row),
            place=found.decode(),
            new=first == place,
        )

    async def content(self, sha256: str) -> Content | None:
        fields = await self._send("HGETALL", self._keys.content(sha256))
        if not fields:
            return None
        entries = [
            _read(sha256, field.removeprefix(_OWNER).decode(), row)
            for field, row in fields.items()
            if field.startswith(_OWNER)
        ]
        return Content(place=fields[b"place"].decode(), entries=entries)

    async def page(
        self, reader: str | None, *, limit: int, cursor: str | None = None
    ) -> DocumentPage:
        before = "+"
        if cursor is not None:
            read_cursor(cursor)  # or it would be a range of its own
            before = f"({cursor}"
        indexes = [""] if reader is None else ["everyone", f"of:{reader}"]
        order = ("BYLEX", "REV", "LIMIT", 0, limit + 1)
        found: list[str] = []
        for index in indexes:
            members = await self._send("ZRANGE", self._keys.documents(index), before, "-", *order)
            found += [member.decode() for member in members]
        found.sort(key=read_cursor, reverse=True)
        entries = await asyncio.gather(*(self._entry(member) for member in found[:limit]))
        return DocumentPage(
            # What became its owner's own meanwhile is nobody else's any more.
            documents=[
                each for each in entries if each and (reader is None or may_see(reader, each))
            ],
            cursor=found[limit - 1] if len(found) > limit else None,
        )

    async def remove(self, sha256: str, owner: str) -> Removed | None:
        token = secrets.token_hex(8)  # the same when the script is sent again
        gone = await self._take("remove", token, sha256, owner)
        return gone[0] if gone else None

    async def expire(self, limit: int) -> Sequence[Removed]:
        return await self._take("expire", limit)

    async def _take(self, verb: str, *arguments: Any) -> list[Removed]:
        gone = await self._run("document_remove", self._keys.home, verb, *arguments)
        return [Removed(sha256=sha256.decode(), place=place.decode()) for sha256, place in gone]

    async def _entry(self, member: str) -> Document | None:
        _, sha256, owner = read_cursor(member)
        row = await self._send("HGET", self._keys.content(sha256), f"o:{owner}")
        return None if row is None else _read(sha256, owner, row)


def _read(sha256: str, owner: str, row: bytes) -> Document:
    created_at, expires_at, visibility, _, said = row.split(b" ", 4)
    name, media_type, size = load_json(said)
    return Document(
        sha256=sha256,
        size=size,
        owner=owner,
        name=name,
        media_type=media_type,
        visibility=Visibility(visibility.decode()),
        created_at=int(created_at),
        expires_at=int(expires_at),
    )
