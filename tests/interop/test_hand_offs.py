"""Who cannot be kept waiting gets a job id, also where the tool promised structured content."""

from collections.abc import Iterator

import pytest

from tests.interop.clients import driven
from tests.interop.driven import Driven, handed_off
from tests.interop.world import HASTY, World

OFFICIAL = ("official-legacy", "official-auto", "typescript-legacy", "typescript-auto")
EXPORT = "exporter__export_rows"
LONG = "stdio__trigger-long-running-operation"


@pytest.fixture(params=OFFICIAL)
def hasty(request: pytest.FixtureRequest, world: World) -> Iterator[Driven]:
    with driven(f"{HASTY}{request.param}", world) as running:
        yield running


def test_a_tool_with_an_output_schema_is_handed_off(hasty: Driven) -> None:
    assert EXPORT in hasty.tools()  # from here on the client checks results of it
    # Longer than the modern clients' libraries come back by themselves.
    first = hasty.result(EXPORT, dataset="orders", rows_per_second=800)
    assert first["isError"] is True
    assert first["content"][0]["text"].startswith("Not an error: still running as job ")
    ids = handed_off(first)
    assert len(ids) == 1
    last = first
    while waiting := handed_off(last):
        assert waiting == ids
        last = hasty.result("longhaul_wait", ids=ids)
    assert not last.get("isError", False)
    assert last["structuredContent"]["rows"] == 8_000


def test_what_was_handed_off_is_cancelled_by_its_id(hasty: Driven, world: World) -> None:
    (job,) = handed_off(hasty.result(LONG, duration=60, steps=60))
    assert job in hasty.result("longhaul_jobs")["content"][0]["text"]
    assert "cancelled" in hasty.result("longhaul_cancel", id=job)["content"][0]["text"]
    assert world.rest(f"/v1/jobs/{job}")["state"] == "cancelled"
