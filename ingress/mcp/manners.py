"""How a call is answered, by what its client declared and what its tool allows. Pure.

The table is DESIGN 9's; "task support" is the operator's word for a tool.
"""

from typing import Literal

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.config.model import TaskSupport
from ingress.mcp.declared import tasks_missing
from ingress.mcp.eras import Era

Manner = Literal["held", "task_if_slow", "task"]


def manner_of(
    support: TaskSupport, era: Era, *, declared: bool, asked: bool, answers: bool
) -> Manner:
    """What a client gets.

    Args:
        support: Of the tool.
        era: The client's.
        declared: The client declared the extension of 2026-07-28.
        asked: The call has the `task` of 2025-11-25.
        answers: The call brings answers to the tool's questions.

    Raises:
        MCPError: The client cannot have this tool this way.
    """
    if era is Era.MODERN:
        return _modern(support, declared=declared, answers=answers)
    if era is Era.OLDER:
        return "held"  # these know no tasks at all: the tool must not be out of their reach
    if asked and support == "never":
        raise MCPError(types.METHOD_NOT_FOUND, "This tool cannot be called as a task")
    if not asked and support == "required":
        raise MCPError(types.METHOD_NOT_FOUND, "This tool can only be called as a task")
    return "task" if asked else "held"


def _modern(support: TaskSupport, *, declared: bool, answers: bool) -> Manner:
    match support:
        case "required" if not declared:
            raise tasks_missing()
        case "required":
            return "task"
        case "optional" if declared:
            return "task_if_slow"
        case "after_input" if declared and answers:
            return "task"
        case _:
            return "held"


def legacy_support(support: TaskSupport) -> str:
    """`execution.taskSupport` of 2025-11-25, where questions are asked while a task runs."""
    match support:
        case "never":
            return "forbidden"
        case "required":
            return "required"
        case _:
            return "optional"
