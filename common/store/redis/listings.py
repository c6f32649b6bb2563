"""Reading indexes in order, and many records at once. Every command here is short: a walk over an
index is many of them, so that no listing keeps jobs waiting.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from common.jobs.head import Head
from common.store.base import Page, Place, place_of, written_place
from common.store.redis.keys import Keys
from common.store.redis.request import read_head
from common.store.redis.rows import pairs_of, was_seen

_AT_ONCE = 200  # records that one command reads: it holds up everybody else


class RedisListings:
    """What `RedisStore` answers from its indexes; it says how commands and scripts are sent."""

    _keys: Keys

    async def _send(self, *command: Any) -> Any:
        raise NotImplementedError

    async def _run(self, script: str, prefix: str, *arguments: Any) -> Any:
        raise NotImplementedError

    # --- in order

    async def page(
        self, index: str, *, limit: int, cursor: str | None = None, newest_first: bool = True
    ) -> Page:
        after = place_of(cursor) if cursor else None
        places = await self.places(index, limit=limit + 1, after=after, newest_first=newest_first)
        shown = places[:limit]
        heads = await self.heads([job for _, job in shown])
        more = len(places) > limit and shown
        return Page(
            heads=[head for head in heads if head is not None],
            cursor=written_place(shown[-1]) if more else None,
        )

    async def places(
        self,
        index: str,
        *,
        limit: int,
        after: Place | None = None,
        since: float | None = None,
        until: float | None = None,
        newest_first: bool = True,
    ) -> Sequence[Place]:
        low = "-inf" if since is None else repr(since)
        high = "+inf" if until is None else f"({until!r}"
        if after is not None and newest_first and (until is None or after[0] < until):
            high = repr(after[0])
        elif after is not None and not newest_first and (since is None or after[0] >= since):
            low = repr(after[0])
        bounds = (high, low, "BYSCORE", "REV") if newest_first else (low, high, "BYSCORE")
        key = self._keys.index(self._keys.home, index)
        found: list[Place] = []
        offset = 0
        while len(found) < limit:
            window = "LIMIT", offset, limit, "WITHSCORES"
            rows = pairs_of(await self._send("ZRANGE", key, *bounds, *window))
            # Several jobs may share a millisecond: those up to the place itself are skipped.
            found += [
                (score, job)
                for job, score in rows
                if not was_seen((score, job), after, newest_first)
            ]
            offset += limit
            if len(rows) < limit:
                break
        return found[:limit]

    async def count(self, index: str) -> int:
        return int(await self._send("ZCARD", self._keys.index(self._keys.home, index)))

    async def counts(self, indexes: Sequence[str]) -> Sequence[int]:
        return await asyncio.gather(*(self.count(index) for index in indexes))

    async def rank(self, index: str, job_id: str) -> int | None:
        key = self._keys.index(self._keys.home, index)
        rank: int | None = await self._send("ZRANK", key, job_id)
        return rank

    async def ranks(self, index: str, job_ids: Sequence[str]) -> Sequence[int | None]:
        return await asyncio.gather(*(self.rank(index, job_id) for job_id in job_ids))

    async def score(self, index: str, job_id: str) -> float | None:
        score = await self._send("ZSCORE", self._keys.index(self._keys.home, index), job_id)
        return None if score is None else float(score)

    async def scores(self, index: str, job_ids: Sequence[str]) -> Sequence[float | None]:
        if not job_ids:
            return []
        found = await self._send("ZMSCORE", self._keys.index(self._keys.home, index), *job_ids)
        return [None if score is None else float(score) for score in found]

    async def oldest(self, index: str) -> float | None:
        key = self._keys.index(self._keys.home, index)
        rows = pairs_of(await self._send("ZRANGE", key, 0, 0, "WITHSCORES"))
        return rows[0][1] if rows else None

    # --- many records

    async def heads(self, job_ids: Sequence[str]) -> Sequence[Head | None]:
        # Not a task group: its failure would be a group of errors, and the port promises one.
        return await asyncio.gather(*(self._head(job_id) for job_id in job_ids))

    async def glances(
        self, job_ids: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Sequence[str] | None]:
        shards: dict[str, list[str]] = {}
        for job_id in job_ids:
            shards.setdefault(self._keys.of_job(job_id), []).append(job_id)
        parts = [
            (prefix, jobs[start : start + _AT_ONCE])
            for prefix, jobs in shards.items()
            for start in range(0, len(jobs), _AT_ONCE)
        ]
        answers = await asyncio.gather(
            *(self._run("glances", prefix, len(fields), *fields, *jobs) for prefix, jobs in parts)
        )
        seen: dict[str, Sequence[str] | None] = {}
        for (_, jobs), rows in zip(parts, answers, strict=True):
            for job_id, row in zip(jobs, rows, strict=True):
                seen[job_id] = [(value or b"").decode() for value in row] if row else None
        return [seen[job_id] for job_id in job_ids]

    async def _head(self, job_id: str) -> Head | None:
        key = self._keys.head(self._keys.of_job(job_id), job_id)
        return read_head(await self._send("HGETALL", key))
