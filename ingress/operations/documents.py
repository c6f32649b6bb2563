"""Documents: put, list, open and delete what people keep in the blob store, each as it may.

An operator sees everybody's, but never over MCP, where a caller's own name is all that counts.
"""

import asyncio
from collections.abc import AsyncIterable
from dataclasses import dataclass
from functools import partial

import structlog

from common.api_keys import Role
from common.blobs.base import BlobStore, blob_name
from common.documents import Document, Visibility, is_over, is_sha256, new_place, seen_by
from common.errors import ForbiddenError, NotFoundError, RefusedError, StoreUnreachableError
from common.forgetting import delete_content
from common.runtime import Runtime
from common.store.documents import Content, DocumentPage, Kept
from ingress.caller import Caller
from ingress.document_news import DocumentNews
from ingress.operations.results import Body

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What whoever puts a document says about it."""

    name: str
    media_type: str
    visibility: Visibility = Visibility.OWN
    life: float | None = None  # seconds; None: until it is deleted


class Documents:
    """Each raises: StoreUnreachableError: Nobody knows, or it cannot be done now."""

    def __init__(self, runtime: Runtime, news: DocumentNews) -> None:
        self._runtime = runtime
        self._news = news

    async def put(self, body: AsyncIterable[bytes], said: Said, caller: Caller) -> Kept:
        """Keep the body, in pieces as they come; what `body` raises is raised, nothing is kept.

        Raises:
            ForbiddenError: Only operators show a document to everyone.
            RefusedError: There is no place for blobs.
        """
        if said.visibility is Visibility.EVERYONE and not caller.operator:
            raise ForbiddenError(needs=Role.OPERATOR, has=caller.role)
        place = new_place()
        blob = await self._blobs().put(place, body)
        document = Document(
            sha256=blob.sha256,
            size=blob.size,
            owner=caller.name,
            name=said.name,
            media_type=said.media_type,
            visibility=said.visibility,
        )
        life_ms = 0 if said.life is None else max(1, round(said.life * 1000))
        try:
            kept = await self._runtime.store.documents.put(document, place=place, life_ms=life_ms)
        except StoreUnreachableError as error:
            if error.nothing_written:  # else it may be named: as a stray it is judged again
                await delete_content(self._runtime, blob.sha256, place)
            raise
        if kept.place != place:  # somebody had put the same
            await delete_content(self._runtime, blob.sha256, place)
        self._runtime.metrics.blob_bytes.labels(kind="document").inc(blob.size)
        log.info("document.put", sha256=blob.sha256, size=blob.size, caller=caller.name)
        # Perhaps it was everyone's before: only an operator can have made it so.
        public = caller.operator if not kept.new else said.visibility is Visibility.EVERYONE
        await self._news.tell("" if public else caller.name)
        return kept

    async def open(self, sha256: str, caller: Caller) -> tuple[Document, Body]:
        """What is said of it to this caller, and its content.

        Raises:
            NotFoundError: Unknown, expired, or not for this caller: the same for all.
        """
        content = await self._content(sha256)
        shown = content and seen_by(self._reader(caller), content.entries, self._now())
        if not content or not shown:
            raise NotFoundError(f"no document {sha256}")
        read = partial(self._blobs().get, blob_name(content.place, sha256))
        return shown, Body(size=shown.size, sha256=sha256, read=read)

    async def list(self, caller: Caller, *, limit: int, cursor: str | None = None) -> DocumentPage:
        """The newest first. A page may be short and still have a cursor.

        Raises:
            ValueError: The cursor is none of ours.
        """
        reader = self._reader(caller)
        page = await self._runtime.store.documents.page(reader, limit=limit, cursor=cursor)
        now = self._now()
        living = [each for each in page.documents if not is_over(each, now)]
        return DocumentPage(documents=living, cursor=page.cursor)

    async def list_contents(
        self, caller: Caller, *, limit: int, cursor: str | None
    ) -> DocumentPage:
        """As `list`, each content once: of several entries the one that `open` shows."""
        page = await self.list(caller, limit=limit, cursor=cursor)
        contents = await asyncio.gather(*(self._content(each.sha256) for each in page.documents))
        reader, now = self._reader(caller), self._now()
        return DocumentPage(
            documents=[
                each
                for each, content in zip(page.documents, contents, strict=True)
                if content and seen_by(reader, content.entries, now) == each
            ],
            cursor=page.cursor,
        )

    async def delete(self, sha256: str, owner: str, caller: Caller) -> None:
        """The owner's entry, and the content when nobody else has it.

        Raises:
            NotFoundError: No such entry, or none that this caller may delete.
        """
        gone, content = None, await self._content(sha256)
        if content is not None and (caller.operator or owner == caller.name):
            gone = await self._runtime.store.documents.remove(sha256, owner)
        if gone is None:
            raise NotFoundError(f"{owner} has no document {sha256}")
        await delete_content(self._runtime, sha256, gone.place)
        log.info("document.deleted", sha256=sha256, owner=owner, by=caller.name)
        public = any(
            each.owner == owner and each.visibility is Visibility.EVERYONE
            for each in (content.entries if content else ())
        )
        await self._news.tell("" if public else owner)

    def _blobs(self) -> BlobStore:
        if self._runtime.blobs is None:
            raise RefusedError("no blob_url is set here: there is no place for documents")
        return self._runtime.blobs

    async def _content(self, sha256: str) -> Content | None:
        known = is_sha256(sha256)
        return await self._runtime.store.documents.content(sha256) if known else None

    def _now(self) -> int:
        return round(self._runtime.clock.now() * 1000)

    @staticmethod
    def _reader(caller: Caller) -> str | None:
        return None if caller.operator else caller.name
