"""What became of each try, read from a job's events."""

from typing import Any

import pytest

from common.store.base import Event
from ingress.operations.letters import likeness
from ingress.operations.tries import Try, tries_of

ERROR = {"code": -1, "message": "no"}


def events(*told: tuple[str, dict[str, Any]]) -> list[Event]:
    return [
        Event(number=number, at=number * 10, name=name, facts=facts)
        for number, (name, facts) in enumerate(told, start=1)
    ]


def claimed(worker: str) -> tuple[str, dict[str, Any]]:
    return "claimed", {"worker": worker}


def test_each_claim_is_a_run_with_its_worker_and_its_end() -> None:
    told = events(
        ("submitted", {}),
        claimed("w1"),
        ("handed_back", {"reason": "nobody listens"}),
        ("parked", {"delay_ms": 1}),
        claimed("w2"),
        ("retried", {"error": ERROR, "try": 1}),
        claimed("w1"),
        ("rescued", {"reason": "its worker died"}),
        claimed("w3"),
        ("checked", {}),
        ("dead", {"reason": "gone", "try": 3}),
        ("replayed", {"replayed_as": "x"}),
    )
    found = tries_of(told, {"code": 7, "message": "gone"})
    assert [(each.worker, each.ended, each.why) for each in found] == [
        ("w1", "handed_back", "nobody listens"),
        ("w2", "retried", "no"),
        ("w1", "rescued", "its worker died"),
        ("w3", "dead", "gone"),
    ]
    assert [each.error for each in found] == [None, ERROR, None, {"code": 7, "message": "gone"}]
    assert (found[1].started_at, found[1].ended_at) == (50, 60)


def test_a_question_ends_a_run_unless_its_call_goes_on() -> None:
    """One over its own connection is answered and ends later; any other is claimed again."""
    nothing: dict[str, Any] = {}
    asked, answered = ("asked", nothing), ("answered", nothing)
    owned = tries_of(events(claimed("w1"), asked, answered, ("lost", {"reason": "it died"})))
    assert [(each.worker, each.ended) for each in owned] == [("w1", "lost")]
    free = tries_of(events(claimed("w1"), asked, answered, claimed("w2"), ("dead", {})))
    assert [(each.worker, each.ended) for each in free] == [("w1", "asked"), ("w2", "dead")]


def test_what_is_not_kept_any_more_is_not_made_up() -> None:
    assert tries_of(events(("retried", {"error": ERROR}), claimed("w1"))) == [
        Try(worker="w1", started_at=20)
    ]
    assert tries_of([]) == []


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("row 17 of 200 failed", "row 3 of 9,000.5 failed", True),
        ("at 0x7fE3 (job 0a1b2c3d4e)", "at 0x11 (job ffffffff01)", True),
        (
            "id 7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "id 00000000-0000-0000-0000-000000000000",
            True,
        ),
        ("disk full", "disk gone", False),
        ("deadbeat tool", "facade tool", False),
    ],
)
def test_errors_that_differ_in_numbers_and_ids_are_alike(
    *, one: str, other: str, alike: bool
) -> None:
    assert (likeness(one) == likeness(other)) is alike
