"""A client of another library in a process of its own, which does what a test says."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.peers import ROOT


class Driven:
    """One step at a time: `tests/interop/peers/lines.py` says what an outcome looks like."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    @property
    def version(self) -> str:
        """Of the protocol, as negotiated."""
        version: str = self.step(do="list")["version"]
        return version

    def tools(self) -> list[str]:
        tools: list[str] = self.step(do="list")["tools"]
        return tools

    def call(
        self,
        tool: str,
        *,
        progress: bool = False,
        answer: dict[str, Any] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """`result` and `progress`, or `error`; and what its user was `asked`."""
        step = {"do": "call", "tool": tool, "arguments": arguments, "progress": progress}
        return self.step(**step, answer=answer)

    def result(self, tool: str, **arguments: Any) -> dict[str, Any]:
        outcome = self.call(tool, **arguments)
        assert "result" in outcome, outcome
        result: dict[str, Any] = outcome["result"]
        return result

    def cancel(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call it and cancel at the first sign of progress."""
        return self.step(do="cancel", tool=tool, arguments=arguments)

    def step(self, **step: Any) -> dict[str, Any]:
        """Raises: ChildProcessError: The client ended, and says why."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(step) + "\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise ChildProcessError(f"{self.name} ended: {self._log.read_text()[-2000:]}")
        outcome: dict[str, Any] = json.loads(line)
        return outcome


def handed_off(result: Mapping[str, Any]) -> list[str]:
    """The ids that the text of an answer says to wait for, as an agent would read it."""
    found = re.search(r'longhaul_wait with (\{"ids": .*?\})', result["content"][0]["text"])
    return list(json.loads(found.group(1))["ids"]) if found else []


@contextmanager
def driving(name: str, command: Sequence[str], folder: Path) -> Iterator[Driven]:
    log = folder / f"{name}.log"
    with (
        log.open("w") as file,
        subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        ) as process,
    ):
        try:
            yield Driven(name, process, log)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)
        finally:
            process.kill()
