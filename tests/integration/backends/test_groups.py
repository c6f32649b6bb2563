"""What is left of replicas when their worker is gone, and how it is found and ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.backends.pools import OWNER
from tests.support.waiting import wait_for
from workers.backends.groups import Group, kill_groups, owners, records_folder
from workers.backends.launcher import MARKER, start_time

ROOT = Path(__file__).parents[3]


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def killed_worker(tmp_path: Path) -> tuple[int, int]:
    """The pids of the replica and its child, left by a worker that was killed with -9."""
    command = [sys.executable, "-m", "tests.support.backends.worker", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        pids = ""
        while not pids.replace(" ", "").strip().isdigit():
            pids = worker.stdout.readline()
        worker.kill()
    replica, child = map(int, pids.split())
    return replica, child


def test_a_replica_dies_with_its_worker_and_its_group_is_killed(
    tmp_path: Path, killed_worker: tuple[int, int]
) -> None:
    """The kernel ends the process itself; what that process started is ended by its record."""
    replica, child = killed_worker
    if sys.platform == "linux":
        wait_for(lambda: not alive(replica))
    assert alive(child)
    assert owners(tmp_path) == (OWNER,)
    assert kill_groups(tmp_path, OWNER) == 1
    wait_for(lambda: not alive(child))
    assert owners(tmp_path) == ()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process group that is none of ours, on a number that a record names."""
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as process:
        yield process
        process.kill()


def recorded(tmp_path: Path, pid: int, started: str | None) -> Path:
    folder = records_folder(tmp_path, OWNER)
    folder.mkdir(parents=True)
    record = folder / "one.json"
    record.write_text(json.dumps({"pid": pid, "started": started, "token": "t"}))
    return record


def test_a_number_that_is_used_again_is_nobodys_to_kill(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    record = recorded(tmp_path, stranger.pid, "another boot 12345")
    kill_groups(tmp_path, OWNER)
    assert stranger.poll() is None
    assert not record.exists()


def test_the_leader_is_known_by_its_start(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    recorded(tmp_path, stranger.pid, start_time(stranger.pid))
    kill_groups(tmp_path, OWNER)
    assert stranger.wait(5) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="no other system shows environments")
def test_what_the_leader_left_is_known_by_its_environment() -> None:
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!"],
        stdout=subprocess.PIPE,
        env={**os.environ, MARKER: "t"},
        start_new_session=True,
    ) as leader:
        assert leader.stdout is not None
        left = int(leader.stdout.readline())
    assert list(Group(pid=leader.pid, started="gone", token="another").left_behind()) == []
    group = Group(pid=leader.pid, started="gone", token="t")
    assert list(group.left_behind()) == [left]
    group.signal(signal.SIGKILL)
    wait_for(lambda: not alive(left))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_record_that_cannot_be_read_is_forgotten(tmp_path: Path, content: str) -> None:
    record = recorded(tmp_path, 1, None)
    record.write_text(content)
    assert kill_groups(tmp_path, OWNER) == 0
    assert not record.exists()
