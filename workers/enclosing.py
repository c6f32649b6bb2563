"""Enclosing: files that a tool's result names in its outbox become blobs of the job.

Read in pieces, however large they are. Only plain files that stand in that folder by themselves:
no link leads out of it.
"""

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from common.blobs.base import PIECE, BlobStore
from common.errors import NOT_KEPT
from common.jobs.files import ANY_MEDIA_TYPE, KEPT_META, MOST_FILES, File, file_path, file_uri
from common.jobs.links import LINK
from workers.outcome import too_many_bytes

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class NotEnclosedError(Exception):
    """The result names what cannot be taken along; as a JSON-RPC error."""

    def __init__(self, error: str | Mapping[str, object]) -> None:
        super().__init__(error)
        said = {"code": NOT_KEPT, "message": error} if isinstance(error, str) else error
        self.error: Mapping[str, object] = said


@dataclass(frozen=True, slots=True, kw_only=True)
class Enclosed:
    result: Mapping[str, Any]  # with addresses of ours
    files: tuple[File, ...] = ()


async def enclose(
    blobs: BlobStore, job: str, outbox: Path, result: Mapping[str, Any], most: int
) -> Enclosed:
    """The result, once every file that it links to from the outbox is kept, `most` bytes each.

    Raises:
        NotEnclosedError: One cannot be.
        BlobsUnreachableError: One is nowhere yet.
    """
    wanted = {uri: (name, media) for uri, name, media in _linked(result, outbox)}
    if len(wanted) > MOST_FILES:
        raise NotEnclosedError(f"the result has {len(wanted)} files, {MOST_FILES} are kept at most")
    kept: dict[str, File] = {}
    for uri, (name, media) in wanted.items():
        digest = partial(asyncio.to_thread, _digest, outbox, name, most)
        blob = await blobs.put(job, _pieces(outbox, name, most), digest=digest)
        kept[uri] = File(name=name, sha256=blob.sha256, size=blob.size, media_type=media)
    files = {each.name: each for each in kept.values()}
    return Enclosed(
        result=_addressed(result, job, kept) if kept else result, files=tuple(files.values())
    )


def _linked(result: Mapping[str, Any], outbox: Path) -> Iterator[tuple[str, str, str]]:
    """Each link into the outbox: its address, the name there, what kind of file it is."""
    content = result.get("content")
    for block in content if isinstance(content, list) else ():
        if not isinstance(block, Mapping) or block.get("type") != LINK:
            continue
        uri, media = block.get("uri"), block.get("mimeType")
        name = _name_in(uri, outbox) if isinstance(uri, str) else None
        if name is not None:
            yield str(uri), name, media if isinstance(media, str) else ANY_MEDIA_TYPE


def _name_in(uri: str, outbox: Path) -> str | None:
    """None: it is elsewhere, and none of our business."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        return None
    path = Path(unquote(parts.path))
    if outbox not in path.parents:
        return None
    # The folder before the name must be the outbox itself, without a detour.
    if path.parent != outbox or path.name in {"", ".."}:
        raise NotEnclosedError(f"{uri} does not stand in the outbox itself")
    return path.name


async def _pieces(outbox: Path, name: str, most: int) -> AsyncIterator[bytes]:
    file, size = await asyncio.to_thread(_opened, outbox, name)
    with file:
        if size > most:
            raise _too_large(name, size, most)
        read = 0
        try:
            while piece := await asyncio.to_thread(file.read, PIECE):
                read += len(piece)
                if read > most:  # somebody still writes it
                    raise _too_large(name, read, most)
                yield piece
        except OSError as error:
            raise NotEnclosedError(f"{name} in the outbox: {error.strerror}") from error


def _opened(outbox: Path, name: str) -> tuple[FileIO, int]:
    """Raises: NotEnclosedError: It is no plain file there."""
    try:
        folder = os.open(outbox, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            descriptor = os.open(name, _OPEN, dir_fd=folder)
        finally:
            os.close(folder)
    except (OSError, ValueError) as error:
        raise NotEnclosedError(f"{name} is no file in the outbox that can be read") from error
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise NotEnclosedError(f"{name} is no plain file in the outbox")
    return FileIO(descriptor), facts.st_size


def _digest(outbox: Path, name: str, most: int) -> str:
    """Of what is there now. Raises: NotEnclosedError: It is no such file, or too large."""
    file, size = _opened(outbox, name)
    with file:
        if size > most:
            raise _too_large(name, size, most)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _too_large(name: str, size: int, most: int) -> NotEnclosedError:
    return NotEnclosedError(too_many_bytes(f"the file {name}", size, most))


def _addressed(result: Mapping[str, Any], job: str, kept: Mapping[str, File]) -> Mapping[str, Any]:
    """Where a link named a file of the outbox, and where the structured content did."""
    content = [_relinked(block, job, kept) for block in result["content"]]
    addressed = {**result, "content": content}
    if "structuredContent" in result:
        ours = {uri: file_uri(job, each.name) for uri, each in kept.items()}
        addressed["structuredContent"] = _replaced(result["structuredContent"], ours)
    return addressed


def _relinked(block: Any, job: str, kept: Mapping[str, File]) -> Any:
    if not isinstance(block, Mapping) or block.get("type") != LINK or block["uri"] not in kept:
        return block
    file = kept[block["uri"]]
    meta = block.get("_meta")
    fact = {"job": job, "name": file.name, "size": file.size, "sha256": file.sha256}
    fact["path"] = file_path(job, file.name)
    return {
        **block,
        "uri": file_uri(job, file.name),
        "size": file.size,
        "_meta": {**(meta if isinstance(meta, Mapping) else {}), KEPT_META: fact},
    }


def _replaced(value: Any, ours: Mapping[str, str]) -> Any:
    match value:
        case str():
            return ours.get(value, value)
        case list():
            return [_replaced(each, ours) for each in value]
        case dict():
            return {name: _replaced(each, ours) for name, each in value.items()}
        case _:
            return value
