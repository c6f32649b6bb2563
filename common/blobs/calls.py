"""A job's call, when its arguments are too large for the record and are kept apart from it."""

from dataclasses import replace

from common.blobs.base import Blob, BlobStore, in_pieces, whole
from common.errors import BlobsUnreachableError
from common.jobs.head import Head, StoredCall
from common.wire import dump_json, load_json


async def put_apart(
    blobs: BlobStore | None, job: str, arguments: object, limit: int
) -> Blob | None:
    """Where they are now; None when they are small enough for the record.

    Raises:
        BlobsUnreachableError: They are nowhere.
    """
    if blobs is None or arguments is None:
        return None
    raw = dump_json(arguments)
    return await blobs.put(job, in_pieces(raw)) if len(raw) > limit else None


async def whole_call(blobs: BlobStore | None, head: Head, call: StoredCall) -> StoredCall:
    """With its arguments, wherever they are.

    Raises:
        NotFoundError: They are gone.
        BlobsUnreachableError: They cannot be read now, or not from here.
    """
    if not head.spec.arguments_blob:
        return call
    if blobs is None:
        raise BlobsUnreachableError("no blob_url is set here, and the arguments are a blob")
    raw = await whole(blobs, head.id, Blob.of(head.spec.arguments_blob))
    return replace(call, arguments=load_json(raw))
