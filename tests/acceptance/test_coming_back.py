"""A client that was sent back comes again, to the same router or to one that was started since."""

import sys
from pathlib import Path
from typing import Any

import httpx2

from tests.support.desk import GATED, Desk
from tests.support.routers import last_message, modern_call


def call(address: str, desk: Desk, **more: Any) -> dict[str, Any]:
    arguments = {"log": str(desk.log), "gate": str(desk.gate())}
    request = modern_call("b__work", arguments, **more)
    answer = last_message(httpx2.post(f"{address}/mcp", **request, timeout=30).text)
    result: dict[str, Any] = answer["result"]
    return result


def test_a_router_that_was_restarted_opens_what_it_sealed(tmp_path: Path) -> None:
    """Its key was made at the first start, and is in its folder."""
    desk = Desk(tmp_path)
    gated = {"command": sys.executable, "args": [str(GATED)]}
    brief = {"answering": {"call_wait": "300ms"}, "tools": {"*": {"repeatable": True}}}
    desk.configure({"b": gated}, **brief)
    with desk.router() as address:
        state = call(address, desk)["requestState"]
    desk.gate().touch()
    with desk.router() as address:
        result = call(address, desk, requestState=state)
        while "requestState" in result:
            result = call(address, desk, requestState=result["requestState"])
        assert result["content"][0]["text"].startswith("run ")
        assert len(desk.run("jobs", "ls", "--json").json["jobs"]) == 1
