"""The router is killed while it replays: asked again, it makes no second job of any letter."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from longhaul.datafolder import running_router
from tests.support.desk import GATED, LONGHAUL, Desk
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(300)

LETTERS = 60
# Every run is a failed try, and the only one: replays die as well, and are letters of their own.
FAILS = {"b__work": {"repeatable": True, "retry": {"attempts": 1, "on_tool_error": True}}}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    backend = {"command": sys.executable, "args": [str(GATED)], "concurrency": 8}
    desk.configure({"b": backend}, tools=FAILS, drain="1s")
    return desk


@contextmanager
def router(desk: Desk) -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    with (desk.folder / "up.log").open("ab") as log:
        process = subprocess.Popen(
            (*LONGHAUL, "up", "--port", "0"),
            cwd=desk.folder,
            env=desk.environment,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: bool(serving(desk)), seconds=90, every=0.1)
        yield process, serving(desk)
    finally:
        process.kill()
        process.wait()


def serving(desk: Desk) -> str:
    """The address of the router that runs now, once it offers the backend's tools; else empty."""
    found = running_router(desk.folder / "data")
    if found is None or not found.address:
        return ""
    try:
        return found.address if get(found.address, "tools")["tools"] else ""
    except httpx2.HTTPError:
        return ""


def get(url: str, path: str, **query: Any) -> Any:
    return httpx2.get(f"{url}/v1/{path}", params=query, timeout=30).json()


def waiting(url: str) -> list[str]:
    letters = get(url, "dead-letters", limit=500)["letters"]
    return [letter["id"] for letter in letters]


def test_a_kill_in_the_middle_of_many_replays(desk: Desk) -> None:
    body = {"tool": "b__work", "arguments": {"log": str(desk.log), "then": "tool error"}}
    with router(desk) as (process, url):
        for _ in range(LETTERS):
            httpx2.post(f"{url}/v1/jobs", json=body, timeout=30).raise_for_status()
        wait_for(lambda: len(waiting(url)) == LETTERS, seconds=60)
        first = set(waiting(url))
        told: list[str] = []
        asking = [
            threading.Thread(target=replay_each, args=(url, sorted(first), told)) for _ in range(2)
        ]
        for each in asking:
            each.start()
        wait_for(lambda: len(told) >= LETTERS // 3, seconds=60, every=0.001)
        process.send_signal(signal.SIGKILL)
        for each in asking:
            each.join()
    with router(desk) as (_, url):
        left = first & set(waiting(url))
        for _ in range(2):
            assert replay(url, sorted(first)) == sorted(first)
        jobs = get(url, "jobs", limit=500)["jobs"]
        made = Counter(job["replay_of"] for job in jobs if job["replay_of"])
        assert {letter: made[letter] for letter in first} == dict.fromkeys(first, 1)
        assert not left & set(told)
        assert 0 < len(left) < LETTERS, "the kill came too early or too late to show anything"


def replay_each(url: str, letters: list[str], told: list[str]) -> None:
    """One after the other, until the router dies; `told` are those that it said it replayed."""
    for letter in letters:
        try:
            answer = httpx2.post(f"{url}/v1/dead-letters/{letter}/replay", timeout=30)
        except httpx2.TransportError:
            return
        assert answer.is_success, answer.text
        told.append(letter)


def replay(url: str, letters: list[str]) -> list[str]:
    """Those that are replayed now, by this or before; nothing when the router died on the way."""
    try:
        answer = httpx2.post(f"{url}/v1/dead-letters/replay", json={"ids": letters}, timeout=30)
    except httpx2.TransportError:
        return []
    return [each["id"] for each in answer.json()["letters"] if each["job"]]
