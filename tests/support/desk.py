"""A desk: a folder with a configuration, the commands typed in it, and a router that runs on it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    chdir,
    contextmanager,
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from longhaul.cli import run
from tests.support.terminal import Terminal, on_a_terminal
from tests.support.waiting import wait_for

GATED = Path(__file__).parent / "backends" / "gated.py"
LONGHAUL = (sys.executable, "-c", "from longhaul.main import main; main()")
STARTED_WITHIN = 30.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "log"

    @classmethod
    def gated(cls, folder: Path) -> "Desk":
        """With the gated backend as `b`, for four calls at a time."""
        desk = cls(folder)
        backend = {"command": sys.executable, "args": [str(GATED)], "concurrency": 4}
        desk.configure({"b": backend})
        return desk

    def configure(self, backends: Mapping[str, Any], **more: Any) -> None:
        text = json.dumps({"mcpServers": backends, **more})  # JSON is YAML
        (self.folder / "longhaul.yaml").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: text for name, text in os.environ.items() if "LONGHAUL" not in name}
        return {**kept, "LONGHAUL_DATA": str(self.folder / "data"), "COLUMNS": "200"}

    def run(self, *words: str, **variables: str) -> Ran:
        """A command that only speaks to the router: here, for a process costs a second."""
        out, err = StringIO(), StringIO()
        with self._in_it(variables), redirect_stdout(out), redirect_stderr(err):
            code = run(words)
        return Ran(code=code, out=out.getvalue(), err=err.getvalue())

    def run_process(self, *words: str, **variables: str) -> Ran:
        done = subprocess.run(
            (*LONGHAUL, *words),
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Ran(code=done.returncode, out=done.stdout, err=done.stderr)

    @contextmanager
    def _in_it(self, variables: Mapping[str, str]) -> Iterator[None]:
        before = dict(os.environ)
        with chdir(self.folder):
            try:
                os.environ.clear()
                os.environ.update({**self.environment, **variables})
                yield
            finally:
                os.environ.clear()
                os.environ.update(before)

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            (*LONGHAUL, *words),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on_a_terminal(self, *words: str, **variables: str) -> AbstractContextManager[Terminal]:
        environment = {**self.environment, **variables}
        return on_a_terminal((*LONGHAUL, *words), self.folder, environment)

    @contextmanager
    def role(self, *words: str, **variables: str) -> Iterator[dict[str, str]]:
        """A role until the block ends, which it must do well; what it announced."""
        log = self.folder / f"{words[0]}.log"
        with (
            log.open("wb") as said,
            subprocess.Popen(
                (*LONGHAUL, *words, "--json"),
                cwd=self.folder,
                env={**self.environment, **variables},
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,  # as a service: no terminal
            ) as process,
        ):
            try:
                assert process.stdout is not None
                announced = []
                while line := process.stdout.readline():
                    announced.append(line)
                    if line == "}\n":
                        break
                assert announced, log.read_text()
                yield json.loads("".join(announced))
            finally:
                process.send_signal(signal.SIGTERM)
                process.communicate(timeout=30)
        assert process.returncode == 0, log.read_text()

    def gate(self, name: str = "gate") -> Path:
        return self.folder / name

    def work(self, *, gate: str | None = None, **more: Any) -> str:
        """Arguments of the gated backend's tools, as JSON."""
        arguments = {"log": str(self.log), **more}
        return json.dumps(arguments | ({"gate": str(self.gate(gate))} if gate else {}))

    @contextmanager
    def router(self) -> Iterator[str]:
        """`longhaul up` until the block ends, with the tools of its backend; its address."""
        with self.role("up", "--port", "0") as announced:
            self.wait_for_tools()
            yield announced["address"]

    def wait_for_tools(self, **variables: str) -> None:
        def listed() -> bool:
            return len(self.run("tools", "--json", **variables).json["tools"]) >= 4

        wait_for(listed, seconds=STARTED_WITHIN, every=0.2)
