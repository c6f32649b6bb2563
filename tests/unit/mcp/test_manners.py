"""How each client gets each tool: the table of DESIGN 9, and who is refused."""

from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from common.config.model import TaskSupport
from ingress.mcp.eras import Era, era_of
from ingress.mcp.manners import manner_of

EVERY: tuple[TaskSupport, ...] = ("optional", "required", "never", "after_input")


def manner(support: TaskSupport, era: Era, **facts: bool) -> str | int:
    """The manner, or the code of the refusal."""
    given: dict[str, Any] = {"declared": False, "asked": False, "answers": False} | facts
    try:
        return manner_of(support, era, **given)
    except MCPError as refusal:
        return refusal.error.code


@pytest.mark.parametrize(
    ("support", "undeclared", "declared", "with_answers"),
    [
        ("optional", "held", "task_if_slow", "task_if_slow"),
        ("required", -32021, "task", "task"),
        ("never", "held", "held", "held"),
        ("after_input", "held", "held", "task"),
    ],
)
def test_the_extension_is_used_only_by_who_declares_it(
    support: TaskSupport, undeclared: Any, declared: Any, with_answers: Any
) -> None:
    assert manner(support, Era.MODERN) == undeclared
    assert manner(support, Era.MODERN, answers=True) == undeclared
    assert manner(support, Era.MODERN, declared=True) == declared
    assert manner(support, Era.MODERN, declared=True, answers=True) == with_answers
    # The `task` of 2025-11-25 means nothing here.
    assert manner(support, Era.MODERN, asked=True) == undeclared


@pytest.mark.parametrize(
    ("support", "plain", "asked"),
    [
        ("optional", "held", "task"),
        ("required", -32601, "task"),
        ("never", "held", -32601),
        ("after_input", "held", "task"),
    ],
)
def test_a_client_of_2025_11_25_says_itself_whether_it_wants_a_task(
    support: TaskSupport, plain: Any, asked: Any
) -> None:
    assert manner(support, Era.CORE_TASKS) == plain
    assert manner(support, Era.CORE_TASKS, asked=True) == asked


@pytest.mark.parametrize("support", EVERY)
@pytest.mark.parametrize("asked", [True, False])
def test_who_knows_no_tasks_is_held_whatever_the_tool(support: TaskSupport, asked: bool) -> None:
    assert manner(support, Era.OLDER, asked=asked, declared=True) == "held"


def test_eras_are_told_by_the_version() -> None:
    assert era_of("2026-07-28") is Era.MODERN
    assert era_of("2025-11-25") is Era.CORE_TASKS
    assert {era_of(each) for each in ("2025-06-18", "2025-03-26", "2024-11-05")} == {Era.OLDER}
