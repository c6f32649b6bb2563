"""What the operator's patterns say about a tool, and which queues a backend's tools are on."""

from typing import Any

import pytest

from common.config.model import Backend, Clocks, Questions, Queue, Retry, Settings, ToolRule
from common.routing.rules import DEFAULT_PRIORITY, Rules, ToolPolicy, expose


def rules(tools: dict[str, dict[str, Any]], **others: Any) -> Rules:
    backends = (
        Backend(name="exporter", command="x", replicas=2, concurrency=3, timeout=60.0),
        Backend(name="search", urls=("http://a", "http://b"), concurrency=5, transport="http"),
        Backend(name="off", command="x", disabled=True),
    )
    patterns = {pattern: ToolRule.model_validate(rule) for pattern, rule in tools.items()}
    return Rules(Settings(backends=backends, tools=patterns, **others))


def test_without_rules_a_tool_goes_to_the_queue_of_its_backend() -> None:
    policy = rules({}).for_tool("search__find", "search", "find")
    assert policy == ToolPolicy(queue="search")
    assert policy.priority == DEFAULT_PRIORITY == 4
    assert policy.clocks == Clocks()


def test_a_backend_s_time_out_limits_the_run_until_a_rule_says_another() -> None:
    found = rules(
        {"exporter__slow*": {"timeout": {"run": "2h"}}, "*nolimit": {"timeout": {"run": None}}}
    )
    assert found.for_tool("exporter__x", "exporter", "x").clocks == Clocks(run=60.0)
    assert found.for_tool("exporter__slow", "exporter", "slow").clocks == Clocks(run=7200.0)
    assert found.for_tool("exporter__nolimit", "exporter", "nolimit").clocks == Clocks()


def test_later_rules_win_field_by_field() -> None:
    found = rules(
        {
            "exporter__*": {
                "queue": "exports",
                "priority": 3,
                "timeout": {"queue": "1h", "run": "1h"},
                "retry": {"attempts": 5, "first": "9s"},
                "repeatable": True,
                "on_disconnect": "keep",
                "attach": "never",
                "questions": {"default": {"action": "decline"}},
                "task": "required",
            },
            "*__big_*": {
                "priority": 0,
                "timeout": {"run": "2h"},
                "retry": {"attempts": 7},
                "repeatable": False,
                "on_disconnect": "cancel",
                "questions": {"deadline": "1m"},
            },
        }
    )
    assert found.for_tool("exporter__big_x", "exporter", "big_x") == ToolPolicy(
        queue="exports",
        priority=0,
        clocks=Clocks(queue=3600.0, run=7200.0),
        retry=Retry(attempts=7, first=9.0),
        repeatable=False,
        on_disconnect="cancel",
        attach=False,
        task="required",
        questions=Questions(deadline=60.0, default={"action": "decline"}),
    )


def test_patterns_tell_capitals_apart_and_match_whole_names() -> None:
    found = rules({"exporter__Run": {"priority": 9}})
    assert found.for_tool("exporter__run", "exporter", "run").priority == 4
    assert found.for_tool("exporter__Run2", "exporter", "Run2").priority == 4
    assert found.for_tool("exporter__Run", "exporter", "Run").priority == 9


def test_a_pattern_may_name_the_backend_where_clients_see_bare_names() -> None:
    found = rules({"exporter__x": {"priority": 9}}, namespaces=False)
    assert found.for_tool("x", "exporter", "x").priority == 9
    assert found.for_tool("x", "search", "x").priority == 4


def test_a_queue_carries_the_backends_its_patterns_may_concern() -> None:
    found = rules(
        {
            "exporter__export_*": {"queue": "exports"},
            "*_slow": {"queue": "slow"},
            "unknown__*": {"queue": "nobody"},
            "off__*": {"queue": "disabled"},
        }
    )
    assert found.queue_backends() == {
        "exporter": {"exporter"},
        "search": {"search"},
        "exports": {"exporter"},
        "slow": {"exporter", "search"},
    }


def test_the_queues_of_known_tools_are_exact() -> None:
    found = rules({"exporter__export_*": {"queue": "exports"}})
    assert found.queues_of("exporter", ["export_rows", "ping"]) == {"exports", "exporter"}
    assert found.queues_of("exporter", ["export_rows"]) == {"exports"}


@pytest.mark.parametrize(
    ("queue", "slots"), [("exporter", 6), ("search", 10), ("all", 16), ("tuned", 1), ("gone", 1)]
)
def test_slots_are_the_capacity_of_a_queue_s_backends(queue: str, slots: int) -> None:
    found = rules(
        {"*_a": {"queue": "all"}, "*_t": {"queue": "tuned"}}, queues={"tuned": Queue(slots=1)}
    )
    assert found.slots(queue) == slots


def test_exposed_names() -> None:
    assert expose("a", "b", namespaces=True) == "a__b"
    assert expose("a", "b", namespaces=False) == "b"
