"""One router per data folder, and how others find it."""

import subprocess
import sys
from pathlib import Path

import pytest

from longhaul.datafolder import (
    FILE,
    KEY_FILE,
    Announced,
    DataFolderError,
    hold,
    running_router,
    secret_of,
)

HOLDER = """
import sys
from pathlib import Path
from longhaul.datafolder import hold
lock = hold(Path(sys.argv[1]))
lock.announce("http://127.0.0.1:8080", "secret")
print("held", flush=True)
sys.stdin.read()
"""


def test_nobody_runs_on_a_new_folder(tmp_path: Path) -> None:
    assert running_router(tmp_path / "data") is None
    with hold(tmp_path / "data"):
        pass
    assert running_router(tmp_path / "data") is None


def test_the_holder_tells_address_and_key_while_it_holds(tmp_path: Path) -> None:
    with hold(tmp_path) as lock:
        assert running_router(tmp_path) == Announced()
        lock.announce("http://127.0.0.1:8080", "a-long-key")
        assert running_router(tmp_path) == Announced(
            address="http://127.0.0.1:8080", key="a-long-key"
        )
        lock.announce("http://[::1]:9", "k")
        assert running_router(tmp_path) == Announced(address="http://[::1]:9", key="k")
    assert running_router(tmp_path) is None


def test_a_second_router_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    with hold(tmp_path) as lock:
        with pytest.raises(DataFolderError, match="not announced yet"):
            hold(tmp_path)
        lock.announce("http://127.0.0.1:8080", "secret")
        with pytest.raises(DataFolderError, match=r"http://127\.0\.0\.1:8080") as refusal:
            hold(tmp_path)
        assert "secret" not in str(refusal.value)
    hold(tmp_path).release()


def test_the_key_is_for_the_owner_of_the_folder_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / FILE
    with hold(tmp_path / "data"):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o644)
    with hold(tmp_path / "data"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert "secret" not in repr(Announced(address="a", key="secret"))


def test_what_a_killed_router_said_counts_no_more(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        running = running_router(tmp_path)
        assert running is not None
        assert running.address == "http://127.0.0.1:8080"
        holder.kill()
        holder.wait()
    assert "8080" in (tmp_path / FILE).read_text()
    assert running_router(tmp_path) is None
    with hold(tmp_path):
        assert running_router(tmp_path) == Announced()


def test_a_child_of_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    with hold(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert running_router(tmp_path) is None
    finally:
        child.communicate(b"\n")


def test_a_folder_that_cannot_be_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataFolderError, match="cannot be used"):
        hold(tmp_path / "file" / "data")


def test_a_folder_has_one_secret_for_itself_alone(tmp_path: Path) -> None:
    secret = secret_of(tmp_path)
    assert len(secret) > 30
    assert secret_of(tmp_path) == secret
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]
    with pytest.raises(DataFolderError):
        secret_of(tmp_path / "missing")
