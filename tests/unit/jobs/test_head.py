"""The head as flat fields, and the call as bytes."""

from dataclasses import replace

import orjson
import pytest

from common.jobs.head import (
    RECORD_FORMAT,
    Spec,
    StoredCall,
    decode_call,
    decode_head,
    encode_call,
    encode_spec,
)
from common.jobs.state import TERMINAL, JobState
from tests.support.heads import SPEC, a_head


def test_flat_fields_may_be_text_or_numbers() -> None:
    fields: dict[str, str | int] = {
        "id": "j",
        "version": "12",
        "state": "running",
        "tool": "t",
        "queue": "q",
        "caller": "7",
        "spec": b'{"backend":"b","backend_tool":"t","tool_version":"v","priority":4}'.decode(),
        "handed_off": "1",
        "answered": 0,
        "deadline": "99",
        "owner": "w",
        "claims": 3,
    }
    head = decode_head(fields)
    assert (head.version, head.deadline, head.claims, head.caller) == (12, 99, 3, "7")
    assert (head.handed_off, head.answered) == (True, False)
    assert head.claim == ("w", 3)


def test_a_field_of_a_newer_format_is_passed_over() -> None:
    fields: dict[str, str | int] = {
        "id": "j",
        "version": 1,
        "state": "queued",
        "tool": "t",
        "queue": "q",
        "caller": "c",
        "spec": '{"backend":"b","backend_tool":"t","tool_version":"v","priority":4}',
        "format": 2,
        "weather": "fine",
    }
    assert decode_head(fields).format == 2


def test_a_newer_format_is_read_as_far_as_it_can_be() -> None:
    fields: dict[str, str | int] = {
        "id": "j",
        "version": 7,
        "format": RECORD_FORMAT + 1,
        "state": "resting",
        "tool": "t",
        "spec": '{"where":"elsewhere"}',
        "claims": "many",
    }
    head = decode_head(fields)
    assert (head.id, head.version, head.tool, head.state) == ("j", 7, "t", JobState.HELD)
    assert (head.newer, head.terminal) == (True, False)
    with pytest.raises(ValueError, match="resting"):
        decode_head(fields | {"format": RECORD_FORMAT})


@pytest.mark.parametrize("state", JobState)
def test_terminal_is_what_the_table_says(state: JobState) -> None:
    assert a_head(state).terminal == (state in TERMINAL)


def test_a_call_comes_back_as_it_was() -> None:
    call = StoredCall(
        arguments={"a": [1, None, {"ü": 1.5}]},
        meta={"progressToken": 7},
        client_capabilities={"elicitation": {}},
        log_level="debug",
    )
    assert decode_call(encode_call(call)) == call
    assert decode_call(encode_call(replace(call, arguments=None))).arguments is None


def test_what_a_newer_release_adds_to_a_call_is_left_out() -> None:
    assert decode_call(b'{"arguments": {"a": 1}, "weather": "fine"}').arguments == {"a": 1}


# What a spec means where it says nothing. Records are written without these, by every release: a
# default that changed would change jobs that were accepted before.
SPEC_DEFAULTS = {
    "attempts": 3,
    "retry_first_ms": 2_000,
    "retry_max_ms": 300_000,
    "retry_tool_errors": False,
    "queue_ms": 0,
    "idle_ms": 0,
    "run_ms": 0,
    "repeatable": False,
    "repeatable_from": "default",
    "keep": False,
    "answer_ms": 3_600_000,
}


def test_a_spec_says_only_what_is_not_so_by_itself() -> None:
    plain = Spec(backend="b", backend_tool="t", tool_version="v", priority=4)
    told = orjson.loads(encode_spec(plain))
    assert told == {"backend": "b", "backend_tool": "t", "tool_version": "v", "priority": 4}
    for name, value in SPEC_DEFAULTS.items():
        assert getattr(plain, name) == value, name


def test_a_spec_comes_back_as_it_was() -> None:
    odd = replace(SPEC, attempts=1, repeatable=True, default_answer={"ok": 1}, attach="a:b")
    fields: dict[str, str | int] = {"id": "j", "version": 1, "state": "queued"}
    fields |= {"tool": "t", "queue": "q", "caller": "c"}
    for spec in (SPEC, odd):
        assert decode_head({**fields, "spec": encode_spec(spec)}).spec == spec
