"""`ObjectBlobs`: blobs as objects of S3, Google Cloud Storage or Azure, through obstore.

Keys and endpoints come from where the clouds' own tools look for them (`AWS_…`, `GOOGLE_…`,
`AZURE_…`). What an upload left behind that never ended is the bucket's own life-cycle rule's.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from common.blobs.base import PIECE, UNFINISHED, Blob, Digest, Listed, blob_name
from common.config.urls import mask_url
from common.errors import BlobsUnreachableError, NotFoundError

PART = 8 * 1024 * 1024  # bytes of one request, in both directions
AT_ONCE = 3  # requests of one upload
CONNECT_LIMIT = timedelta(seconds=5)
# Until the next byte of an answer. What is sent with a request is no sign of life: a part has all
# of this time.
STALLED = timedelta(seconds=60)
REQUEST_LIMIT = timedelta(minutes=10)  # a slow one; a cloud's own copy of what is large is one
RETRIES = 3
RETRY_WITHIN = timedelta(minutes=3)  # of the first one; what stalled is asked for again


class ObjectBlobs:
    def __init__(self, url: str) -> None:
        """Raises: ValueError: Not such an address."""
        self._shown = mask_url(url)
        try:
            self._store: ObjectStore = from_url(
                url,
                client_options={
                    "timeout": REQUEST_LIMIT,
                    "read_timeout": STALLED,
                    "connect_timeout": CONNECT_LIMIT,
                    "allow_http": True,  # only where the operator's own endpoint says http://
                },
                retry_config={"max_retries": RETRIES, "retry_timeout": RETRY_WITHIN},
            )
        except (BaseError, ValueError) as error:
            raise ValueError(f"{self._shown} is no address of blobs: {error}") from error

    async def put(
        self, holder: str, body: AsyncIterable[bytes], *, digest: Digest | None = None
    ) -> Blob:
        sha256, size = hashlib.sha256(), 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for piece in body:
                await asyncio.to_thread(sha256.update, piece)
                size += len(piece)
                yield piece

        pieces = counted()
        first = await _up_to(pieces, PART)
        if size < PART:  # nothing is left: the name is known before anything is sent
            blob = Blob(sha256=sha256.hexdigest(), size=size)
            with self._errors():
                name = blob_name(holder, blob.sha256)
                await obstore.put_async(self._store, name, first, use_multipart=False)
            return blob
        # Another name is a copy, which clouds make for 5 GB at most. Uploads show once they end.
        begun = f"{UNFINISHED}/{secrets.token_hex(16)}"
        if digest is not None:
            begun = blob_name(holder, await digest())
        with self._errors():
            await obstore.put_async(
                self._store, begun, _rest(first, pieces), chunk_size=PART, max_concurrency=AT_ONCE
            )
            blob = Blob(sha256=sha256.hexdigest(), size=size)
            name = blob_name(holder, blob.sha256)
            if name != begun:
                await obstore.rename_async(self._store, begun, name)
        return blob

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            stop = min(start + PART, end)
            with self._errors():
                part = await obstore.get_range_async(self._store, name, start=start, end=stop)
            view = memoryview(part)
            for at in range(0, len(view), PIECE):  # of all at once a slow reader would hold copies
                yield bytes(view[at : at + PIECE])
            start = stop

    async def delete(self, name: str) -> None:
        with self._errors():
            try:
                await obstore.delete_async(self._store, name)
            except FileNotFoundError:
                return

    async def list(self, holder: str = "") -> AsyncIterator[Listed]:
        with self._errors():
            async for page in obstore.list(self._store, prefix=holder or None):
                for each in page:
                    changed_at = each["last_modified"].timestamp()
                    yield Listed(name=each["path"], changed_at=changed_at)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError("the blob is gone") from error
        except (BaseError, OSError) as error:
            said = str(error).splitlines()[0][:300]
            raise BlobsUnreachableError(f"the blobs at {self._shown}: {said}") from error


async def _up_to(pieces: AsyncIterator[bytes], size: int) -> bytes:
    """The pieces until they are so many bytes, or to their end."""
    first = bytearray()
    async for piece in pieces:
        first += piece
        if len(first) >= size:
            break
    return bytes(first)


async def _rest(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece
