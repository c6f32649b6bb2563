"""Batches by Longhaul's own tools: begun with `longhaul_batch`, and gone on with by the others."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from common.errors import StoreUnreachableError
from common.jobs.head import Head
from ingress.batches.accept import NewBatch
from ingress.batches.door import from_document, from_objects
from ingress.batches.results import Wanted
from ingress.caller import Caller
from ingress.ingress import Ingress
from ingress.mcp.batch_reports import LONGEST, begun, cancelled, results, standing, waited
from ingress.mcp.incoming import IncomingCall
from ingress.mcp.own_tools import PAGE


class BatchCalls:
    """The caller is one over MCP: it sees its own."""

    def __init__(self, ingress: Ingress) -> None:
        self._submit = ingress.submit
        self._batches = ingress.batches
        self._documents = ingress.documents
        self._stopping = ingress.stopping

    async def begin(self, call: IncomingCall, caller: Caller, request_id: str) -> dict[str, Any]:
        """Durable when it returns.

        Raises:
            CallbackRefusedError: Its callback may not be asked.
            NotFoundError: No such tool, or no such document for this caller.
            InvalidRowsError: No row, or too many.
            KeyConflictError: The key was given with another batch.
            RefusedError: There is no room.
            StoreUnreachableError: Nobody knows.
        """
        arguments = call.arguments or {}
        new = NewBatch(
            tool=arguments["tool"],
            caller=caller.name,
            request_id=request_id,
            in_flight=arguments.get("in_flight"),
            priority=arguments.get("priority", call.priority),
            key=arguments.get("key", call.key),
            callback=call.callback,
        )
        if "rows" in arguments:
            rows = from_objects(arguments["rows"])
        else:
            rows = await self._document(arguments["blob"], new.tool, caller)
        head, _ = await self._batches.accept(new, rows)
        return begun(await self._batches.standing(head))

    async def results(self, head: Head, caller: Caller, cursor: int) -> dict[str, Any]:
        """How it stands, and the first results after this row."""
        wanted = Wanted(after=cursor, limit=PAGE)
        pieces = await self._batches.results(head.id, caller, wanted, self._stopping)
        lines = await _lines(pieces)
        return results(await self._batches.standing(head), lines, cursor)

    async def waited(self, head: Head) -> str:
        return waited(await self._batches.standing(head))

    async def words(self, head: Head) -> str:
        """For somebody who waits, whatever the store does."""
        try:
            return standing(await self._batches.standing(head))
        except StoreUnreachableError:
            return "waiting; the store does not answer"

    async def cancel(self, head: Head, caller: Caller) -> dict[str, Any]:
        done = await self._batches.cancel(head.id, caller)
        return cancelled(await self._batches.look(head.id, caller), done=done)

    async def _document(self, sha256: str, tool: str, caller: Caller) -> AsyncIterator[bytes]:
        document, content = await self._documents.open(sha256, caller)
        pieces, schema = content.read(0, content.size), self._submit.tool(tool).input_schema
        return from_document(pieces, document.media_type, schema)


async def _lines(pieces: AsyncIterator[bytes]) -> Sequence[bytes]:
    """Of each one no more than shows that it was longer."""
    lines = [b""]
    async for piece in pieces:
        first, *others = piece.split(b"\n")
        for part in (first, *others):
            if part is not first:
                lines.append(b"")
            lines[-1] = (lines[-1] + part)[: LONGEST + 1]
    return [line for line in lines if line]
