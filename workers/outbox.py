"""Outbox: a folder of one job on this machine, into which its tool may put files for its caller.

It is there from the job's first call to its end: what a try leaves in it, the next one finds, as
long as that runs on the same data folder.
"""

import asyncio
import shutil
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from common.config.model import Backend
from common.config.validate import is_loopback
from common.errors import StoreUnreachableError
from common.jobs.head import Head
from common.jobs.ids import is_job_id
from common.runtime import Runtime

log = structlog.get_logger(__name__)

FOLDER = "outbox"  # in the data folder
SWEEP = 3_600.0  # seconds between two looks at what is left; also how long it lies untouched


class Outboxes:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # Tools say the path as they see it, links in it resolved.
        self._root = Path(runtime.settings.data).resolve() / FOLDER

    def of(self, head: Head) -> Path | None:
        """Where it is; None for a job without one: nobody could keep or write its files."""
        if not head.spec.outbox or self._runtime.blobs is None:
            return None
        backends = self._runtime.settings.backends  # as they are now: a reload replaces them
        here = any(each.name == head.spec.backend and is_here(each) for each in backends)
        return self._root / head.id if here else None

    async def open(self, head: Head) -> Path | None:
        """The folder is there; None also when it cannot be: the tool then has none."""
        folder = self.of(head)
        if folder is None:
            return None
        try:
            await asyncio.to_thread(partial(folder.mkdir, mode=0o700, parents=True, exist_ok=True))
        except OSError as error:
            log.warning("outbox.not_made", job_id=head.id, error=str(error))
            return None
        return folder

    async def remove(self, head: Head) -> None:
        """The job has ended: with everything that is still in it."""
        folder = self.of(head)
        if folder is not None:
            await asyncio.to_thread(partial(shutil.rmtree, folder, ignore_errors=True))

    async def run(self) -> None:
        """Clear up after workers that died, and after jobs that ended elsewhere."""
        while True:
            try:
                await self.sweep()
            except (StoreUnreachableError, OSError) as error:  # or the folder cannot be read
                log.info("outboxes.stay", error=str(error))
            await self._runtime.clock.sleep(SWEEP)

    async def sweep(self) -> None:
        """Raises: StoreUnreachableError, OSError: The rest stays for the next time."""
        for folder, changed_at in await asyncio.to_thread(self._listed):
            if self._runtime.clock.now() - changed_at < SWEEP:
                continue  # its result may be on its way into the blobs
            head = await self._runtime.store.get(folder.name)
            if head is None or (head.terminal and not head.still_running):
                log.info("outbox.swept", job_id=folder.name)
                await asyncio.to_thread(partial(shutil.rmtree, folder, ignore_errors=True))

    def _listed(self) -> list[tuple[Path, float]]:
        try:
            folders = [each for each in self._root.iterdir() if is_job_id(each.name)]
            return [(each, each.lstat().st_mtime) for each in folders]
        except FileNotFoundError:  # there never was one, or another worker was faster
            return []


def is_here(backend: Backend) -> bool:
    """It runs on this machine: what it writes into a folder can be read from here."""
    hosts = [urlsplit(url).hostname or "" for url in backend.urls]
    return backend.transport == "stdio" or (bool(hosts) and all(map(is_loopback, hosts)))
