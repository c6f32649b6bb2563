"""A `tools/call` as it came: what of it is ours, and what goes on to the backend. Pure."""

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, get_args

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.config.model import Answering, ClientRule
from common.jobs.held import RunAt
from common.jobs.idempotency import KEY_RULE, is_key
from common.values import value_type
from ingress.operations.schedule import read_schedule

PRIORITY = "longhaul/priority"
WAIT = "longhaul/wait"
NEW = "longhaul/new"
PREVIEW = "longhaul/preview"
KEY = "longhaul/idempotency-key"
CALLBACK = "longhaul/callback"
AFFINITY = "longhaul/affinity"
RUN_AT = "longhaul/run_at"
DELAY = "longhaul/delay"
WAIT_HEADER = b"x-longhaul-wait"
LONGEST_AFFINITY = 255  # characters
LEVELS: tuple[str, ...] = get_args(types.LoggingLevel)  # by severity, the least first

_OURS = ("longhaul/", "io.modelcontextprotocol/")
_FOREVER = "forever"


@value_type(frozen=True, slots=True, kw_only=True)
class IncomingCall:
    tool: str
    arguments: Mapping[str, Any] | None
    meta: Mapping[str, Any] = field(default_factory=dict)  # to pass on
    priority: int | None = None
    wait: float | None = None  # seconds; None: not said
    preview: int | None = None  # bytes of a large result; None: not said
    wants_progress: bool = False
    fresh: bool = False  # it wants a job of its own
    key: str = ""  # with which it may be repeated
    callback: str = ""  # the URL that is told of its end
    affinity: str = ""  # which calls share a replica
    run_at: RunAt | None = None  # None: at once
    as_task: bool = False  # it has the `task` of 2025-11-25
    answers: Mapping[str, Any] | None = None  # to the tool's questions, by the keys it was shown
    state: str | None = None  # the `requestState` that it was given with them


def read_call(params: Mapping[str, Any], wait_header: str | None, now: float) -> IncomingCall:
    """`params` have the shape that the protocol gives them; `now` is in seconds since the epoch.

    Raises:
        MCPError: What the caller said to Longhaul makes no sense (-32602).
    """
    raw = params.get("_meta")
    meta = raw if isinstance(raw, dict) else {}
    return IncomingCall(
        tool=params["name"],
        arguments=params.get("arguments"),
        meta={
            key: value
            for key, value in meta.items()
            if key != "progressToken" and not key.startswith(_OURS)
        },
        priority=_priority(meta.get(PRIORITY)),
        wait=_wait(meta.get(WAIT), wait_header),
        preview=_preview(meta.get(PREVIEW)),
        wants_progress=_is_token(meta.get("progressToken")),
        fresh=_flag(meta.get(NEW)),
        key=_key(meta.get(KEY)),
        callback=_callback(meta.get(CALLBACK)),
        affinity=_affinity(meta.get(AFFINITY)),
        run_at=_schedule(meta, now),
        as_task=isinstance(params.get("task"), dict),
        answers=_answers(params),
        state=_state(params.get("requestState")),
    )


def levels_from(least: str | None) -> frozenset[str]:
    """The log levels a caller asked for; none when it did not ask."""
    if least not in LEVELS:
        return frozenset()
    return frozenset(LEVELS[LEVELS.index(least) :])


def wait_for(
    call: IncomingCall, client: str | None, answering: Answering, rules: Mapping[str, ClientRule]
) -> float:
    """How many seconds this caller is held: by the call, else the client's rule, else the default.

    The rules are patterns for the client's name, in file order; the first that says it counts.
    """
    if call.wait is not None:
        return call.wait
    found: float | str | None = None
    if client is not None and rules:
        found = _rule(client, rules, progress=call.wants_progress)
    if found is None and call.wants_progress:
        found = answering.progress_wait
    if found is None:
        found = answering.call_wait
    return math.inf if isinstance(found, str) else found


def _rule(
    client: str, rules: Mapping[str, ClientRule], *, progress: bool
) -> float | Literal["forever"] | None:
    for pattern, rule in rules.items():
        if fnmatch.fnmatchcase(client, pattern):
            said = rule.call_wait
            if progress and rule.progress_wait is not None:
                said = rule.progress_wait
            if said is not None:
                return said
    return None


def preview_for(
    call: IncomingCall, client: str | None, rules: Mapping[str, ClientRule]
) -> int | None:
    """Bytes of a large result that this caller takes: by the call, else the client's rule."""
    if call.preview is not None or client is None or not rules:
        return call.preview
    said = (rule.preview for name, rule in rules.items() if fnmatch.fnmatchcase(client, name))
    return next((size for size in said if size is not None), None)


def _priority(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 9:
        return value
    raise _invalid(f"_meta[{PRIORITY!r}] should be a whole number from 0 to 9")


def _preview(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise _invalid(f"_meta[{PREVIEW!r}] should be bytes, a whole number from 0")


def _answers(params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    answers = params.get("inputResponses")
    if "inputResponses" in params and not isinstance(answers, dict):
        raise _invalid("inputResponses should be an object")
    return answers


def _state(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _invalid("requestState should be a string")


def _flag(value: object) -> bool:
    if value is None or isinstance(value, bool):
        return value is True
    raise _invalid(f"_meta[{NEW!r}] should be true or false")


def _key(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and is_key(value):
        return value
    raise _invalid(f"_meta[{KEY!r}] should be {KEY_RULE}")


def _callback(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dict) and set(value) == {"url"}:
        url = value["url"]
        if isinstance(url, str) and url:
            return url
    raise _invalid(f"_meta[{CALLBACK!r}] should be an object with a url")


def _affinity(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and 0 < len(value) <= LONGEST_AFFINITY:
        return value
    raise _invalid(f"_meta[{AFFINITY!r}] should be a text of 1 to {LONGEST_AFFINITY} characters")


def _schedule(meta: Mapping[str, Any], now: float) -> RunAt | None:
    if RUN_AT not in meta and DELAY not in meta:
        return None
    said = {f"_meta[{name!r}]": meta.get(name) for name in (RUN_AT, DELAY)}
    try:
        return read_schedule(said, now)
    except ValueError as error:
        raise _invalid(str(error)) from error


def _wait(value: object, header: str | None) -> float | None:
    if value is not None:
        said, where = value, f"_meta[{WAIT!r}]"
    elif header is not None:
        said, where = _number(header), "the header x-longhaul-wait"
    else:
        return None
    if said == _FOREVER:
        return math.inf
    if isinstance(said, int | float) and not isinstance(said, bool) and 0 <= said < math.inf:
        return float(said)
    raise _invalid(f"{where} should be seconds, or {_FOREVER!r}")


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _is_token(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _invalid(message: str) -> MCPError:
    return MCPError(types.INVALID_PARAMS, message)
