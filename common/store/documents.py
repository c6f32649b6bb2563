"""The `DocumentStore` port: who put which document, and where its content is.

Contract, held by `tests/contract/test_store_documents.py` on every implementation:

* An owner has one entry for a content. Putting it again replaces what was said, not its age.
* The first entry of a content decides where the content is; the last one that goes tells the place.
* The same put or removal again, as after a lost reply, answers as it did.
* What has expired stands here until `expire` takes it; who reads judges it.

Every method raises `StoreUnreachableError` when the store does not answer in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from common.documents import Document

_DIGITS = 15  # of a time in ms: cursors are in the order of their text


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    document: Document
    place: str  # where the content is: perhaps not where this one was put
    new: bool  # its owner had no entry for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    place: str
    entries: Sequence[Document]  # of all owners, at least one


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    sha256: str
    place: str  # of a content that nobody has any more; empty: others do


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentPage:
    documents: Sequence[Document]
    cursor: str | None  # where the next page begins; None: there is none


class DocumentStore(Protocol):
    async def put(self, document: Document, *, place: str, life_ms: int = 0) -> Kept:
        """Keep the entry, to expire after so long (0: never). Its content is at `place` already,
        which no other put has used.
        """
        ...

    async def content(self, sha256: str) -> Content | None: ...

    async def page(
        self, reader: str | None, *, limit: int, cursor: str | None = None
    ) -> DocumentPage:
        """The newest first: all entries that are the reader's or everyone's; None: all there are.

        Raises:
            ValueError: The cursor is none of ours.
        """
        ...

    async def remove(self, sha256: str, owner: str) -> Removed | None:
        """None when the owner has no such entry."""
        ...

    async def expire(self, limit: int) -> Sequence[Removed]:
        """Remove up to `limit` entries whose time is over."""
        ...


def cursor_of(document: Document) -> str:
    return f"{document.created_at:0{_DIGITS}d}:{document.sha256}:{document.owner}"


def read_cursor(cursor: str) -> tuple[int, str, str]:
    """Where the document stood. Raises: ValueError: None of ours."""
    created_at, sha256, owner = cursor.split(":", 2)
    if len(created_at) != _DIGITS or not created_at.isascii() or not created_at.isdigit():
        raise ValueError("no cursor of a list of documents")
    return int(created_at), sha256, owner
