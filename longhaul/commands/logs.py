"""`jobs logs`: what a job's tool says, so far or as it comes."""

import json
import sys
from typing import Annotated, Any

import typer

from longhaul.client import Client
from longhaul.commands.options import AsJson, JobId
from longhaul.commands.speaking import connect
from longhaul.event_stream import StreamEvent
from longhaul.exits import Exit
from longhaul.following import StillRunning, follow_output
from longhaul.screen.output import say
from longhaul.screen.said import Page

Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on with what it says until the job has ended.")
]
From = Annotated[
    str, typer.Option("--from", help="Only what came after the entry of this number.", metavar="N")
]


def logs(job: JobId, follow: Follow = False, start: From = "0", as_json: AsJson = False) -> None:
    """Print what a job's tool says while it runs: its output, log and progress messages.

    `--json` prints a line for each entry. Ctrl-C stops printing; the job goes on.
    """
    printer = _Printer(as_json=as_json)
    with connect() as router:
        if not follow:
            _so_far(router, job, start, printer)
            return
        try:
            ended = follow_output(router, job, start, printer.hear, printer.remark)
        except StillRunning as still:
            printer.remark(f"{still}; job {job} goes on: longhaul jobs logs -f {job}")
            raise typer.Exit(Exit.STILL_RUNNING) from None
        except KeyboardInterrupt:
            printer.remark(f"stopped printing; job {job} goes on: longhaul jobs logs -f {job}")
            raise typer.Exit(Exit.STILL_RUNNING) from None
    printer.close()
    if not as_json:
        say(f"job {job} has ended: {ended['state']}")


def _so_far(router: Client, job: str, cursor: str, printer: "_Printer") -> None:
    more = True
    while more:
        page = router.output(job, cursor)
        if page["dropped"]:
            printer.missing(page["dropped"])
        for entry in page["entries"]:
            printer.entry(entry)
        cursor, more = page["cursor"], page["more"]
    printer.close()


class _Printer:
    """Entries to standard output as they come, everything about them to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._page = Page()

    def hear(self, event: StreamEvent) -> None:
        if event.name == "dropped":
            self.missing(event.data["dropped"])
        elif event.name == "output":
            self.entry(event.data)

    def missing(self, dropped: int) -> None:
        self.remark(f"{dropped} earlier entries are kept no more")

    def entry(self, entry: dict[str, Any]) -> None:
        if self._as_json:
            self._write(json.dumps(entry, ensure_ascii=False) + "\n")
            return
        again = self._page.new_try(entry)
        if again:
            self.remark(f"try {again}:")
        self._write(self._page.add(entry))

    def remark(self, text: str) -> None:
        self.close()
        say(text)

    def close(self) -> None:
        """What else is written begins on a line of its own."""
        if not self._as_json:
            self._write(self._page.end())

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
