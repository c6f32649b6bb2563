"""A worker whose data folder cannot be made, as on a read-only file system."""

from dataclasses import replace
from pathlib import Path

import pytest

from common.config.model import Backend
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.serving import served
from tests.support.system import Place, open_system
from tests.support.worker_process import worker_process

pytestmark = pytest.mark.anyio


async def test_backends_behind_urls_need_none(distributed_place: Place, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    place = replace(distributed_place, data=in_the_way / "data")
    async with served(LegacyHttp().app()) as url:
        backend = Backend(name="b", transport="http", urls=(f"{url}/mcp",))
        settings = place.settings(backend)
        async with open_system(settings) as system:
            with worker_process(settings, tmp_path / "worker") as worker:
                job = await system.submit("b__echo")
                assert (await system.ended(job, seconds=30)).state is JobState.COMPLETED
    assert "worker.died" not in worker.log.read_text()
