"""What a tool asks, on the screen. Pure: JSON of the REST interface in, lines out."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from longhaul.screen.words import local_time

Json = Mapping[str, Any]

_WHOM = {"caller": "its caller", "operator": "an operator; its caller cannot be asked this"}


def question_text(question: Json, answer_by: str | None) -> str:
    """One question with everything that is needed to answer it."""
    params = question["params"]
    lines = [f"{question['key']}  asked of {_WHOM[question['asked_of']]}"]
    lines += [f"  {line}" for line in _asked(question["method"], params)]
    lines.append(f"  an answer is of use until {local_time(answer_by)}")
    return "\n".join(lines)


def _asked(method: str, params: Json) -> Iterator[str]:
    match method:
        case "elicitation/create":
            yield str(params.get("message", ""))
            if params.get("mode") == "url":
                yield f"to be done at {params.get('url')}"
            else:
                yield from _fields(params.get("requestedSchema") or {})
        case "roots/list":
            yield "which folders may it use?"
        case _:
            yield "a model's answer to this:"
            yield from json.dumps(params, indent=2, ensure_ascii=False).splitlines()


def _fields(schema: Json) -> Iterator[str]:
    required = schema.get("required") or ()
    for name, field in (schema.get("properties") or {}).items():
        kind = " or ".join(map(str, field["enum"])) if "enum" in field else field.get("type", "")
        marks = "" if name in required else ", optional"
        title = field.get("description") or field.get("title")
        yield f"  {name}: {kind}{marks}" + (f" - {title}" if title else "")
