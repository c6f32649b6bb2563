"""`FolderBlobs`: blobs as files of a folder, on this machine or shared by all.

A file is written beside the others, made durable, and then given its name in one step.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from io import FileIO
from pathlib import Path
from typing import TypeVar

import anyio

from common.blobs.base import PIECE, UNFINISHED, Blob, Digest, Listed, blob_name
from common.errors import BlobsUnreachableError, NotFoundError

T = TypeVar("T")


class FolderBlobs:
    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(
        self, holder: str, body: AsyncIterable[bytes], *, digest: Digest | None = None
    ) -> Blob:
        del digest  # a file gets another name without a copy
        counted, size = hashlib.sha256(), 0
        begun = self._root / UNFINISHED / secrets.token_hex(16)
        try:
            with await self._done(partial(_begin, begun)) as file:
                async for piece in body:
                    size += len(piece)
                    await self._done(partial(_write, file, piece, counted.update))
                await self._done(partial(os.fsync, file))
            blob = Blob(sha256=counted.hexdigest(), size=size)
            path = self._root / blob_name(holder, blob.sha256)
            await self._done(partial(_name, begun, path))
        except BaseException:
            with suppress(OSError):  # what went wrong first is said
                begun.unlink()
            raise
        return blob

    async def get(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        with await self._done(partial(FileIO, self._root / name)) as file:
            while start < end:
                count = min(PIECE, end - start)
                piece = await self._done(partial(os.pread, file.fileno(), count, start))
                if not piece:
                    return
                start += len(piece)
                yield piece

    async def delete(self, name: str) -> None:
        await self._done(partial(_remove, self._root / name))

    async def list(self, holder: str = "") -> AsyncIterator[Listed]:
        top = self._root / holder
        folders = [top] if holder else await self._done(partial(_folders, top))
        for folder in folders:
            for each in await self._done(partial(_files, folder)):
                yield each

    async def _done(self, step: Callable[[], T]) -> T:
        """What a file asks for takes its time: not on the loop's thread.

        A cancelled step is waited for: its file is closed next, and the thread would go on writing
        into whatever gets that number.
        """
        under_way = asyncio.ensure_future(asyncio.to_thread(step))
        try:
            return await asyncio.shield(under_way)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await asyncio.wait({under_way})
            raise
        except FileNotFoundError as error:
            raise NotFoundError("the blob is gone") from error
        except OSError as error:
            raise BlobsUnreachableError(f"the blobs' folder {self._root}: {error}") from error


def _begin(path: Path) -> FileIO:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FileIO(path, "x", opener=partial(os.open, mode=0o600))


def _write(file: FileIO, piece: bytes, count: Callable[[bytes], object]) -> None:
    count(piece)
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]


def _name(begun: Path, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun.replace(path)
    for folder in (path.parent, path.parent.parent):  # or the name may be lost with the power
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
    with suppress(OSError):  # others are in it, or it is gone
        path.parent.rmdir()


def _folders(top: Path) -> list[Path]:
    with suppress(FileNotFoundError):  # nothing was ever kept
        return [Path(each.path) for each in os.scandir(top) if each.is_dir()]
    return []


def _files(folder: Path) -> list[Listed]:
    found = []
    with suppress(FileNotFoundError):  # its last one was deleted meanwhile
        for each in os.scandir(folder):
            with suppress(FileNotFoundError):
                name = f"{folder.name}/{each.name}"
                found.append(Listed(name=name, changed_at=each.stat().st_mtime))
    return found
