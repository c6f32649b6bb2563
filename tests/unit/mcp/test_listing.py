"""The list of tools as each era gets it: definitions verbatim, our own tools last."""

from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from common.catalogue import Catalogue, build_catalogue, catalogue_entry
from common.config.model import Settings, TaskSupport, ToolRule
from common.config.names import OWN_TOOLS
from common.routing.rules import Rules
from ingress.mcp.eras import Era
from ingress.mcp.listing import PAGE, Listing, Listings

SERVER_INFO = "io.modelcontextprotocol/serverInfo"


def catalogue(
    tools: list[dict[str, Any]], bad: dict[str, str] | None = None, *, namespaces: bool = True
) -> Catalogue:
    body = {"tools": tools, "bad_headers": list((bad or {}).items())}
    entry = catalogue_entry(backend="b", started_at=1, trusted=False, listing=body)
    return build_catalogue([entry], namespaces=namespaces)


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def listing(known: Catalogue, era: Era = Era.OLDER, support: TaskSupport = "optional") -> Listing:
    return Listing(known, era, lambda _: support)


def theirs(page: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in page["tools"] if each["name"] not in OWN_TOOLS]


@pytest.mark.parametrize("era", Era)
def test_a_definition_goes_verbatim_under_the_exposed_name(era: Era) -> None:
    definition = tool("t", **{"x-vendor": None, "annotations": {"odd": 1}, "_meta": {"k": "v"}})
    known = catalogue([{**definition, "execution": {"taskSupport": "required"}}])
    (shown,) = theirs(listing(known, era).page(None))
    told = {"execution": {"taskSupport": "optional"}} if era is Era.CORE_TASKS else {}
    assert shown == {**definition, "name": "b__t", **told}


@pytest.mark.parametrize(
    ("support", "told"),
    [
        ("never", "forbidden"),
        ("optional", "optional"),
        ("after_input", "optional"),
        ("required", "required"),
    ],
)
def test_task_support_is_the_operators_word_in_the_one_version_that_has_it(
    support: TaskSupport, told: str
) -> None:
    settings = Settings(tools={"b__t": ToolRule(task=support)})
    listings = Listings(Rules(settings))
    known = catalogue([tool("t")])
    (shown,) = theirs(listings.of(known, Era.CORE_TASKS).page(None))
    assert shown["execution"] == {"taskSupport": told}
    assert listings.of(known, Era.CORE_TASKS) is listings.of(known, Era.CORE_TASKS)


@pytest.mark.parametrize("era", Era)
def test_our_own_tools_come_last_and_promise_no_structure(era: Era) -> None:
    shown = listing(catalogue([tool("t")]), era, "required").page(None)["tools"]
    assert [each["name"] for each in shown] == ["b__t", *OWN_TOOLS]
    for own in shown[1:]:
        assert "outputSchema" not in own
        forbidden = {"taskSupport": "forbidden"}
        assert own.get("execution") == (forbidden if era is Era.CORE_TASKS else None)


def test_a_tool_that_has_the_name_of_one_of_ours_is_refused() -> None:
    known = catalogue([tool("longhaul_wait"), tool("t")], namespaces=False)
    assert list(known.tools) == ["t"]
    assert list(known.collisions) == [("longhaul_wait", "longhaul", "b")]
    assert "b__longhaul_wait" in catalogue([tool("longhaul_wait")]).tools


def test_a_tool_with_a_bad_header_is_not_shown_to_modern_clients() -> None:
    known = catalogue([tool("good"), tool("bad")], {"bad": "not a token"})
    names = [
        [each["name"] for each in theirs(listing(known, era).page(None))]
        for era in (Era.MODERN, Era.OLDER)
    ]
    assert names == [["b__good"], ["b__good", "b__bad"]]


def test_a_modern_list_is_stamped_and_never_for_sharing() -> None:
    page = listing(catalogue([]), Era.MODERN).page(None)
    assert page["resultType"] == "complete"
    assert page["cacheScope"] == "private"
    assert page["ttlMs"] > 0
    assert page["_meta"][SERVER_INFO]["name"] == "longhaul"
    assert list(listing(catalogue([])).page(None)) == ["tools"]


def test_pages_hold_every_tool_once_and_in_order() -> None:
    names = [f"t{number}" for number in range(2 * PAGE + 1)]
    paged = listing(catalogue([tool(name) for name in names]))
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = paged.page(cursor)
        assert len(page["tools"]) <= PAGE
        seen += [each["name"] for each in page["tools"]]
        cursor = page.get("nextCursor")
        if cursor is None:
            break
    assert seen == [*(f"b__{name}" for name in names), *OWN_TOOLS]


def test_a_cursor_outlives_a_change_before_it() -> None:
    names = [f"t{number}" for number in range(PAGE + 2)]
    cursor = listing(catalogue([tool(name) for name in names])).page(None)["nextCursor"]
    fewer = listing(catalogue([tool(name) for name in names[5:]]))
    assert [each["name"] for each in theirs(fewer.page(cursor))] == ["b__t200", "b__t201"]


@pytest.mark.parametrize("cursor", ["", "x", "%%%", "AAAA", "é"])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str) -> None:
    with pytest.raises(MCPError) as refusal:
        listing(catalogue([tool("t")]), Era.MODERN).page(cursor)
    assert refusal.value.code == -32602
