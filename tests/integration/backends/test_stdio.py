"""Backends that are child processes: what passes, who hears what, and how processes end."""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.pools import Heard, Pooled, call, pooled, stdio
from tests.support.waiting import until
from workers.backends.base import ConnectionLost, NotStarted, ProtocolFailure

pytestmark = pytest.mark.anyio


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def pid_of(backend: Pooled) -> int:
    pid = backend.pool.status().replicas[0].pid
    assert pid is not None
    return pid


async def test_results_and_params_pass_verbatim(tmp_path: Path) -> None:
    """Also what no model knows: an unknown content type, nulls, vendor fields."""
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        result = await backend.call("echo", text="å", big=2**70)
    params = result.pop("vendorTop")[0]
    assert result == {
        "content": [{"type": "hologram", "depth": 1.5, "nothing": None}],
        "_meta": {"vendor": None},
    }
    assert params["arguments"] == {"text": "å", "big": 2**70}
    assert params["_meta"] == {"progressToken": params["_meta"]["progressToken"]}


@pytest.mark.parametrize("size", [2 * 1024 * 1024, 20 * 1024 * 1024])
async def test_a_large_result_passes(tmp_path: Path, size: int) -> None:
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        result = await backend.call("big", size=size)
    assert len(result["content"][0]["text"]) == size


async def test_progress_comes_in_order_and_before_the_result(tmp_path: Path) -> None:
    heard = Heard()
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        await backend.call("steps", heard, count=50)
        assert heard.values == [float(step + 1) for step in range(50)]
        assert heard.checkpoints == [[step + 1] for step in range(50)]
        assert heard.lines == [f"log {step + 1}" for step in range(50)]


async def test_a_log_line_that_could_be_anyones_is_no_callers(tmp_path: Path) -> None:
    """Two calls in flight: neither may see what may be the other's."""
    first, second = Heard(), Heard()
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        hanging = asyncio.create_task(backend.call("hang", first))
        await until(lambda: "hanging" in backend.stderr)
        await backend.call("steps", second, count=2)
        assert second.values == [1.0, 2.0]
        assert first.lines == second.lines == []
        hanging.cancel()
        await until(lambda: "cancelled" in backend.stderr)
        # The cancelled call may still be writing lines.
        await backend.call("steps", second, count=1)
        assert second.lines == []


