"""`make conformance`: the official suite against the fixture, through Longhaul.

`--direct` leaves the router out: what fails then is the fixture's fault.
"""
# ruff: noqa: T201 - a command: what it prints is its result

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import yaml
from mcp import Client, MCPError

from tests.conformance.verdict import Check, Judged, Verdict, count, judge, unknown
from tests.support.peers import ROOT, node, npm_bin
from tests.support.ports import free_port

REVISIONS = ("2026-07-28", "2025-11-25")
EXPECTED = Path(__file__).with_name("expected.yml")
SCENARIO_SECONDS = 10  # the longest that passes takes four
READY_SECONDS = 60

# What a router says of tools that the suite wants run as tasks; the fixture knows of none.
TOOLS = {
    "greet": {"task": "never"},
    "failing_job": {"task": "required"},
    "protocol_error_job": {"task": "required"},
    "test_tool_with_task": {"task": "after_input"},
}


@contextmanager
def running(
    command: Sequence[str], log: Path, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A child process for the time of the block; its output is in `log`."""
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def _answers(url: str) -> bool:
    """Whether a router at `url` says that it is ready."""
    async with httpx2.AsyncClient() as http:
        try:
            return (await http.get(url)).status_code == 200
        except httpx2.HTTPError:
            return False  # not listening yet


async def _offers(url: str, tool: str) -> bool:
    """Whether the server at `url` lists `tool`."""
    try:
        async with Client(url, cache=None) as client:
            return any(each.name == tool for each in (await client.list_tools()).tools)
    except* (httpx2.HTTPError, MCPError):
        pass  # not listening yet
    return False


async def _wait(process: subprocess.Popen[bytes], mcp: str, ready: str | None = None) -> None:
    """Raises ChildProcessError when the server ends, TimeoutError when it is not ready in time."""
    with anyio.move_on_after(READY_SECONDS):
        while process.poll() is None:
            if (ready is None or await _answers(ready)) and await _offers(mcp, "test_simple_text"):
                return
            await anyio.sleep(0.1)
        raise ChildProcessError(f"the server ended with {process.returncode}")
    raise TimeoutError(f"the server was not ready within {READY_SECONDS} s")


def _configuration(fixture: str, data: Path) -> dict[str, Any]:
    return {
        "namespaces": False,
        "data": str(data),
        # Short, so that a call without a task does not outlive its scenario, and one of a second
        # is a task.
        "answering": {"call_wait": "5s", "inline_wait": "500ms"},
        "mcpServers": {"fixture": {"url": fixture, "concurrency": 16}},
        "tools": TOOLS,
    }


@contextmanager
def served(folder: Path, *, direct: bool) -> Iterator[str]:
    """The address to give to the suite: the fixture's own, or the router's in front of it."""
    fixture_port, port = free_port(), free_port()
    fixture = f"http://127.0.0.1:{fixture_port}/mcp"
    python = sys.executable
    command = [python, "-m", "tests.conformance.fixture", "--port", str(fixture_port)]
    with running(command, folder / "fixture.log") as process:
        anyio.run(_wait, process, fixture)
        if direct:
            yield fixture
            return
        config = folder / "longhaul.yaml"
        config.write_text(yaml.safe_dump(_configuration(fixture, folder / "data")))
        router = [str(Path(python).with_name("longhaul")), "up"]
        env = {name: it for name, it in os.environ.items() if not name.startswith("LONGHAUL_")}
        options = ["--config", str(config), "--port", str(port)]
        with running([*router, *options], folder / "longhaul.log", env) as longhaul:
            base = f"http://127.0.0.1:{port}"
            anyio.run(_wait, longhaul, f"{base}/mcp", f"{base}/readyz")
            yield f"{base}/mcp"


def scenarios(suite: Path, revision: str) -> list[str]:
    """The server scenarios of a revision, scored or not."""
    wanted = yaml.safe_load((suite / "requirements" / f"{revision}.yaml").read_text())
    others = [each["scenario"] for each in wanted["not_scored"] if each["leg"] == "server"]
    return [*wanted["server"], *others]


def run_suite(command: list[str], log: Path) -> int:
    with log.open("w") as file:
        return subprocess.run(command, cwd=ROOT, stdout=file, stderr=file, check=False).returncode


def checks_of(scenario: str, out: Path) -> list[Check]:
    """What the suite noted of a scenario; a scenario that left nothing has failed."""
    names = re.compile(rf"server-{re.escape(scenario)}-\d{{4}}-\d\d-\d\dT.*")
    for folder in out.iterdir():
        if names.fullmatch(folder.name) and (folder / "checks.json").exists():
            checks: list[Check] = json.loads((folder / "checks.json").read_text())
            return checks
    return [Check(id=scenario, status="FAILURE", errorMessage="it did not run to its end")]


def report(revision: str, judged: Sequence[Judged]) -> None:
    counted = count(judged)
    numbers = ", ".join(f"{number} {verdict}" for verdict, number in counted.items() if number)
    print(f"{revision}  {len(judged)} scenarios: {numbers}")
    for each in judged:
        if each.verdict in {Verdict.UNEXPECTED, Verdict.STALE}:
            print(f"  {each.scenario}: {each.verdict}")
            for reason in each.reasons:
                print(f"    {reason}")


def _judged(folder: Path, suite: Path, *, direct: bool) -> tuple[list[Judged], list[int]]:
    """Every scenario of every revision, and what the suite itself ended with."""
    listed = [] if direct else yaml.safe_load(EXPECTED.read_text())["server"]
    every = {revision: scenarios(suite, revision) for revision in REVISIONS}
    if slips := unknown(listed, [name for names in every.values() for name in names]):
        raise SystemExit(f"{EXPECTED.name} lists what no revision has: {', '.join(slips)}")
    judged: list[Judged] = []
    codes: list[int] = []
    with served(folder, direct=direct) as url:
        for revision, names in every.items():
            out = folder / revision
            command = [str(node()), str(npm_bin("conformance")), "server", "--url", url]
            command += ["--requirements", revision, "--output-dir", str(out)]
            command += ["--timeout", str(SCENARIO_SECONDS * 1000)]
            command += [] if direct else ["--expected-failures", str(EXPECTED)]
            codes.append(run_suite(command, folder / f"{revision}.log"))
            # Making tasks of calls is a router's work.
            able = [name for name in names if not (direct and name.startswith("tasks-"))]
            results = [judge(name, checks_of(name, out), listed) for name in able]
            report(revision, results)
            judged += results
    return judged, codes


def run(folder: Path, *, direct: bool) -> int:
    """The number of scenarios that went wrong, or 1 when only the suite says that one did."""
    try:
        judged, codes = _judged(folder, npm_bin("conformance").parents[1], direct=direct)
    except (OSError, TimeoutError) as trouble:
        print(f"nothing to test: {trouble}")
        for log in sorted(folder.glob("*.log")):
            print(f"--- the end of {log.name}\n{''.join(log.read_text()[-2000:])}")
        return 1
    counted = count(judged)
    failed = counted[Verdict.UNEXPECTED] + counted[Verdict.STALE]
    if any(codes) and not failed:
        print(f"the suite itself ended with {codes}")
        failed = 1
    if failed:
        print(f"logs and reports: {folder}")
    print(f"{counted[Verdict.PASSED]} passed, {failed} failed")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--direct", action="store_true", help="the fixture itself, no router")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="longhaul-conformance-"))
    if run(folder, direct=arguments.direct):
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
