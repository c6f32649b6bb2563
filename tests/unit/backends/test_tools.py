"""A tool list in which each definition is judged alone."""

from typing import Any

import pytest

from workers.backends.tools import flaw, sort_tools

GOOD = {"name": "ok", "inputSchema": {"type": "object"}, "x-vendor": [None], "_meta": {"a": None}}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (None, "not an object"),
        ({}, "name"),
        ({"name": 5, "inputSchema": {"type": "object"}}, "name"),
        ({"name": "x"}, "inputSchema"),
        ({"name": "x", "inputSchema": None}, "inputSchema"),
        ({"name": "x", "inputSchema": {}}, '"type" must be "object"'),
        ({"name": "x", "inputSchema": {"type": ["object"]}}, '"type" must be "object"'),
        ({**GOOD, "outputSchema": "none"}, "outputSchema"),
        ({**GOOD, "description": 7}, "description"),
        ({**GOOD, "annotations": {"readOnlyHint": {}}}, "annotations.readOnlyHint"),
        ({**GOOD, "_meta": []}, "_meta"),
    ],
)
def test_what_no_client_could_read(definition: Any, said: str) -> None:
    assert said in (flaw(definition) or "")
    assert sort_tools([definition, GOOD]).kept == (GOOD,)


def test_definitions_are_kept_as_they_are() -> None:
    assert sort_tools([GOOD]).kept[0] is GOOD
    assert flaw(GOOD) is None


def test_a_second_tool_of_a_name_is_dropped() -> None:
    found = sort_tools([GOOD, {**GOOD, "description": "another"}])
    assert found.kept == (GOOD,)
    assert found.dropped == (("ok", "a second tool of this name"),)


def test_header_annotations() -> None:
    region = {"type": "string", "x-mcp-header": "Region"}
    good = {"name": "good", "inputSchema": {"type": "object", "properties": {"r": region}}}
    bad = {"name": "bad", "inputSchema": {"type": "object", "anyOf": [region]}}
    found = sort_tools([good, bad])
    assert found.kept == (good, bad)
    assert found.param_headers == {"good": {("r",): "Region"}}
    assert [name for name, _ in found.bad_headers] == ["bad"]


def test_the_report_of_a_nameless_or_endless_name_stays_short() -> None:
    found = sort_tools([{"name": "x" * 9_999}, 5])
    assert [len(name) for name, _ in found.dropped] == [80, len("(no name)")]
