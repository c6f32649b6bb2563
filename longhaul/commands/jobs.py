"""`jobs`: look at them, wait for them, answer and cancel them."""

from typing import Annotated

import typer

from common.jobs.state import JobState
from longhaul.client import Client
from longhaul.commands.answer import answer
from longhaul.commands.ending import report_end, report_still_running
from longhaul.commands.logs import logs
from longhaul.commands.options import AsJson, JobId, Timeout, moment, seconds
from longhaul.commands.speaking import connect
from longhaul.exits import BY_STATE, Exit
from longhaul.following import Job, StillRunning, follow
from longhaul.screen.jobs import job_card, job_list
from longhaul.screen.live import Live, job_moved
from longhaul.screen.output import print_json, say, show, write_raw
from longhaul.screen.words import now

_PAGE = 200

State = Annotated[
    JobState | None, typer.Option(help="Only jobs in this state.", show_default=False)
]
Tool = Annotated[str | None, typer.Option(help="Only jobs of this tool.", show_default=False)]
CallerName = Annotated[str | None, typer.Option(help="Only this caller's.", show_default=False)]
Since = Annotated[
    str | None,
    typer.Option(help="Only from then on: a time, or how long ago, as 2h.", show_default=False),
]
Until = Annotated[str | None, typer.Option(help="Only from before then.", show_default=False)]
ErrorText = Annotated[
    str | None, typer.Option("--error", help="Only with this in their error.", show_default=False)
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")]


def register(app: typer.Typer) -> None:
    about = "Look at jobs, wait for them, answer and cancel them."
    jobs = typer.Typer(help=about, no_args_is_help=True)
    jobs.command("ls")(ls)
    jobs.command("show")(show_one)
    jobs.command("wait")(wait)
    jobs.command("result")(result)
    jobs.command("logs")(logs)
    jobs.command("cancel")(cancel)
    jobs.command("answer")(answer)
    app.add_typer(jobs, name="jobs")


def ls(
    state: State = None,
    tool: Tool = None,
    caller: CallerName = None,
    since: Since = None,
    until: Until = None,
    error: ErrorText = None,
    limit: Limit = 30,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    given = {"state": state, "tool": tool, "caller": caller, "error": error}
    times = {"since": moment(since, "--since"), "until": moment(until, "--until")}
    wanted = {name: value for name, value in (given | times).items() if value is not None}
    with connect() as router:
        found, more = _list(router, wanted, limit)
    if as_json:
        print_json({"jobs": found})
        return
    if not found:
        say("No such jobs." if wanted else "No jobs yet; `longhaul call TOOL` makes one.")
        return
    show(job_list(found, now()))
    if more:
        say(f"There are more; --limit {limit * 10} shows them.")


def _list(router: Client, wanted: dict[str, str], limit: int) -> tuple[list[Job], bool]:
    found: list[Job] = []
    cursor: str | None = None
    while True:
        size = min(_PAGE, limit - len(found))
        page = router.get("/v1/jobs", limit=size, cursor=cursor, **wanted)
        found += page["jobs"]
        cursor = page["cursor"]
        if cursor is None or len(found) >= limit:
            return found, cursor is not None


def show_one(job: JobId, as_json: AsJson = False) -> None:
    """Everything about one job, and why it is where it is."""
    with connect() as router:
        shown, events = router.job(job), router.events(job)
    if as_json:
        print_json(shown | {"events": events})
    else:
        show(job_card(shown, events, now()))


def wait(job: JobId, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Wait for a job and print its result. Ctrl-C stops waiting; the job goes on."""
    patience = seconds(timeout)
    with connect() as router:
        ended = _follow(router, job, patience, as_json=as_json)
    report_end(ended, as_json=as_json)


def _follow(router: Client, job: str, patience: float | None, *, as_json: bool) -> Job:
    try:
        with Live(router.job(job)["tool"], job_moved) as live:
            return follow(router, job, patience, live.show, say)
    except StillRunning as still:
        report_still_running(job, str(still), as_json=as_json)
    except KeyboardInterrupt:
        report_still_running(job, "stopped waiting", as_json=as_json)


def result(job: JobId, as_json: AsJson = False) -> None:
    """Print the result of a job that has ended; `--json` prints it verbatim."""
    with connect() as router:
        found = router.job(job)
        if as_json and found["state"] == "completed":
            write_raw(router.result(job))
    if found["state"] not in BY_STATE:
        report_still_running(job, found["reason"], as_json=as_json)
    if as_json and found["state"] == "completed":
        raise typer.Exit(Exit.TOOL_ERROR if found["tool_error"] else Exit.DONE)
    report_end(found, as_json=as_json)


def cancel(job: JobId, as_json: AsJson = False) -> None:
    """Cancel a job; it is cancelled at once for everybody who looks."""
    with connect() as router:
        ended = router.job(job)["state"] in BY_STATE
        after = router.cancel(job)
    if as_json:
        print_json(after)
    elif ended:
        say(f"job {job} had ended already: {after['state']}")
    elif after["still_running"]:
        say(f"cancelled job {job}; its tool was told and has not let go yet")
    else:
        say(f"cancelled job {job}")
