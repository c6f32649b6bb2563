"""A batch is taken: its rows are put where they are kept, then its record is made."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import structlog

from common.blobs.base import PIECE, blob_name
from common.errors import InvalidRowsError, KeyConflictError, RefusedError
from common.jobs.batch import Plan, begin, decode_plan
from common.jobs.callbacks import names_another
from common.jobs.change import Done, Refused
from common.jobs.head import Head
from common.jobs.idempotency import unique_key
from common.jobs.ids import new_job_id
from common.jobs.transitions import CALL
from common.ledger import ContendedError
from common.runtime import Runtime
from ingress.batches.documents import ROWS
from ingress.batches.drive import Driver
from ingress.operations.headroom import Headroom
from ingress.operations.submit import Submit

log = structlog.get_logger(__name__)

INLINE_ROWS = 4 * 1024 * 1024  # bytes that a record may carry where there is no place for blobs
FULL_RETRY_AFTER = 30.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    tool: str  # as exposed
    caller: str
    request_id: str
    in_flight: int | None = None
    priority: int | None = None
    key: str = ""  # the caller's idempotency key
    callback: str = ""  # the URL that is told of its end


@dataclass(slots=True)
class _Counted:
    """Rows that pass by; what is known of them afterwards."""

    most: int
    rows: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    async def pieces(self, rows: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        waiting: list[bytes] = []
        size = 0
        async for row in rows:
            self.rows += 1
            if self.rows > self.most:
                raise InvalidRowsError(f"a batch may have {self.most} rows")
            self.digest.update(row)
            waiting.append(row)
            size += len(row)
            if size >= PIECE:
                yield b"".join(waiting)
                waiting, size = [], 0
        if waiting:
            yield b"".join(waiting)


class AcceptBatch:
    def __init__(
        self, runtime: Runtime, submit: Submit, headroom: Headroom, driver: Driver
    ) -> None:
        self._runtime = runtime
        self._submit = submit
        self._headroom = headroom
        self._driver = driver

    async def __call__(self, new: NewBatch, rows: AsyncIterator[bytes]) -> tuple[Head, Plan]:
        """Durable when it returns. With a key that was given before: that batch.

        Raises:
            NotFoundError: No such tool.
            CallbackRefusedError: Its callback may not be asked; nothing was stored.
            InvalidRowsError: No row, or too many; nothing was stored.
            KeyConflictError: Its idempotency key is another batch's; nothing was stored.
            RefusedError: There is no room; nothing was stored.
            StoreUnreachableError: Nobody knows; no id was given out.
        """
        self._submit.tool(new.tool)
        if new.callback:
            await self._submit.resolver.check(new.callback)
        if self._headroom.lacking:
            raise RefusedError("the store's memory is full", retry_after=FULL_RETRY_AFTER)
        batch = new_job_id(round(self._runtime.clock.now() * 1000))
        plan, inline = await self._keep(batch, new, rows)
        key = unique_key(new.caller, f"batch {new.key}") if new.key else ""
        change = begin(batch, new.tool, new.caller, plan, key, new.callback)
        if inline:
            change = replace(change, parts={**change.parts, ROWS: inline})
        answer = await self._runtime.store.commit(batch, change, version=0)
        if isinstance(answer, Done):
            self._runtime.metrics.batches.labels(tool=new.tool).inc()
            log.info("batch.submitted", batch=batch, tool=new.tool, rows=plan.rows)
            self._driver.wake(batch)
            return answer.head, plan
        await self._drop(batch, plan)
        return await self._earlier(answer, new, plan)

    async def _keep(
        self, batch: str, new: NewBatch, rows: AsyncIterator[bytes]
    ) -> tuple[Plan, bytes]:
        """Where the rows are; they themselves, when that is with the record."""
        settings = self._runtime.settings.batches
        counted = _Counted(settings.max_rows)
        pieces = counted.pieces(rows)
        blob, inline = "", b""
        if self._runtime.blobs is not None:
            blob = str(await self._runtime.blobs.put(batch, pieces))
        else:
            async for piece in pieces:
                inline += piece
                if len(inline) > INLINE_ROWS:
                    raise RefusedError(
                        f"no blob_url is set here: a batch may have {INLINE_ROWS} bytes"
                    )
        plan = Plan(
            rows=counted.rows,
            in_flight=min(new.in_flight or settings.in_flight, settings.max_in_flight),
            priority=new.priority,
            blob=blob,
            digest=counted.digest.hexdigest(),
            request_id=new.request_id,
        )
        if not counted.rows:
            await self._drop(batch, plan)
            raise InvalidRowsError("there is no row in it")
        return plan, inline

    async def _drop(self, batch: str, plan: Plan) -> None:
        if plan.blob and self._runtime.blobs is not None:
            sha256, _, _ = plan.blob.partition(":")
            await self._runtime.blobs.delete(blob_name(batch, sha256))

    async def _earlier(self, refused: Refused, new: NewBatch, plan: Plan) -> tuple[Head, Plan]:
        batch = refused.holder_of_key
        store = self._runtime.store
        head, raw = await store.get(batch), await store.part(batch, CALL)
        if head is None or raw is None:
            raise ContendedError(f"batch {batch} was removed at this moment")
        known = decode_plan(raw)
        # The router's own number may have been set to another one since.
        in_flight = known.in_flight if new.in_flight is None else plan.in_flight
        asked = (head.tool, known.rows, known.digest, known.in_flight, known.priority)
        wanted = (new.tool, plan.rows, plan.digest, in_flight, plan.priority)
        if asked != wanted or names_another(head, new.callback):
            raise KeyConflictError(
                f"this idempotency key was given with another batch, which is {batch}; "
                "nothing was started"
            )
        log.info("batch.repeated", batch=batch, request_id=new.request_id)
        return head, known
