"""`longhaul check` against a real RabbitMQ and a real Redis."""

import sys
from pathlib import Path

import pytest

from common.store.redis.survey import survey
from tests.support.desk import GATED, Desk
from tests.support.servers import Shared


@pytest.mark.anyio
async def test_a_redis_tells_its_version_and_how_it_may_lose(redis_server: Shared) -> None:
    found = await survey(redis_server.url)
    assert int(found.version.partition(".")[0]) >= 7
    assert all("everysec" in warning for warning in found.warnings)


def test_check_shows_both_servers(tmp_path: Path, rabbit: Shared, redis_server: Shared) -> None:
    desk = Desk(tmp_path)
    desk.configure({"b": {"command": sys.executable, "args": [str(GATED)]}})
    ran = desk.run_process(
        "check", "--json", LONGHAUL_BROKER_URL=rabbit.url, LONGHAUL_STORE_URL=redis_server.url
    )
    assert ran.code == 0, ran.out
    broker, store = ran.json["servers"]
    assert broker["summary"].startswith("RabbitMQ ")
    assert store["summary"].startswith("Redis ")
