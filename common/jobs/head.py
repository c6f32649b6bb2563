"""The head of a record: the small part that decides everything, and the call that goes with it.

Times are milliseconds since the epoch by the store's clock; 0 is "never". A field that a commit may
change is a field of `Head`; what is frozen at submission is in its `Spec`.
"""

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from operator import attrgetter
from typing import Any, TypeVar

import orjson

from common.jobs.state import TERMINAL, JobState
from common.values import value_type
from common.wire import dump_json, load_json

RECORD_FORMAT = 2

_Kind = TypeVar("_Kind", "Spec", "StoredCall")


@value_type(frozen=True, slots=True, kw_only=True)
class Spec:
    """What was frozen when the job was accepted."""

    backend: str
    backend_tool: str  # the backend's own name for the tool
    tool_version: str  # digest of its definition
    priority: int
    attempts: int = 3  # tries in all
    retry_first_ms: int = 2_000
    retry_max_ms: int = 300_000
    retry_tool_errors: bool = False  # a try that ends with the tool's own error counts as failed
    queue_ms: int = 0  # waiting for a slot; 0: no such clock
    idle_ms: int = 0  # 0: no such clock
    run_ms: int = 0
    repeatable: bool = False
    repeatable_from: str = "default"  # operator | annotations | default
    affinity: str = ""  # calls of one key go to one replica; empty: those of one caller
    keep: bool = False  # on_disconnect: only an explicit cancel ends it
    request_id: str = ""  # of the request that submitted it, for the logs
    replay_of: str = ""
    answer_ms: int = 3_600_000  # how long its questions stay open
    default_answer: Mapping[str, Any] | None = None  # when nobody answers, where it fits
    arguments_blob: str = ""  # where the call's arguments are, when they are not with it
    outbox: bool = False  # its tool hands over files, where it can
    preview: int = -1  # bytes of a large result that its record keeps; -1: as many as of any
    attach: str = ""  # the unique key of identical calls; empty: none attaches to it
    callback: str = ""  # the URL that is told of its end


@value_type(frozen=True, slots=True, kw_only=True)
class Head:
    id: str
    version: int  # grows with every commit
    state: JobState
    tool: str  # as exposed
    queue: str
    caller: str
    spec: Spec
    window: str = ""  # whose part of the release window it takes; empty: nobody's
    format: int = RECORD_FORMAT
    generation: int = 1  # which token may start it
    confirmed: int = 0  # newest generation that the broker confirmed (noted)
    claims: int = 0  # the fence: grows with every claim
    tries: int = 0  # runs that count against the limit
    owner: str = ""  # lease of the worker that holds the claim
    backend_task: str = ""  # the backend's own task that the try goes on as, whoever follows it
    deaths: int = 0  # of workers that followed that task
    holder: str = ""  # lease of the ingress that holds its call, until an id is given out
    handed_off: bool = False  # its id was given out, or it goes on as if it was
    answered: bool = False  # its result went out on the call's own response (noted)
    leg: int = 0  # how often its caller was sent back to come again, and came
    let_go_at: int = 0  # since when an identical call may attach: no client is known to have it
    collected: bool = False  # its result, or a task of it, is in its caller's hands (noted)
    still_running: bool = False  # cancelled, but the tool has not let go
    created_at: int = 0
    started_at: int = 0  # of the newest claim
    finished_at: int = 0
    lost_at: int = 0
    run_at: int = 0  # the time it was scheduled for; 0: at once
    not_before: int = 0
    queue_deadline: int = 0
    queue_left: int = 0  # of the queue clock, when it was handed back last
    queued_at: int = 0  # when that was
    hand_backs: int = 0  # in a row: claims that never reached the tool
    deadline: int = 0
    cancel_at: int = 0  # nobody waits for it any more: cancelled then
    answer_by: int = 0  # until when the open question is
    checks: int = 0  # times the reconciler published it again
    published_at: int = 0  # newest publication
    tool_error: bool = False
    files: int = 0  # that its tool handed over beside the result
    result_blob: str = ""  # where the whole result is, when the record keeps a preview
    replayed_as: str = ""  # the job that an operator made of it after it was a dead letter
    reason: str = ""  # of the newest transition, one sentence
    progress: str = ""  # JSON [value, total, message] (noted)
    progress_at: int = 0
    checkpoint_at: int = 0  # when the newest was stored (noted)
    checkpoint_bytes: int = 0  # of it, beside the record; 0: there is none
    callback: str = ""  # how the message to its callback stands; empty: none is owed yet
    callback_at: int = 0  # when it is sent next, while it is owed
    callback_tries: int = 0
    callback_error: str = ""  # of the newest try that failed
    callback_delivered_at: int = 0
    forget_at: int = 0  # end of its retention, when a callback may keep it for longer
    batch: str = ""  # whose row it is; a batch's own id: it is the batch itself
    share: str = ""  # as what a row counts among its batch's; see common.jobs.rows
    cursor: str = ""  # of a batch: the next row, and where in its rows that begins
    rerun_before: int = 0  # of a batch: rows that failed before then are run again
    rerun_lost_before: int = 0
    watchers: str = ""  # who hears of changes (noted); see common.jobs.change
    commits: str = ""  # ids of the newest commits

    @property
    def newer(self) -> bool:
        """A newer release wrote it in its own format: nobody here may change it."""
        return self.format > RECORD_FORMAT

    @property
    def came_at(self) -> int:
        """Since when it could have run."""
        return max(self.created_at, self.run_at)

    @property
    def terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def is_batch(self) -> bool:
        return bool(self.batch) and self.batch == self.id

    @property
    def has_blobs(self) -> bool:
        return bool(self.result_blob or self.spec.arguments_blob or self.files or self.is_batch)

    @property
    def claim(self) -> tuple[str, int]:
        """Who may settle the running job: the owner's lease and the fence."""
        return self.owner, self.claims


