"""Ingresses and workers as processes of their own, which a test may end in any way."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2

from tests.support.processes import kill_all
from tests.support.routers import modern_call

LONGHAUL = Path(sys.executable).with_name("longhaul")


@contextmanager
def role(*words: str, folder: Path, env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A role until the block ends, in a folder of its own so that nothing else is read."""
    with (folder / f"{words[0]}.log").open("ab") as log:
        process = subprocess.Popen([LONGHAUL, *words], cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield process
    finally:
        kill_all(process)


def environment(**settings: str) -> dict[str, str]:
    """This process's own, with these variables of Longhaul and no others of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LONGHAUL_")}
    return kept | {f"LONGHAUL_{name.upper()}": value for name, value in settings.items()}


async def offers(url: str, tool: str) -> bool:
    """Whether somebody listens at this MCP endpoint and has the tool."""
    async with httpx2.AsyncClient() as http:
        try:
            response = await http.post(url, **modern_call("", method="tools/list"))
        except httpx2.HTTPError:
            return False  # not listening yet
        if not response.is_success:
            return False
        return any(each["name"] == tool for each in response.json()["result"]["tools"])
