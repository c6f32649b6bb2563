"""Published servers behind the router do what they do without it."""

import pytest

from tests.interop.driven import Driven
from tests.interop.world import OVER, World


@pytest.mark.parametrize("transport", OVER)
def test_a_slow_tool_says_how_far_it_is(agent: Driven, transport: str) -> None:
    tool = f"{transport}__trigger-long-running-operation"
    outcome = agent.call(tool, progress=True, duration=1, steps=4)
    assert outcome["result"]["content"][0]["text"].startswith("Long running operation completed")
    assert outcome["progress"][-1] == 4
    assert len(outcome["progress"]) >= 2


@pytest.mark.parametrize("transport", OVER)
def test_a_tool_that_can_only_be_a_task_is_called_as_any_other(
    agent: Driven, transport: str
) -> None:
    """Of 2025-11-25; its backend cannot ask anybody here, and so it does not."""
    tool = f"{transport}__simulate-research-query"
    outcome = agent.call(tool, progress=True, topic="whales", ambiguous=True)
    assert outcome["result"]["content"][0]["text"].startswith("# Research Report: whales")
    assert len(outcome["progress"]) >= 3
    assert "_meta" not in outcome["result"] or "taskId" not in str(outcome["result"]["_meta"])


def test_a_tool_of_the_newer_era_that_can_only_be_a_task(agent: Driven) -> None:
    result = agent.result("fastmcp__rest", seconds=0.5)
    assert result["content"][0]["text"] == "rested for 0.5 s"


def test_files_are_written_and_read(agent: Driven, world: World) -> None:
    path = world.files / "said.txt"
    agent.result("files__write_file", path=str(path), content="grüße\n")
    assert path.read_text() == "grüße\n"
    result = agent.result("files__read_text_file", path=str(path))
    assert result["structuredContent"] == {"content": "grüße\n"}


def test_a_repository_is_worked_on(agent: Driven, world: World) -> None:
    repository = str(world.repository)
    status = agent.result("git__git_status", repo_path=repository)
    assert "new.txt" in status["content"][0]["text"]
    agent.result("git__git_add", repo_path=repository, files=["new.txt"])
    staged = agent.result("git__git_diff_staged", repo_path=repository)
    assert "+new" in staged["content"][0]["text"]


def test_the_time_is_told(agent: Driven) -> None:
    arguments = {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}
    result = agent.result("time__convert_time", **arguments)
    assert "21:00" in result["content"][0]["text"]
