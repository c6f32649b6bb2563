"""What is remembered of tools beside a direct call has a limit, however many versions come."""

from collections.abc import Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from common.catalogue import CatalogueTool
from ingress.mcp.direct import REMEMBERED, Direct


async def otherwise(_scope: Scope, _receive: Receive, _send: Send) -> None: ...


async def route(*_: Any) -> None: ...


def offering(mirrored: Callable[[str], bool]) -> Direct:
    """Each name is a tool in a version of its own."""

    def tool(name: str) -> CatalogueTool:
        header = {"x-mcp-header": "Region"} if mirrored(name) else {}
        schema = {"type": "object", "properties": {"region": {"type": "string", **header}}}
        return CatalogueTool(
            name=name,
            backend="b",
            backend_tool=name,
            version=name,
            definition={"name": name, "inputSchema": schema},
            trusted=False,
        )

    return Direct(route, tool, otherwise)


def test_versions_of_tools_are_not_remembered_without_end() -> None:
    direct = offering(lambda name: name.endswith("7"))
    for number in range(REMEMBERED + 10):
        assert direct._mirrored(f"t{number}") == (number % 10 == 7)
        assert len(direct._mirrors) <= REMEMBERED
    assert direct._mirrored("t7"), "looked into anew"
