"""Questions that a tool asks while its job is under way, in rounds. Pure values.

A round is a part of the record. The keys of its questions are unique over the job's life, so that
an answer to an earlier one can never be taken for an answer to a later one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from common.wire import dump_json, load_json

QUESTIONS = "questions"  # the part's name
ELICITATION = "elicitation/create"
SAMPLING = "sampling/createMessage"
ROOTS = "roots/list"
KINDS = frozenset({ELICITATION, SAMPLING, ROOTS})

Request = Mapping[str, Any]  # {"method", "params"}
Answer = Mapping[str, Any]  # a result of that method, or {"error": {"code", "message"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a tool asked at one time, and what was answered so far."""

    number: int  # from 1
    requests: Mapping[str, Request]  # by the key that is shown: see `shown_key`
    request_state: str | None = None  # the backend's, returned to it byte for byte
    answers: Mapping[str, Answer] = field(default_factory=dict)
    asked_at: int = 0  # ms
    operator: tuple[str, ...] = ()  # keys that the caller is never asked: it declared no such kind
    held: bool = False  # asked over a connection that waits for the reply: nothing is called again
    task: str = ""  # asked by this task of the backend: it goes on, nothing is called again
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of earlier rounds, by the backend's key: {"request", "answer"}."""

    @property
    def complete(self) -> bool:
        return self.requests.keys() <= self.answers.keys()


def next_round(
    before: Round | None,
    requests: Mapping[str, Request],
    *,
    state: str | None,
    capabilities: Mapping[str, Any],
    now: int,
    held: bool = False,
    task: str = "",
) -> Round:
    """A new round; `requests` are by the backend's keys, `capabilities` the caller's.

    What was known before a task began says nothing about the keys of its questions.
    """
    number = 1 if before is None else before.number + 1
    shown = {shown_key(number, key): request for key, request in requests.items()}
    return Round(
        number=number,
        requests=shown,
        request_state=state,
        asked_at=now,
        operator=tuple(key for key, each in shown.items() if not declares(capabilities, each)),
        held=held,
        task=task,
        known={} if before is None or before.task != task else all_known(before),
    )


def shown_key(number: int, backend_key: str) -> str:
    return f"{number}.{backend_key}"


def backend_key(key: str) -> str:
    return key.partition(".")[2]


def open_requests(asked: Round, *, operator: bool = False) -> dict[str, Request]:
    """What is not answered yet, by the keys shown: the caller's questions, or an operator's.

    An operator may answer all of them; the caller only kinds that it has declared.
    """
    return {
        key: request
        for key, request in asked.requests.items()
        if key not in asked.answers and (operator or key not in asked.operator)
    }


def merge_answers(asked: Round, answers: Mapping[str, Answer], *, operator: bool = False) -> Round:
    """The round with these answers; unknown keys and what is answered already are passed over."""
    wanted = open_requests(asked, operator=operator)
    new = {key: answer for key, answer in answers.items() if key in wanted}
    return replace(asked, answers={**asked.answers, **new}) if new else asked


def responses(asked: Round) -> dict[str, Answer]:
    """The answers as the backend wants them: by its own keys."""
    return {backend_key(key): answer for key, answer in asked.answers.items()}


def all_known(asked: Round) -> dict[str, Mapping[str, Any]]:
    """Every question answered so far, by the backend's key; the newest of a key counts."""
    new = {
        backend_key(key): {"request": asked.requests[key], "answer": answer}
        for key, answer in asked.answers.items()
    }
    return {**asked.known, **new}


def answered_before(asked: Round, spare: Mapping[str, Mapping[str, Any]]) -> Round:
    """The round with the answers that its very questions had before: the tool began anew."""
    same = {
        key: spare[backend_key(key)]["answer"]
        for key, request in asked.requests.items()
        if spare.get(backend_key(key), {}).get("request") == request
    }
    return merge_answers(asked, same, operator=True)


def declares(capabilities: Mapping[str, Any], request: Request) -> bool:
    """Whether a caller with these capabilities can be asked this."""
    params = request.get("params") or {}
    match request["method"]:
        case "elicitation/create":
            modes = capabilities.get("elicitation")
            if not isinstance(modes, Mapping):
                return False
            # Before 2025-11-25 forms were all there was, and nothing was said about modes.
            return "url" in modes if params.get("mode") == "url" else "form" in modes or not modes
        case "sampling/createMessage":
            said = capabilities.get("sampling")
            tools = "tools" in params or "toolChoice" in params
            return isinstance(said, Mapping) and (not tools or "tools" in said)
        case _:
            return isinstance(capabilities.get("roots"), Mapping)


def encode_round(asked: Round) -> bytes:
    return dump_json({name: getattr(asked, name) for name in _NAMES})


def decode_round(raw: bytes) -> Round:
    """What a newer Longhaul adds is left out."""
    body = {name: value for name, value in load_json(raw).items() if name in _NAMES}
    return Round(**{**body, "operator": tuple(body.get("operator", ()))})


_NAMES = tuple(each.name for each in fields(Round))
