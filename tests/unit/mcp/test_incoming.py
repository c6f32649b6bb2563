"""What a call says to Longhaul is understood or refused, and does not reach the backend."""

import math
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from common.config.model import Answering, ClientRule
from common.jobs.change import Now
from ingress.mcp.incoming import IncomingCall, levels_from, read_call, wait_for

NOW = 1_700_000_000.0


def call(meta: dict[str, Any], header: str | None = None) -> IncomingCall:
    return read_call({"name": "t", "arguments": {"a": 1}, "_meta": meta}, header, NOW)


def test_only_the_callers_own_meta_goes_on() -> None:
    read = call(
        {
            "progressToken": 7,
            "longhaul/priority": 9,
            "longhaul/new": True,
            "io.modelcontextprotocol/clientCapabilities": {},
            "traceparent": "00-1-2-01",
            "acme.com/tenant": {"id": 4},
        }
    )
    assert read.meta == {"traceparent": "00-1-2-01", "acme.com/tenant": {"id": 4}}
    assert read.priority == 9
    assert read.wants_progress


def test_a_bare_call_says_nothing() -> None:
    read = read_call({"name": "t"}, None, NOW)
    assert read == IncomingCall(tool="t", arguments=None)


@pytest.mark.parametrize("priority", [-1, 10, "5", True, 4.0, []])
def test_a_priority_that_makes_no_sense_is_refused(priority: object) -> None:
    with pytest.raises(MCPError, match="whole number from 0 to 9") as refusal:
        call({"longhaul/priority": priority})
    assert refusal.value.code == -32602


@pytest.mark.parametrize("key", ["", "two words", "k" * 256, 7, True, ["k"]])
def test_a_key_that_makes_no_sense_is_refused(key: object) -> None:
    assert call({"longhaul/idempotency-key": "k-1"}).key == "k-1"
    with pytest.raises(MCPError, match="1 to 255 visible ASCII characters") as refusal:
        call({"longhaul/idempotency-key": key})
    assert refusal.value.code == -32602


@pytest.mark.parametrize("wait", [-1, "soon", True, math.nan, math.inf, {}])
def test_a_wait_that_makes_no_sense_is_refused(wait: object) -> None:
    with pytest.raises(MCPError, match="seconds, or 'forever'") as refusal:
        call({"longhaul/wait": wait})
    assert refusal.value.code == -32602


def test_a_schedule_is_read_and_goes_no_further() -> None:
    read = call({"longhaul/delay": "10m"})
    assert (read.run_at, read.meta) == (Now(600_000), {})
    assert call({"longhaul/run_at": "2000-01-01T00:00:00Z"}).run_at is None
    with pytest.raises(MCPError, match=r"_meta\['longhaul/run_at'\] should be a time") as refusal:
        call({"longhaul/run_at": "tomorrow"})
    assert refusal.value.code == -32602


@pytest.mark.parametrize("header", ["", "soon", "-1", "nan", "inf"])
def test_nor_does_the_header(header: str) -> None:
    with pytest.raises(MCPError, match="x-longhaul-wait"):
        call({}, header)


ANSWERING = Answering(call_wait=50.0, progress_wait=None)
RULES = {
    "patient*": ClientRule(call_wait=300.0, progress_wait="forever"),
    "*": ClientRule(progress_wait=70.0),
}


@pytest.mark.parametrize(
    ("meta", "header", "client", "wait"),
    [
        ({}, None, None, 50.0),
        ({"progressToken": 1}, None, None, 50.0),
        ({}, None, "patient-ide", 300.0),
        ({"progressToken": 1}, None, "patient-ide", math.inf),
        ({"progressToken": 1}, None, "other", 70.0),
        ({}, None, "other", 50.0),
        ({"longhaul/wait": 3}, "9", "patient-ide", 3.0),
        ({}, "9", "patient-ide", 9.0),
        ({"longhaul/wait": "forever"}, None, "other", math.inf),
        ({}, "forever", "other", math.inf),
        ({"longhaul/wait": 0}, None, "other", 0.0),
    ],
)
def test_the_call_decides_then_the_client_then_the_default(
    meta: dict[str, Any], header: str | None, client: str | None, wait: float
) -> None:
    assert wait_for(call(meta, header), client, ANSWERING, RULES) == wait


def test_with_progress_a_caller_may_be_held_longer() -> None:
    answering = Answering(call_wait=50.0, progress_wait=600.0)
    assert wait_for(call({"progressToken": "x"}), None, answering, {}) == 600.0
    assert wait_for(call({}), None, answering, {}) == 50.0


def test_levels_are_the_asked_one_and_above() -> None:
    assert levels_from("error") == {"error", "critical", "alert", "emergency"}
    assert levels_from("debug") >= {"debug", "info"}
    assert levels_from(None) == levels_from("loud") == frozenset()


def test_affinity_is_a_short_text() -> None:
    assert call({"longhaul/affinity": "cart 7"}).affinity == "cart 7"
    assert call({}).affinity == ""
    for odd in ("", 7, "x" * 256):
        with pytest.raises(MCPError, match="longhaul/affinity"):
            call({"longhaul/affinity": odd})
