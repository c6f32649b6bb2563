"""The clients that know tasks, each in its own dialect, over tools that know nothing of them."""

from collections.abc import Iterator

import pytest

from tests.interop.clients import driven
from tests.interop.driven import Driven
from tests.interop.world import HASTY, World
from tests.support.waiting import wait_for

LONG = "stdio__trigger-long-running-operation"
READ = "files__read_text_file"
WITH_TASKS = ("first-generation", "fastmcp")


@pytest.fixture(scope="module", params=WITH_TASKS)
def tasker(request: pytest.FixtureRequest, world: World) -> Iterator[Driven]:
    """The router would keep it waiting for half a second, were it not for tasks."""
    with driven(f"{HASTY}{request.param}", world) as running:
        yield running


def begin(client: Driven, tool: str, **arguments: object) -> str:
    created = client.step(do="begin", tool=tool, arguments=arguments)
    assert created["status"] == "working"
    return str(created["task"])


def test_a_call_is_a_task_from_the_start_to_the_result(tasker: Driven) -> None:
    task = begin(tasker, LONG, duration=3, steps=6)
    assert tasker.step(do="status", task=task)["status"] == "working"
    ended = tasker.step(do="end", task=task)
    assert ended["text"].startswith("Long running operation completed")
    assert not ended["is_error"]
    assert tasker.step(do="status", task=task)["status"] == "completed"


def test_other_calls_are_answered_meanwhile(tasker: Driven) -> None:
    task = begin(tasker, LONG, duration=3, steps=6)
    assert tasker.result("http__echo", message="hello")["content"][0]["text"] == "Echo: hello"
    assert tasker.step(do="status", task=task)["status"] == "working"
    tasker.step(do="end", task=task)


def test_a_cancelled_task_stops(tasker: Driven, world: World) -> None:
    task = begin(tasker, LONG, duration=60, steps=240)
    wait_for(lambda: world.rest(f"/v1/jobs/{task}")["state"] == "running", every=0.1)
    tasker.step(do="stop", task=task)
    assert tasker.step(do="status", task=task)["status"] == "cancelled"
    assert world.rest(f"/v1/jobs/{task}")["state"] == "cancelled"


def test_a_structured_result_comes_through(tasker: Driven) -> None:
    task = begin(tasker, "exporter__export_rows", dataset="orders", rows_per_second=3_000)
    ended = tasker.step(do="end", task=task)
    assert ended["structured"]["rows"] == 8_000


def test_a_client_with_the_extension_need_not_know(world: World) -> None:
    """Held no longer than a second, and yet the plain call has its tool's own result."""
    with driven(f"{HASTY}fastmcp", world) as client:
        result = client.result(LONG, duration=4, steps=8)
    assert result["content"][0]["text"].startswith("Long running operation completed")


def test_the_first_generation_sees_a_tool_error_as_a_failed_task(world: World) -> None:
    with driven("first-generation", world) as client:
        task = begin(client, READ, path="/nowhere")
        ended = client.step(do="end", task=task)
        assert (ended["status"], ended["is_error"]) == ("failed", True)
        assert "Access denied" in ended["text"]


def test_the_first_generation_lists_its_own_tasks(world: World) -> None:
    with driven("first-generation", world) as client:
        mine = begin(client, "stdio__echo", message="mine")
        assert mine in client.step(do="tasks")["tasks"]
    with driven(f"{HASTY}first-generation", world) as other:
        assert mine not in other.step(do="tasks")["tasks"]
