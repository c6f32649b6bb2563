"""An answer to what a tool asks, made of what was typed. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from longhaul.arguments import arguments_of
from longhaul.exits import UsageError

Json = Mapping[str, Any]

_REFUSED = {"code": -1, "message": "declined by a person"}


def chosen(questions: Sequence[Json], key: str | None) -> Json:
    """The question that is meant.

    Raises:
        UsageError: There are several, or none of this key.
    """
    keys = [question["key"] for question in questions]
    if key is None and len(questions) == 1:
        return questions[0]
    if key is None:
        raise UsageError(f"there are several questions, say which with --key: {', '.join(keys)}")
    for question in questions:
        if key in (question["key"], question["key"].partition(".")[2]):
            return question
    raise UsageError(f"no open question has the key {key}; open: {', '.join(keys)}")


def answer_of(
    question: Json, *, action: str, fields: Iterable[str], text: str | None
) -> dict[str, Any]:
    """A result of the question's method; `text` is one that was typed as JSON.

    Raises:
        UsageError: It cannot be answered like that.
    """
    if text is not None:
        return _typed(text)
    match question["method"]:
        case "elicitation/create" if action == "accept":
            return _form(question["params"], fields)
        case "elicitation/create":
            return {"action": action}
        case _ if action == "accept":
            raise UsageError(
                f"{question['method']} is answered with --json: its result, as MCP has it"
            )
        case "roots/list":
            return {"roots": []}
        case _:
            return {"error": dict(_REFUSED)}


def _form(params: Json, fields: Iterable[str]) -> dict[str, Any]:
    if params.get("mode") == "url":
        return {"action": "accept"}
    schema = params.get("requestedSchema") or {}
    return {"action": "accept", "content": arguments_of(schema, None, fields, "--field")}


def _typed(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--json is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UsageError('--json should be an object, as \'{"action": "decline"}\'')
    return value