@value_type(frozen=True, slots=True, kw_only=True)
class StoredCall:
    """What a worker needs to run the tool; stored apart from the head."""

    arguments: Mapping[str, Any] | None
    meta: Mapping[str, Any] = field(default_factory=dict)
    client_capabilities: Mapping[str, Any] = field(default_factory=dict)
    log_level: str | None = None


Stored = Mapping[str, str | int] | Mapping[bytes, bytes]
"""The fields of a head as a store has them."""


def decode_head(encoded: Stored) -> Head:
    """Of a format newer than ours, what can be read: such a record is shown and left alone.

    Every format keeps `id`, `version` and `format` as they are.
    """
    newer = is_newer(encoded)
    values: dict[str, Any] = dict(_UNREADABLE) if newer else {}
    for key, stored in encoded.items():
        field_of_head = _FIELDS.get(key)
        if field_of_head is not None:
            name, decode = field_of_head
            try:
                values[name] = decode(stored)
            except (ValueError, TypeError):
                if not newer:
                    raise
    return Head(**values)


def is_newer(encoded: Mapping[Any, str | int | bytes]) -> bool:
    """Whether a newer release wrote it, in a way that this one may not go on with."""
    return int(encoded.get("format") or encoded.get(b"format", RECORD_FORMAT)) > RECORD_FORMAT


def _decode_flag(stored: str | int | bytes) -> bool:
    return int(stored) == 1


def _decode_state(stored: bytes) -> JobState:
    return JobState(stored.decode())


def encode_spec(spec: Spec) -> str:
    """Without what has its default: every record carries one. So a default never changes."""
    said = zip(_SPEC.items(), _said_by(spec), strict=True)
    told = {name: value for (name, default), value in said if value != default}
    return orjson.dumps(told).decode()


def _decode_spec(raw: str | bytes) -> Spec:
    return _made(Spec, orjson.loads(raw))


def encode_call(call: StoredCall) -> bytes:
    return dump_json({name: getattr(call, name) for name in _CALL})


def decode_call(raw: bytes) -> StoredCall:
    return _made(StoredCall, load_json(raw))


def _made(kind: type[_Kind], said: Mapping[str, Any]) -> _Kind:
    """What a newer Longhaul adds is left out: the record's format says whether that matters."""
    try:
        return kind(**said)
    except TypeError:
        known = {each.name for each in fields(kind)}
        return kind(**{name: value for name, value in said.items() if name in known})


_SPEC = {each.name: each.default for each in fields(Spec)}
_said_by = attrgetter(*_SPEC)
_CALL = tuple(each.name for each in fields(StoredCall))
_Decode = Callable[[Any], object]
_FROM_TEXT: Mapping[object, _Decode] = {
    str: str,
    int: int,
    bool: _decode_flag,
    JobState: JobState,
    Spec: _decode_spec,
}
_FROM_BYTES = {**_FROM_TEXT, str: bytes.decode, JobState: _decode_state}
_FIELDS: dict[str | bytes, tuple[str, _Decode]] = {
    **{each.name: (each.name, _FROM_TEXT[each.type]) for each in fields(Head)},
    **{each.name.encode(): (each.name, _FROM_BYTES[each.type]) for each in fields(Head)},
}
# What a record of a newer format is shown as where its own words are not ours: nobody moves it.
_UNREADABLE: Mapping[str, object] = {
    "state": JobState.HELD,
    "tool": "",
    "queue": "",
    "caller": "",
    "spec": Spec(backend="", backend_tool="", tool_version="", priority=0),
}
