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
from workers.backends import launcher
from workers.backends.groups import (
    Group,
    dead_owners,
    forget,
    kill_groups,
    owner_lives,
    records_folder,
)
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
    assert dead_owners(tmp_path) == (OWNER,)
    assert kill_groups(tmp_path, OWNER) == 1
    wait_for(lambda: not alive(child))
    forget(tmp_path, OWNER)
    assert dead_owners(tmp_path) == ()


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


def test_without_proc_the_leader_is_known_by_what_ps_says(
    tmp_path: Path, stranger: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "PROC", tmp_path / "none")
    started = start_time(stranger.pid)
    assert started is not None
    assert Group(pid=stranger.pid, started="Thu Jan  1 00:00:00 1970", token="").led is False
    recorded(tmp_path, stranger.pid, started)
    kill_groups(tmp_path, OWNER)
    assert stranger.wait(5) == -signal.SIGKILL
    assert start_time(stranger.pid) is None


def test_a_living_owner_is_nobodys_to_bury(tmp_path: Path) -> None:
    with owner_lives(tmp_path, OWNER):
        assert dead_owners(tmp_path) == ()
    assert not records_folder(tmp_path, OWNER).exists()


def test_an_owner_that_was_killed_is_dead_and_one_that_lives_beside_it_is_not(
    tmp_path: Path,
) -> None:
    program = (
        "import sys, time; from pathlib import Path; from workers.backends.groups import *\n"
        "with owner_lives(Path(sys.argv[1]), 'killed'): print('up', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with (
        owner_lives(tmp_path, OWNER),
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        assert dead_owners(tmp_path) == ()
        process.kill()
        process.wait()
        assert dead_owners(tmp_path) == ("killed",)


def test_a_record_that_outlived_its_worker_in_order_is_left_to_its_heir(tmp_path: Path) -> None:
    with owner_lives(tmp_path, OWNER):
        (records_folder(tmp_path, OWNER) / "one.json").write_text("{}")
    assert dead_owners(tmp_path) == (OWNER,)


def test_a_data_folder_that_cannot_be_written_keeps_no_worker_from_running(tmp_path: Path) -> None:
    (tmp_path / "replicas").write_text("in the way")
    with owner_lives(tmp_path, OWNER):
        pass


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
