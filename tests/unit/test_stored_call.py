"""What goes into the store beside a head comes out as it was."""

import orjson

from common.jobs.endings import RESULT, RetentionMs, fail
from common.jobs.head import Head, Spec, StoredCall, decode_call, encode_call
from common.jobs.state import JobState
from common.wire import load_json

HEAD = Head(
    id="j",
    version=3,
    state=JobState.RUNNING,
    tool="b__t",
    queue="b",
    caller="somebody",
    spec=Spec(backend="b", backend_tool="t", tool_version="v", priority=4),
)
RETENTION = RetentionMs(answered=1, completed=2, failed=3, dead=4)


def test_a_call_keeps_whole_numbers_beyond_64_bits() -> None:
    call = StoredCall(
        arguments={"n": 2**70 + 1, "f": 1.5}, meta={"m": -(2**65) - 1}, log_level="info"
    )
    assert decode_call(encode_call(call)) == call


def test_an_errors_data_may_be_anything() -> None:
    error = {"code": -1, "message": "no", "data": {"n": 2**70 + 1}}
    stored = fail(HEAD, error, RETENTION).parts[RESULT]
    assert load_json(stored) == error
    assert orjson.loads(stored)["code"] == -1
