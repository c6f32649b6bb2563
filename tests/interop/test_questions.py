"""A tool asks the caller's user in mid-call, through the queue: both eras, every client."""

import pytest

from tests.interop.clients import driven
from tests.interop.driven import Driven
from tests.interop.world import World

LEGACY = "asking__trigger-elicitation-request"
MODERN = "fastmcp__ask"


def test_a_server_of_the_older_era_asks(client: Driven) -> None:
    outcome = client.call(LEGACY, answer={"name": f"user of {client.name}", "integer": 42})
    assert outcome["asked"] == ["Please provide inputs for the following fields:"]
    said = outcome["result"]["content"][1]["text"]
    assert f"Name: user of {client.name}" in said
    assert "Favorite Integer: 42" in said


def test_a_server_of_the_newer_era_asks(client: Driven) -> None:
    outcome = client.call(MODERN, answer={"name": f"user of {client.name}"})
    assert outcome["asked"] == ["Who goes there?"]
    assert outcome["result"]["content"][0]["text"] == f"user of {client.name} goes there"


@pytest.mark.parametrize(("tool", "said"), [(LEGACY, "declined"), (MODERN, "nobody goes there")])
def test_a_user_may_decline(client: Driven, tool: str, said: str) -> None:
    outcome = client.call(tool)
    assert len(outcome["asked"]) == 1
    assert said in outcome["result"]["content"][0]["text"]


@pytest.mark.parametrize("name", ["official-legacy", "official-auto"])
def test_a_task_of_the_older_era_asks(world: World, name: str) -> None:
    """The backend's own, of which the client knows nothing."""
    tool = "asking__simulate-research-query"
    answer = {"interpretation": "snake"}
    with driven(name, world) as client:
        outcome = client.call(tool, answer=answer, topic="python", ambiguous=True)
    assert len(outcome["asked"]) == 1
    assert "- **Clarification**: snake" in outcome["result"]["content"][0]["text"]


def test_a_task_of_the_newer_era_asks(client: Driven) -> None:
    outcome = client.call("fastmcp__ask_and_rest", answer={"name": "somebody"})
    assert outcome["asked"] == ["Who goes there?"]
    assert outcome["result"]["content"][0]["text"] == "somebody goes there"


@pytest.mark.parametrize("tool", [LEGACY, MODERN])
@pytest.mark.parametrize("name", ["first-generation", "fastmcp"])
def test_a_task_asks(world: World, name: str, tool: str) -> None:
    with driven(name, world) as tasker:
        task = tasker.step(do="begin", tool=tool, arguments={})["task"]
        ended = tasker.step(do="end", task=task, answer={"name": "me"})
    assert len(ended["asked"]) == 1
    assert not ended["is_error"]
