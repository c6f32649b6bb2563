"""A stored result as bytes, whole or a range of them, wherever they are."""

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from common.blobs.base import Blob, blob_name
from common.errors import BlobsUnreachableError, NotFoundError
from common.jobs.endings import RESULT
from common.jobs.files import FILES, File, decode_files
from common.jobs.head import Head
from common.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    size: int
    sha256: str
    read: Callable[[int, int], AsyncIterator[bytes]]  # from, up to and without; a NotFoundError
    # when it is gone meanwhile


async def file_of(runtime: Runtime, head: Head, name: str) -> tuple[File, Body]:
    """A file that the tool of a job handed over.

    Raises:
        NotFoundError: The job has none of that name (any more).
        BlobsUnreachableError: It is not to be read from here.
    """
    files = decode_files(await runtime.store.part(head.id, FILES)) if head.files else {}
    file = files.get(name)
    if file is None:
        raise NotFoundError(f"job {head.id} has no file {name}")
    if runtime.blobs is None:
        raise BlobsUnreachableError("no blob_url is set here, and the file is a blob")
    read = partial(runtime.blobs.get, blob_name(head.id, file.sha256))
    return file, Body(size=file.size, sha256=file.sha256, read=read)


async def body_of(runtime: Runtime, head: Head) -> Body | None:
    """The whole result of a completed job; None when it is gone.

    Raises:
        BlobsUnreachableError: It is not to be read from here.
    """
    if head.result_blob:
        if runtime.blobs is None:
            raise BlobsUnreachableError("no blob_url is set here, and the result is a blob")
        blob = Blob.of(head.result_blob)
        read = partial(runtime.blobs.get, blob_name(head.id, blob.sha256))
        return Body(size=blob.size, sha256=blob.sha256, read=read)
    raw = await runtime.store.part(head.id, RESULT)
    if raw is None:
        return None

    async def of_record(start: int, end: int) -> AsyncIterator[bytes]:
        yield raw[start:end]

    return Body(size=len(raw), sha256=hashlib.sha256(raw).hexdigest(), read=of_record)
