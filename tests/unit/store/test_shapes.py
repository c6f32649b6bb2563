"""Changes of one shape share a script, and what a caller wrote never stands in one."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from common.jobs.change import Change, Due, Move, OneOf
from common.jobs.endings import RetentionMs, complete
from common.jobs.head import Head, Spec, StoredCall
from common.jobs.held import room
from common.jobs.state import JobState
from common.jobs.transitions import Submission, claim, submit
from common.store.base import Timings
from common.store.redis.scripts import FLAGS, Scripts
from common.store.redis.shape import shape_of

ODD = "a']]..redis.call('FLUSHALL')..[[\n{state}"
RETENTION = RetentionMs(answered=1, completed=2, failed=3, dead=4)


def submission(name: str) -> Change:
    made = Submission(
        tool=name,
        queue=name,
        caller=name,
        spec=Spec(backend=name, backend_tool=name, tool_version=name, priority=len(name) % 10),
        call=StoredCall(arguments={name: name}, meta={}, client_capabilities={}),
        holder=name,
        watcher=name,
    )
    return submit(made, len(name), room(name, name, name, 4, len(name)))


def completion(name: str) -> Change:
    spec = Spec(backend=name, backend_tool=name, tool_version=name, priority=4)
    head = Head(
        id=name,
        version=1,
        state=JobState.RUNNING,
        tool=name,
        queue=name,
        caller=name,
        spec=spec,
        created_at=1,
        owner=name,
    )
    return complete(head, name.encode(), RETENTION, tool_error=False)


@pytest.mark.parametrize("change", [submission, claim, completion])
def test_what_a_call_brings_along_is_never_part_of_a_script(
    change: Callable[[str], Change],
) -> None:
    scripts = Scripts(Timings())
    plain, _ = shape_of(change("plain"), creates=change is submission)
    odd, words = shape_of(change(ODD), creates=change is submission)
    assert scripts.committing(plain) is scripts.committing(odd)
    assert "FLUSHALL" not in scripts.committing(odd).text
    assert any("FLUSHALL" in str(word) for word in words)


def test_another_shape_is_another_script() -> None:
    scripts = Scripts(Timings())
    change = claim("worker")
    told, _ = shape_of(change, creates=False)
    untold, _ = shape_of(replace(change, returning=()), creates=False)
    assert scripts.committing(told).sha != scripts.committing(untold).sha


def test_only_a_creation_may_be_refused_for_want_of_memory() -> None:
    scripts = Scripts(Timings())
    creation, _ = shape_of(submission("echo"), creates=True)
    end, _ = shape_of(completion("echo"), creates=False)
    assert not scripts.committing(creation).text.startswith(FLAGS)
    assert scripts.committing(end).text.startswith(FLAGS)


@pytest.mark.parametrize(
    "change",
    [
        Change(name="odd", fields={ODD: "1"}, due=Due()),
        Change(name="odd", fields={}, due=Due(fields=(ODD,))),
        Change(name="odd", fields={}, due=Due(), guards=(OneOf(ODD, ("queued",)),)),
        Change(name="odd", fields={}, due=Due(), moves=(Move(ODD, None, of_head=True),)),
        Change(name="odd", fields={}, due=Due(), parts={ODD: b""}),
        Change(name=ODD, fields={}, due=Due()),
    ],
)
def test_a_name_that_redis_would_run_is_refused(change: Change) -> None:
    shape, _ = shape_of(change, creates=False)
    with pytest.raises(ValueError, match="not the name"):
        Scripts(Timings()).committing(shape)
