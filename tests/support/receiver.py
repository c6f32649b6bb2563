"""Receivers of callbacks as processes of their own, and what came to them."""

import base64
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import kill_all
from tests.support.system import BACKENDS
from tests.support.waiting import until, wait_for

SECRET = "whsec_" + base64.b64encode(b"a secret for tests, 32 bytes....").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"the one before it, also 32 bytes").decode()
CALLBACKS: Mapping[str, Any] = {
    "secrets": (SECRET,),
    "allow": ("127.0.0.0/8",),
    "first": 0.2,
    "max": 1.0,
    "timeout": 5.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    url: str
    folder: Path

    @property
    def came(self) -> list[Came]:
        log = self.folder / "came.jsonl"
        rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [
            Came(path=row["path"], headers=row["headers"], body=base64.b64decode(row["body"]))
            for row in rows
        ]

    def answers(self, *lines: str) -> None:
        """One for each of the next requests; then 204."""
        (self.folder / "answers").write_text("\n".join(lines))

    async def until_came(self, count: int, *, seconds: float = 20.0) -> list[Came]:
        await until(lambda: len(self.came) >= count, seconds=seconds, every=0.05)
        return self.came


@contextmanager
def receiver(folder: Path) -> Iterator[Receiver]:
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen([sys.executable, str(BACKENDS / "receiver.py"), str(folder)])
    try:
        wait_for((folder / "port").exists)
        yield Receiver(url=f"http://127.0.0.1:{(folder / 'port').read_text()}", folder=folder)
    finally:
        kill_all(process)


@pytest.fixture
def hooks(tmp_path: Path) -> Iterator[Receiver]:
    with receiver(tmp_path / "hooks") as opened:
        yield opened
