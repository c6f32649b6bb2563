"""The remembered check says of every request what the SDK's own check says of it."""

from typing import Any

import mcp_types as types
import pytest
from mcp_types import methods
from pydantic import ValidationError

from ingress.mcp.shapes import REMEMBERED, Shapes

VERSION = "2026-07-28"
DECLARED = {
    types.PROTOCOL_VERSION_META_KEY: VERSION,
    types.CLIENT_CAPABILITIES_META_KEY: {},
    types.CLIENT_INFO_META_KEY: {"name": "somebody", "version": "1"},
}
BARE = {key: DECLARED[key] for key in list(DECLARED)[:2]}


def call(meta: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": "tool", "arguments": {}, "_meta": DECLARED if meta is None else meta, **more}


def refused(shapes: Shapes, params: dict[str, Any]) -> bool:
    try:
        shapes.check("tools/call", VERSION, params)
    except ValidationError:
        return True
    return False


def refused_by_sdk(params: dict[str, Any]) -> bool:
    try:
        methods.validate_client_request("tools/call", VERSION, params)
    except ValidationError:
        return True
    return False


@pytest.mark.parametrize(
    "params",
    [
        call(),
        call(BARE),
        call(name=5),
        call(arguments=[]),
        call(arguments=None),
        call({**BARE, types.CLIENT_INFO_META_KEY: 0}),
        call({**BARE, types.CLIENT_INFO_META_KEY: ""}),
        call({**BARE, types.CLIENT_INFO_META_KEY: {"name": "nobody"}}),
        call({**DECLARED, types.LOG_LEVEL_META_KEY: "shouted"}),
        call({**DECLARED, types.LOG_LEVEL_META_KEY: "info"}),
        call({**DECLARED, "progressToken": 1}),
        call({**DECLARED, "progressToken": 1.5}),
        call({**DECLARED, "progressToken": {}}),
        call({**DECLARED, "progressToken": True}),
        call({**DECLARED, "acme/trace": [2**70]}),
        call({**DECLARED, types.CLIENT_CAPABILITIES_META_KEY: {"roots": 2**70}}),
        call({types.PROTOCOL_VERSION_META_KEY: VERSION}),
        call(inputResponses=[]),
        call(requestState=5),
        call(_meta=None),
    ],
    ids=str,
)
def test_says_what_the_sdk_says(params: dict[str, Any]) -> None:
    shapes = Shapes()
    for known in (call(), call(BARE)):  # remembered before
        assert not refused(shapes, known)
    for _ in range(2):
        assert refused(shapes, params) == refused_by_sdk(params)


def test_does_not_grow_with_what_clients_say() -> None:
    shapes = Shapes()
    for number in range(REMEMBERED + 10):
        info = {"name": "somebody", "version": str(number)}
        shapes.check("tools/call", VERSION, call({**BARE, types.CLIENT_INFO_META_KEY: info}))
    assert len(shapes._passed) <= REMEMBERED
