"""Answers to a tool's questions: which fit, and what is answered when nobody does. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.jobs.questions import (
    ELICITATION,
    ROOTS,
    SAMPLING,
    Answer,
    Request,
    Round,
    backend_key,
    open_requests,
)
from common.misfits import compile_schema, misfits

ACTIONS = ("accept", "decline", "cancel")
REJECTED = -1  # the protocol's code for a person who refuses a sampling request


def problem_of(request: Request, answer: object) -> str | None:
    """Why the answer does not fit its question, naming path and rule; None when it does."""
    if not isinstance(answer, Mapping):
        return "an answer should be an object"
    match request["method"]:
        case "elicitation/create":
            return _elicited(request.get("params") or {}, answer)
        case "sampling/createMessage":
            if refusal_of(answer) is not None:
                return None
            return _lacking(answer, role=str, content=(dict, list), model=str)
        case _:
            return _rooted(answer)


def refusal_of(answer: Answer) -> str | None:
    """What an answer says that is an error: somebody refused, in a kind that has no other way."""
    error = answer.get("error")
    if not isinstance(error, Mapping) or "role" in answer:
        return None
    message = error.get("message")
    return message if isinstance(message, str) and message else "it was refused"


def refused_round(asked: Round) -> str | None:
    """The first refusal in a round: a backend of 2026-07-28 has no way to be told of it."""
    for key, answer in asked.answers.items():
        said = refusal_of(answer)
        if said is not None and asked.requests[key]["method"] == SAMPLING:
            return f"its question {backend_key(key)} was not answered: {said}"
    return None


def answer_instead(asked: Round, default: Answer | None) -> Round:
    """The round with everything open answered: by the operator's default where it fits."""
    given = {
        key: _instead(each, default) for key, each in open_requests(asked, operator=True).items()
    }
    return replace(asked, answers={**asked.answers, **given})


def answer_foregone(asked: Round, default: Answer | None) -> Round:
    """The round with the default, where it fits, to what the caller cannot be asked at all."""
    if default is None:
        return asked
    fitting = {
        key: default
        for key, each in open_requests(asked, operator=True).items()
        if key in asked.operator and problem_of(each, default) is None
    }
    return replace(asked, answers={**asked.answers, **fitting}) if fitting else asked


def _instead(request: Request, default: Answer | None) -> Answer:
    if default is not None and problem_of(request, default) is None:
        return default
    return declined(request)


def declined(request: Request) -> Answer:
    """What is said when nobody answers."""
    match request["method"]:
        case "elicitation/create":
            return {"action": "decline"}
        case "roots/list":
            return {"roots": []}
        case _:
            return {"error": {"code": REJECTED, "message": "nobody answered it in time"}}


def is_answer(value: Mapping[str, Any]) -> bool:
    """Whether it could answer a question of any kind."""
    samples: tuple[Request, ...] = tuple(
        {"method": method, "params": {}} for method in (ELICITATION, SAMPLING, ROOTS)
    )
    return any(problem_of(sample, value) is None for sample in samples)


def _elicited(params: Mapping[str, Any], answer: Mapping[str, Any]) -> str | None:
    action = answer.get("action")
    if action not in ACTIONS:
        return f"action should be one of {', '.join(ACTIONS)}"
    if action != "accept" or params.get("mode") == "url":
        return None
    content = answer.get("content", {})
    if not isinstance(content, Mapping):
        return "content should be an object"
    return _against(params.get("requestedSchema"), content)


def _against(schema: object, content: Mapping[str, Any]) -> str | None:
    if not isinstance(schema, Mapping):
        return None
    try:
        validator = compile_schema(schema)
    except ValueError:
        return None  # the backend's own schema is unusable: the backend judges the content
    return next(misfits(validator, dict(content), "(content)"), None)


def _rooted(answer: Mapping[str, Any]) -> str | None:
    roots = answer.get("roots")
    if not isinstance(roots, list):
        return "roots should be a list"
    if any(not isinstance(root, Mapping) or not isinstance(root.get("uri"), str) for root in roots):
        return "each root should have a uri"
    return None


def _lacking(answer: Mapping[str, Any], **wanted: type | tuple[type, ...]) -> str | None:
    for name, kind in wanted.items():
        if not isinstance(answer.get(name), kind):
            return f"{name} is missing, or of the wrong type"
    return None
