"""What dead workers left on this data folder, while the store cannot be told of it."""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.config.model import Settings
from common.runtime import open_runtime
from tests.support.ports import free_port
from tests.support.system import running
from tests.support.waiting import until
from workers.backends.groups import records_folder
from workers.backends.launcher import start_time
from workers.remains import clear_dead

pytestmark = pytest.mark.anyio


async def test_the_processes_of_every_dead_worker_end_before_the_store_is_back(
    tmp_path: Path,
) -> None:
    """What one of them still runs may be started again as soon as its lease has lapsed."""
    settings = Settings(store_url=f"redis://127.0.0.1:{free_port()}", data=str(tmp_path))
    with ExitStack() as stack:
        left = [stack.enter_context(replica_of(tmp_path, owner)) for owner in ("one", "two")]
        async with open_runtime(settings) as runtime, running(clear_dead(runtime)):
            await until(lambda: all(each.poll() is not None for each in left))


def replica_of(data: Path, owner: str) -> "subprocess.Popen[bytes]":
    """A process that a worker recorded before it died, and that would end by itself in a minute."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    folder = records_folder(data, owner)
    folder.mkdir(parents=True)
    record = {"pid": process.pid, "started": start_time(process.pid), "token": ""}
    (folder / "one.json").write_text(json.dumps(record))
    return process
