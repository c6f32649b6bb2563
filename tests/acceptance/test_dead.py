"""`longhaul dead` as an operator uses it: what died, of what, once more or never."""

import sys
from collections.abc import Iterator

import pytest

from tests.support.desk import GATED, Desk
from tests.support.waiting import wait_for


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    again = {"repeatable": True, "retry": {"attempts": 2, "first": "0s", "max": "0s"}}
    desk.configure(
        {"b": {"command": sys.executable, "args": [str(GATED)]}}, tools={"b__safe": again}
    )
    return desk


@pytest.fixture(scope="module", autouse=True)
def router(desk: Desk) -> Iterator[str]:
    with desk.router() as address:
        yield address


def ended(desk: Desk, tool: str, then: str) -> str:
    job = desk.run("submit", tool, "--json", desk.work(then=then)).out.strip()
    shown = ("jobs", "show", job, "--json")
    ends = {"dead", "lost", "completed"}
    wait_for(lambda: desk.run(*shown).json["state"] in ends, seconds=30)
    return job


def letters(desk: Desk, *words: str) -> list[str]:
    return [
        each["id"] for each in desk.run("dead", "ls", "--each", "--json", *words).json["letters"]
    ]


def test_a_dead_letter_is_found_understood_and_replayed(desk: Desk) -> None:
    job = ended(desk, "b__safe", "crash")
    (group,) = desk.run("dead", "ls", "--tool", "b__safe", "--json").json["groups"]
    assert (group["kind"], group["count"], group["letters"]) == ("dead", 1, [job])
    assert "b__safe" in desk.run("dead", "ls").out
    card = desk.run("dead", "show", job).out
    for words in ("2 of 2; may run again", "the configuration says so", "retried", "worker-", job):
        assert words in card, card
    assert "the configuration says so" in desk.run("jobs", "show", job).out
    dry = desk.run("dead", "replay", job, "--dry-run")
    assert (dry.code, letters(desk, "--tool", "b__safe")) == (0, [job])
    edited = desk.run("dead", "replay", job, "-a", "then=answer", "--json")
    assert edited.code == 0
    replay = edited.json["letters"][0]["job"]
    assert desk.run("jobs", "wait", replay).code == 0
    assert desk.run("jobs", "show", replay, "--json").json["replay_of"] == job
    assert letters(desk, "--tool", "b__safe") == []
    assert letters(desk, "--replayed") == [job]
    again = desk.run("dead", "replay", job)
    assert again.code == 0
    assert replay in again.out
    assert "had been replayed already" in again.out


def test_a_lost_job_needs_a_word(desk: Desk) -> None:
    job = ended(desk, "b__work", "crash")
    refused = desk.run("dead", "replay", job)
    assert (refused.code, "may have run" in refused.out) == (2, True)
    assert letters(desk, "--state", "lost") == [job]
    assert desk.run("dead", "replay", "--all", "--error", "outcome unknown", "--json").code == 0
    assert letters(desk, "--state", "lost") == [job]
    assert desk.run("dead", "replay", "--all", "--error", "OUTCOME", "--lost").code == 0
    assert job not in letters(desk)


def test_dropping_needs_ids_or_all(desk: Desk) -> None:
    job = ended(desk, "b__safe", "crash")
    for words in ((), (job, "--all"), (job, "--tool", "b__safe")):
        assert desk.run("dead", "drop", *words).code == 2
        assert desk.run("dead", "replay", *words).code == 2
    assert desk.run("dead", "drop", "--all", "--tool", "b__safe", "--dry-run").code == 0
    assert letters(desk, "--tool", "b__safe") == [job]
    assert desk.run("dead", "drop", "--all", "--until", "1h", "--json").json["letters"] == []
    assert desk.run("dead", "drop", job).code == 0
    assert letters(desk, "--tool", "b__safe") == []
    for verb in ("show", "drop", "replay"):
        assert desk.run("dead", verb, job).code == 4