async def test_cancelling_reaches_the_backend(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        hanging = asyncio.create_task(backend.call("hang"))
        hung = (await until(lambda: backend.stderr.partition("hanging ")[2])).strip()
        hanging.cancel()
        await until(lambda: f"cancelled {hung}" in backend.stderr)
        assert (await backend.call("big", size=1))["content"]


async def test_a_modern_server_runs_and_hears_of_a_cancellation(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with pooled(stdio("modern", "stdio"), tmp_path) as backend:
        listing = await backend.listing()
        assert (listing.era, listing.protocol_version) == ("modern", "2026-07-28")
        assert listing.server_info["name"] == "modern"
        assert listing.instructions == "Ask me."
        heard = Heard()
        await backend.call("steps", heard, count=3)
        assert heard.values == [1.0, 2.0, 3.0]
        assert heard.checkpoints == [[1], [2], [3]]
        hanging = asyncio.create_task(backend.call("hang", mark=str(mark)))
        await until(Path(f"{mark}.running").exists)
        hanging.cancel()
        await until(Path(f"{mark}.cancelled").exists)


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_every_older_revision(tmp_path: Path, version: str) -> None:
    async with pooled(stdio("legacy_stdio", version), tmp_path) as backend:
        listing = await backend.listing()
        assert (listing.era, listing.protocol_version) == ("legacy", version)
        assert listing.tools[0] == {
            "name": "echo",
            "inputSchema": {"type": "object"},
            "x-vendor": 1,
        }
        assert backend.pool.status().replicas[0].protocol_version == version
        await until(lambda: "level info" in backend.stderr)


async def test_a_server_that_ignores_what_it_does_not_know(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", "silent"), tmp_path) as backend:
        started = time.monotonic()
        assert (await backend.listing()).era == "legacy"
        assert time.monotonic() - started < 6
        os.kill(pid_of(backend), signal.SIGKILL)
        restarted = time.monotonic()
        await until(lambda: backend.pool.status().replicas[0].restarts == 1)
        assert (await backend.call("big", size=1))["content"]
        assert time.monotonic() - restarted < 1.5  # the era is known: nobody probes again


async def test_a_server_that_dies_of_what_it_does_not_know(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", "fragile"), tmp_path) as backend:
        assert (await backend.listing()).era == "legacy"
        assert (await backend.call("big", size=1))["content"]


async def test_death_in_mid_call_is_seen_at_once_and_the_next_call_works(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        others = asyncio.create_task(backend.call("hang"))
        await until(lambda: "hanging" in backend.stderr)
        died = time.monotonic()
        with pytest.raises(ConnectionLost):
            await backend.call("crash")
        with pytest.raises(ConnectionLost):
            await others
        assert time.monotonic() - died < 1
        assert (await backend.call("big", size=1))["content"]
        status = backend.pool.status().replicas[0]
        assert (status.state, status.restarts) == ("ready", 1)
        assert status.last_error == "the backend's process ended (exit status 3)"
    assert "about to die" in backend.stderr


async def test_a_place_on_a_dead_process_starts_nothing(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        place = await backend.pool.wait_place()
        os.kill(pid_of(backend), signal.SIGKILL)
        await until(lambda: backend.pool.status().replicas[0].state != "ready")
        with pytest.raises(NotStarted):
            await place.call(call("echo"), Heard())
        place.release()


async def test_a_backend_that_does_not_start_says_why(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", "mute"), tmp_path) as backend:
        await until(lambda: backend.pool.status().replicas[0].state == "backoff")
        status = backend.pool.status().replicas[0]
        assert status.last_stderr == "cannot read /etc/acme.conf"
        assert status.last_error == "the backend's process ended (exit status 1)"
        assert backend.pool.try_place() is None
    assert "cannot read /etc/acme.conf" in backend.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": "no-such-command"}, "cannot start 'no-such-command'"),
        ({"cwd": "/no/such/folder"}, "cannot start '/no/such/folder'"),
    ],
)
async def test_a_command_that_is_not_there(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    config = stdio("legacy_stdio").model_copy(update=change)
    async with pooled(config, tmp_path) as backend:
        await until(lambda: said in (backend.pool.status().replicas[0].last_stderr or ""))


async def test_noise_on_stdout_harms_nothing(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        assert (await backend.call("noise"))["content"]


async def test_a_backends_questions_are_answered(tmp_path: Path) -> None:
    """Alive, yes; anything else was not declared."""
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        answers = (await backend.call("ask"))["answers"]
    assert answers[0] == {"jsonrpc": "2.0", "id": "a", "result": {}}
    assert answers[1]["error"]["code"] == -32601


async def test_an_error_keeps_its_code_and_data(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        with pytest.raises(ProtocolFailure) as failure:
            await backend.call("refuse")
    raised = failure.value
    assert (raised.code, raised.message, raised.data) == (-31_777, "not today", {"until": None})


async def test_only_a_safe_environment_and_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGHAUL_API_KEY", "secret")
    async with pooled(stdio("legacy_stdio", env={"ACME": "1"}), tmp_path) as backend:
        await backend.listing()
        environ = Path(f"/proc/{pid_of(backend)}/environ").read_bytes().split(b"\0")
    names = {pair.partition(b"=")[0] for pair in environ}
    assert b"ACME=1" in environ
    assert b"PATH" in names
    assert b"LONGHAUL_API_KEY" not in names


@pytest.mark.parametrize("flag", ["2025-06-18", "stubborn"])
async def test_nothing_is_left_of_a_stopped_backend(tmp_path: Path, flag: str) -> None:
    """Not the process, not its child, not one that ignores being asked; and within 5 s."""
    async with pooled(stdio("legacy_stdio", flag), tmp_path) as backend:
        child = (await backend.call("child"))["pid"]
        pid = pid_of(backend)
        assert alive(pid)
        assert alive(child)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 5
    await until(lambda: not alive(pid) and not alive(child))
    assert not list((tmp_path / "replicas").glob("*/*.json"))


async def test_cancelling_a_stop_that_takes_long_makes_it_quick(tmp_path: Path) -> None:
    """It can say nothing more, and will not go: it is being stopped when the worker ends."""
    async with pooled(stdio("legacy_stdio", "stubborn"), tmp_path) as backend:
        await backend.listing()
        pid = pid_of(backend)
        with pytest.raises(ConnectionLost):
            await backend.call("mum")
        await until(lambda: backend.pool.status().replicas[0].state == "backoff")
        assert alive(pid)
        ending = time.monotonic()
    assert time.monotonic() - ending < 1
    assert not alive(pid)
    assert not list((tmp_path / "replicas").glob("*/*.json"))


async def test_tools_come_page_by_page_each_judged_alone(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", "odd"), tmp_path) as backend:
        listing = await backend.listing()
    names = [tool["name"] for tool in listing.tools]
    assert names[:2] == ["echo", "steps"]
    assert names[-1] == "bad_header"
    assert [name for name, _ in listing.dropped] == [
        "(no name)",
        "(no name)",
        "no_schema",
        "wrong_schema",
        "wrong_annotations",
        "echo",
    ]
    assert [name for name, _ in listing.bad_headers] == ["bad_header"]


async def test_a_list_without_an_end_is_cut(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", "endless"), tmp_path) as backend:
        assert len((await backend.listing()).tools) == 11


@pytest.mark.parametrize("program", [("legacy_stdio",), ("modern", "stdio")])
async def test_a_changed_list_is_read_again(tmp_path: Path, program: tuple[str, ...]) -> None:
    async with pooled(stdio(*program), tmp_path) as backend:
        before = await backend.listing()
        assert "grown" not in names_of(before.tools)
        await backend.call("grow")
        await until(lambda: "grown" in names_of(backend.listings[-1].tools))


def names_of(tools: tuple[dict[str, Any], ...]) -> list[str]:
    return [tool["name"] for tool in tools]
