"""Batches over REST, on a surface whose worker is the test."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from common.jobs.endings import complete, fail
from common.jobs.ids import row_of
from common.jobs.indexes import ended_index, rows_index
from common.jobs.rows import OPEN
from tests.support.surfaces import Surface
from tests.support.waiting import until_answered

ERROR = {"code": -31_002, "message": "the backend went away"}
ROWS = [{"rows": number} for number in range(1, 7)]
Json = dict[str, Any]


class BatchDesk:
    def __init__(self, surface: Surface, headers: Mapping[str, str] | None = None) -> None:
        self.surface = surface
        self.http = surface.http
        self.headers = dict(headers or {})

    async def begin(self, rows: Sequence[Any], **query: Any) -> Json:
        """Rows that are text stay as they are."""
        lines = [row if isinstance(row, str) else orjson.dumps(row).decode() for row in rows]
        return await self.begin_raw("\n".join(lines), "application/x-ndjson", **query)

    async def begin_raw(self, raw: str, kind: str, **query: Any) -> Json:
        response = await self.http.post(
            "/v1/batches",
            params={"tool": "b__export", **query},
            content=raw.encode(),
            headers={**self.headers, "content-type": kind},
        )
        assert response.status_code == 202, response.text
        return dict(response.json())

    async def look(self, batch: str) -> Json:
        response = await self.http.get(f"/v1/batches/{batch}", headers=self.headers)
        assert response.status_code == 200, response.text
        return dict(response.json())

    async def until(self, batch: str, **counts: int) -> Json:
        """Once it counts so."""

        async def reached() -> Json | None:
            seen = await self.look(batch)
            known = {**seen["counts"], "created": seen["created"]}
            return seen if counts.items() <= known.items() else None

        found = await until_answered(reached)
        assert found is not None
        return found

    async def until_over(self, batch: str) -> Json:
        async def over() -> Json | None:
            seen = await self.look(batch)
            return seen if seen["state"] != "running" else None

        found = await until_answered(over)
        assert found is not None
        return found

    async def results(self, batch: str, **query: Any) -> list[Json]:
        response = await self.http.get(
            f"/v1/batches/{batch}/results", params=query, headers=self.headers
        )
        assert response.status_code == 200, response.text
        return [orjson.loads(line) for line in response.content.splitlines()]

    async def open_rows(self, batch: str) -> list[int]:
        places = await self.surface.runtime.store.places(
            rows_index(batch, OPEN), limit=1_000, newest_first=False
        )
        return sorted(row_of(row) for _, row in places)

    async def ended(self, batch: str) -> list[int]:
        places = await self.surface.runtime.store.places(
            ended_index(batch), limit=1_000, newest_first=False
        )
        return [row_of(row) for _, row in places]

    async def run(self, batch: str, *rows: int, fails: bool = False) -> None:
        """As a worker does: these rows, begun and ended."""
        for row in rows:
            head = await self.surface.start(f"{batch}.{row}")
            result = orjson.dumps({"content": [{"type": "text", "text": f"row {row}"}]})
            retention = self.surface.retention
            end = (
                fail(head, ERROR, retention)
                if fails
                else complete(head, result, retention, tool_error=False)
            )
            await self.surface.commit(head.id, end)

    async def run_all(self, batch: str) -> list[int]:
        """Whatever is open, until the batch is over; the rows in the order that they were run."""
        ran: list[int] = []
        while (await self.look(batch))["state"] == "running":

            async def more() -> list[int] | bool:
                over = (await self.look(batch))["state"] != "running"
                return over or await self.open_rows(batch)

            found = await until_answered(more)
            rows = found if isinstance(found, list) else []
            await self.run(batch, *rows)
            ran += rows
        return ran
