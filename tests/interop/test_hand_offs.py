"""Who cannot be kept waiting gets a job id, also where the tool promised structured content."""

from collections.abc import Iterator

import pytest

from tests.interop.clients import driven
from tests.interop.driven import Driven
from tests.interop.world import HASTY, World

OFFICIAL = ("official-legacy", "official-auto", "typescript-legacy", "typescript-auto")
EXPORT = "exporter__export_rows"


@pytest.fixture(params=OFFICIAL)
def hasty(request: pytest.FixtureRequest, world: World) -> Iterator[Driven]:
    with driven(f"{HASTY}{request.param}", world) as running:
        yield running


def test_a_tool_with_an_output_schema_is_handed_off(hasty: Driven, world: World) -> None:
    assert EXPORT in hasty.tools()  # from here on the client checks results of it
    result = hasty.result(EXPORT, dataset="orders", rows_per_second=3_000)
    assert result["isError"] is True
    assert result["content"][0]["text"].startswith("Not an error: still running as job ")
    job = world.rest(f"/v1/jobs/{result['_meta']['longhaul/job']['id']}?wait=20")
    assert job["state"] == "completed"
    assert job["result"]["structuredContent"]["rows"] == 8_000
