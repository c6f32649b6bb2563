"""`RedisStore`: one Lua script per atomic step, repeated safely when a reply is lost."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import orjson
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from typing_extensions import override

from common.clock import Clock
from common.errors import StoreUnreachableError
from common.jobs.change import Change, Done, Note, Refused, Value
from common.jobs.head import Head
from common.jobs.indexes import DUE, memberships
from common.jobs.output import OutputRead, decode_entry
from common.jobs.put_off import PutOff
from common.jobs.state import JobState
from common.store.base import (
    DUE_PUSH_MS,
    CatalogueEntry,
    Event,
    JobStore,
    Lease,
    Timings,
)
from common.store.reading import read_taken
from common.store.redis.api_keys import RedisApiKeys
from common.store.redis.documents import RedisDocuments
from common.store.redis.keys import Keys
from common.store.redis.link import ANSWER_WITHIN, Link
from common.store.redis.listings import RedisListings
from common.store.redis.request import (
    fields_of,
    note_request,
    notes_request,
    read_answer,
    read_info,
    timings_request,
)
from common.store.redis.scripts import Script, Scripts
from common.store.redis.sessions import RedisSessions
from common.store.redis.shape import Shape, Words, shape_of
from common.store.redis.standing import RedisStandingOrders
from common.store.redis.wire import Command
from common.wire import dump_json, load_json

AT_ONCE = 500  # records that one command writes: it holds up everybody else


class RedisStore(RedisListings):
    def __init__(self, link: Link, keys: Keys, clock: Clock, timings: Timings) -> None:
        self._link = link
        self._keys = keys
        self._clock = clock
        self._timings = timings
        self._scripts = Scripts(timings)
        self._repeated: tuple[Change, Shape, Words] | None = None
        self._timings_json = orjson.dumps(timings_request(timings))
        self.sessions = RedisSessions(self._send, self._run, keys, timings)
        self.api_keys = RedisApiKeys(self._run, keys)
        self.orders = RedisStandingOrders(self._send, keys)
        self.documents = RedisDocuments(self._send, self._run, keys)

    # --- records

    async def commit(
        self, job_id: str, change: Change, *, version: int, commit_id: str | None = None
    ) -> Done | Refused:
        shape, values = self._taken_apart(change, creates=version == 0)
        after = change.due.after
        reply = await self._evaluate(
            self._scripts.committing(shape),
            self._keys.of_job(job_id),
            job_id,
            version,
            commit_id or secrets.token_hex(6),
            self._keys.channels,
            dump_json(change.facts) if change.facts else b"{}",
            "" if after is None else after,
            *values,
        )
        return read_answer(reply, change.returning)

    async def note(self, job_id: str, note: Note) -> bool:
        prefix, channels = self._keys.of_job(job_id), self._keys.channels
        checkpoint = () if note.checkpoint is None else (note.checkpoint,)
        said = (*note.relay, *(note.output.entries if note.output else ()), *checkpoint)
        return bool(await self._run("note", prefix, note_request(job_id, note), channels, *said))

    async def note_many(self, fields: Mapping[str, Mapping[str, Value]]) -> None:
        shards: dict[str, list[tuple[str, Mapping[str, Value]]]] = {}
        for job_id, each in fields.items():
            shards.setdefault(self._keys.of_job(job_id), []).append((job_id, each))
        for prefix, notes in shards.items():
            for start in range(0, len(notes), AT_ONCE):
                some = notes_request(notes[start : start + AT_ONCE])
                await self._run("notes", prefix, some)

    async def get(self, job_id: str) -> Head | None:
        return await self._head(job_id)

    async def part(self, job_id: str, name: str) -> bytes | None:
        body: bytes | None = await self._send(
            "GET", self._keys.part(self._keys.of_job(job_id), job_id, name)
        )
        return body

    async def events(self, job_id: str, *, after: int = 0) -> Sequence[Event]:
        key = self._keys.events(self._keys.of_job(job_id), job_id)
        rows = [load_json(raw) for raw in await self._send("LRANGE", key, 0, -1)]
        return [
            Event(number=number, at=at, name=name, facts=facts)
            for number, at, name, facts in rows
            if number > after
        ]

    async def output(self, job_id: str, *, after: int, limit: int) -> OutputRead:
        prefix = self._keys.of_job(job_id)
        last, rows = await self._run("output", prefix, job_id, after, limit)
        return OutputRead(entries=[decode_entry(row) for row in rows], last=last)

    async def remove(self, job_id: str, *, version: int) -> bool:
        head = await self.get(job_id)
        if head is None or head.newer:
            return False
        indexes = [*memberships(head), DUE]
        return bool(await self._run("remove", self._keys.of_job(job_id), job_id, version, *indexes))

    async def due(self, limit: int) -> Sequence[Head]:
        heads: list[Head] = []
        for prefix in self._keys.shards:
            taken = await self._run("due", prefix, limit, DUE_PUSH_MS)
            heads.extend(read_taken(fields_of(flat) for flat in taken))
        return heads

    async def put_off(self, looks: Sequence[PutOff]) -> None:
        shards: dict[str, list[str | int]] = {}
        for each in looks:
            said = shards.setdefault(self._keys.of_job(each.job_id), [])
            said += [each.job_id, each.version, each.at]
        for prefix, arguments in shards.items():
            await self._run("put_off", prefix, *arguments)

    async def drop_strays(self, index: str, states: Sequence[JobState], limit: int) -> int:
        return int(await self._run("drop_strays", self._keys.home, index, limit, *states))

    # --- leases

    async def beat(self, lease: str, info: Mapping[str, Any]) -> None:
        await self._lease("beat", lease, orjson.dumps(info))

    async def release(self, lease: str) -> None:
        await self._lease("release", lease)

    async def gone(self, leases: Sequence[str]) -> Sequence[bool]:
        return [bool(answer) for answer in await self._lease("gone", *leases)]

    async def leases(self) -> Sequence[Lease]:
        return [
            Lease(
                id=lease.decode(),
                beat_at=int(float(beat)),
                alive=bool(alive),
                info=orjson.loads(said),
            )
            for lease, beat, alive, said in await self._lease("list")
        ]

    async def _lease(self, verb: str, *arguments: str | bytes) -> Any:
        return await self._run("leases", self._keys.home, verb, self._timings_json, *arguments)

    # --- catalogue

    async def put_catalogue(self, entry: CatalogueEntry) -> bool:
        reply = await self._run(
            "catalogue",
            self._keys.home,
            entry.backend,
            entry.digest,
            entry.started_at,
            dump_json(entry.body),
            self._keys.channels,
        )
        return bool(reply)

    async def catalogue(self) -> Sequence[CatalogueEntry]:
        stored = await self._send("HGETALL", self._keys.catalogue)
        entries = []
        for backend, raw in sorted(stored.items()):
            name, (digest, at, body) = backend.decode(), load_json(raw)
            entries.append(CatalogueEntry(backend=name, digest=digest, started_at=at, body=body))
        return entries

    async def forget(self, backend: str) -> bool:
        removed = bool(await self._send("HDEL", self._keys.catalogue, backend))
        if removed:
            await self._send("PUBLISH", f"{self._keys.channels}news", b"catalogue")
        return removed

    async def now(self) -> int:
        seconds, micros = await self._send("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    async def fullness(self) -> float:
        said = read_info(await self._send("INFO", "memory"))
        limit = int(said.get("maxmemory", 0))
        return int(said.get("used_memory", 0)) / limit if limit else 0.0

    async def aclose(self) -> None:
        """Nothing is kept back: what was sent is with Redis."""

    # --- the way out

    def _taken_apart(self, change: Change, *, creates: bool) -> tuple[Shape, Words]:
        """A worker's claim is one value for all of its jobs: it is taken apart once."""
        if self._repeated is not None and self._repeated[0] is change:
            return self._repeated[1:]
        shape, words = shape_of(change, creates=creates)
        if not change.parts:
            self._repeated = change, shape, words
        return shape, words

    @override
    async def _run(self, script: str, prefix: str, *arguments: Any) -> Any:
        return await self._evaluate(self._scripts[script], prefix, *arguments)

    @override
    async def _send(self, *command: Any) -> Any:
        return await self._ask(command)

    async def _evaluate(self, script: Script, prefix: str, *arguments: Any) -> Any:
        return await self._ask(("EVALSHA", script.sha, 1, prefix, *arguments), script)

    async def _ask(self, command: Command, script: Script | None = None) -> Any:
        """One command, repeated on a new connection until it is answered; all of ours may be."""
        latest = asyncio.get_running_loop().time() + ANSWER_WITHIN
        reached = self._link.down_since is None
        try:
            return await self._link.send(*command)
        except (NoScriptError, RedisConnectionError):
            return await self._ask_again(command, script, latest, reached=reached)
        except RedisError as error:
            raise StoreUnreachableError(f"the store refused: {error}") from error

    async def _ask_again(
        self, command: Command, script: Script | None, latest: float, *, reached: bool
    ) -> Any:
        """Redis is told the script: it has not heard of it yet, or has forgotten it."""
        try:
            async with asyncio.timeout_at(latest):
                while True:
                    await self._link.up()
                    reached = True
                    with suppress(RedisConnectionError):
                        if script is not None:
                            await self._link.send("SCRIPT", "LOAD", script.text)
                        return await self._link.send(*command)
        except TimeoutError:
            raise StoreUnreachableError(
                "the store does not answer", nothing_written=not reached
            ) from None
        except RedisError as error:
            raise StoreUnreachableError(f"the store refused: {error}") from error


@asynccontextmanager
async def open_redis_store(
    url: str, namespace: str, clock: Clock, timings: Timings | None = None
) -> AsyncIterator[JobStore]:
    """A store that connects, and reconnects, by itself; the context ends with its connection."""
    link = Link(url, clock)
    async with anyio.create_task_group() as group:
        group.start_soon(link.run)
        yield RedisStore(link, Keys(namespace), clock, timings or Timings())
        group.cancel_scope.cancel()
