"""The processes of the demo: the HTTP server and the router, each ended with its block."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "examples" / "demo.yaml"
DATA = ROOT / ".longhaul"  # of `make up`: no other router on this machine has its tools and jobs
PATIENCE = 20.0  # seconds that a child gets to end by itself

Child = subprocess.Popen[str]


def router_command(*options: str) -> list[str]:
    """`longhaul up` with the demo's configuration, from the venv that runs this."""
    longhaul = Path(sys.executable).with_name("longhaul")
    return [str(longhaul), "up", "--config", str(CONFIG), *options]


def environment(desk: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the demo's configuration refers to."""
    return {**os.environ, "DEMO_PYTHON": sys.executable, "DEMO_DESK_URL": desk, **(extra or {})}


def bare(env: Mapping[str, str]) -> dict[str, str]:
    """Without the user's own settings of Longhaul: an embedded router, and no key."""
    return {name: value for name, value in env.items() if not name.startswith("LONGHAUL_")}


@contextmanager
def started(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdout: int | IO[str] | None = None,
    stderr: int | IO[str] | None = None,
) -> Iterator[Child]:
    process = subprocess.Popen(  # noqa: S603 - our own commands
        command,
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def desk() -> Iterator[str]:
    """The quick HTTP server on a free port; gives its URL once it can be called."""
    command = [sys.executable, "-m", "examples.http_backend", "0"]
    with started(command, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not (line := process.stdout.readline().strip()):
            raise ChildProcessError("the HTTP server of the demo did not start")
        yield line
