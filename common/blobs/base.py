"""The `BlobStore` port: what is too large for a record, kept apart from it.

Contract, held by `tests/contract/test_blobs.py` on every implementation:

* `put` is atomic and durable once it returns: a name never shows half a blob, also after a crash.
* A blob never changes: its name is its holder and the SHA-256 of its content. The holder is the id
  of the job that it belongs to, or the place of a document's content.
* `list` shows what was left unfinished, too, under a name that is no blob's.

Every method raises `BlobsUnreachableError` when the place cannot be used.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from typing_extensions import override

from common.documents import is_place, is_sha256
from common.jobs.ids import is_job_id

PIECE = 1024 * 1024  # bytes; what is read or written at once
UNFINISHED = "unfinished"  # beside the holders, of which it is none
Digest = Callable[[], Awaitable[str]]  # the SHA-256 of what is put, read once more for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Where a record's large part is: beside its id, these words find it."""

    sha256: str
    size: int  # bytes

    @override
    def __str__(self) -> str:
        """As a record keeps it."""
        return f"{self.sha256}:{self.size}"

    @classmethod
    def of(cls, text: str) -> "Blob":
        sha256, _, size = text.partition(":")
        return cls(sha256=sha256, size=int(size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    name: str
    changed_at: float  # seconds since the epoch, by the clock of the place

    @property
    def holder(self) -> str:
        """Whose it is; no holder for what is no blob."""
        return self.name.partition("/")[0]


class BlobStore(Protocol):
    async def put(
        self, holder: str, body: AsyncIterable[bytes], *, digest: Digest | None = None
    ) -> Blob:
        """Keep the body, in pieces as they come. What `body` raises is raised, nothing is kept.

        `digest`, where there is a way to it before, is asked only where that saves a copy of what
        is large; a wrong one does no harm.
        """
        ...

    def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, without, `end`, in pieces.

        Raises:
            NotFoundError: There is no such blob (any more).
        """
        ...

    async def delete(self, name: str) -> None:
        """It is gone, whether or not it was there."""
        ...

    def list(self, holder: str = "") -> AsyncIterator[Listed]:
        """What is kept: of one holder, or everything, in no order."""
        ...


def blob_name(holder: str, sha256: str) -> str:
    """Raises: ValueError: No name of ours; it would be a path to anywhere."""
    if not (is_job_id(holder) or is_place(holder)) or not is_sha256(sha256):
        raise ValueError(f"no blob has the name {holder}/{sha256}")
    return f"{holder}/{sha256}"


async def whole(blobs: BlobStore, holder: str, blob: Blob) -> bytes:
    """All of it, in memory. Raises: As `BlobStore.get`."""
    name = blob_name(holder, blob.sha256)
    return b"".join([piece async for piece in blobs.get(name, 0, blob.size)])


async def in_pieces(raw: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), PIECE):
        yield raw[start : start + PIECE]
