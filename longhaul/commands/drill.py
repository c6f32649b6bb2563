"""`drill`: break a deployment on purpose, and see what it loses and how soon it is back."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from common.config.urls import scheme
from longhaul import configured
from longhaul.commands.options import AsJson
from longhaul.commands.speaking import connect
from longhaul.drill.faults import Harm, harm_of, output_of
from longhaul.drill.plan import Plan, read_plan
from longhaul.drill.private import private_router
from longhaul.drill.probe import Probe
from longhaul.drill.run import Drill, Load, Report
from longhaul.drill.verdict import Verdict
from longhaul.exits import Exit, UsageError
from longhaul.screen.drill import drill_json, drill_table
from longhaul.screen.output import fail, print_json, say, show

PlanFile = Annotated[
    Path | None,
    typer.Option(
        "--plan",
        help="Faults of your own deployment; default: an embedded router, made for the drill.",
        show_default=False,
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only", metavar="NAME", help="Only this scenario; repeatable.", show_default=False
    ),
]
Servers = Annotated[
    bool,
    typer.Option(
        "--servers",
        help="Processes of its own on the broker and the store of the configuration, in a "
        "namespace that is removed; cuts a worker off from each.",
    ),
]
Starts = Annotated[Path, typer.Argument(metavar="FILE", help="Each start is a line in it.")]


def register(app: typer.Typer) -> None:
    about = (
        "Break a deployment on purpose; measure what is lost, what runs twice, how soon it is back."
    )
    group = typer.Typer(help=about, invoke_without_command=True)
    group.callback()(drill)
    group.command("probe")(probe)
    app.add_typer(group, name="drill")


def drill(
    context: typer.Context,
    plan: PlanFile = None,
    servers: Servers = False,
    only: Only = None,
    as_json: AsJson = False,
) -> None:
    """Break a deployment on purpose; measure what is lost, what runs twice, how soon it is back."""
    if context.invoked_subcommand is not None:
        return
    if servers and plan is not None:
        raise UsageError("--servers has scenarios of its own; leave out --plan or --servers")
    with _interrupted_by_any_end():
        if plan is not None:
            report = _planned(read_plan(plan), only or ())
        else:
            report = _on_servers(only or ()) if servers else _private(only or ())
    verdicts = report.verdicts
    if as_json:
        print_json(drill_json(verdicts, complete=report.stopped is None))
    else:
        show(drill_table(verdicts))
    for verdict in verdicts:
        _complain(verdict)
    if not all(verdict.passed for verdict in verdicts):
        raise typer.Exit(Exit.TOOL_ERROR)
    if report.stopped is not None:
        raise report.stopped


@contextmanager
def _interrupted_by_any_end() -> Iterator[None]:
    """As by Ctrl-C, so that what is broken just now is mended first."""
    ends = [signal.SIGTERM, signal.SIGHUP]
    heeded = [each for each in ends if signal.getsignal(each) is not signal.SIG_IGN]  # nohup
    before = [signal.signal(each, signal.default_int_handler) for each in heeded]
    try:
        yield
    finally:
        for each, handler in zip(heeded, before, strict=True):
            signal.signal(each, handler)


def probe(starts: Starts) -> None:
    """Run the probe: an MCP server over stdio, for the router that is drilled."""
    Probe(starts).serve()


def _planned(plan: Plan, only: list[str] | tuple[str, ...]) -> Report:
    harms = _chosen([harm_of(each, plan, connect) for each in plan.scenarios], only)
    return Drill(connect, _load(plan), lambda: _starts(plan)).run(harms, say)


def _private(only: list[str] | tuple[str, ...]) -> Report:
    say("no --plan: drilling an embedded router that is made for it, and removed afterwards")
    with private_router() as router:
        run = Drill(router.connect, _load(router.plan), lambda: _starts(router.plan)).run
        return run(_chosen(router.harms, only), say)


def _on_servers(only: list[str] | tuple[str, ...]) -> Report:
    settings = configured.load(None).settings
    if scheme(settings.broker_url) == "memory" or scheme(settings.store_url) == "sqlite":
        raise UsageError("--servers needs servers: set LONGHAUL_BROKER_URL and LONGHAUL_STORE_URL")
    # Its drivers take a while to import, and no other command of this program needs them.
    from longhaul.drill.on_servers import on_servers  # noqa: PLC0415 - as said

    say("drilling an ingress and two workers that are made for it on your servers")
    with on_servers(settings.broker_url, settings.store_url) as made:
        say(f"all of it is in the namespace {made.namespace}, which is removed afterwards")
        run = Drill(made.connect, _load(made.plan), lambda: _starts(made.plan)).run
        return run(_chosen(made.harms, only), say)


def _chosen(harms: list[Harm], only: list[str] | tuple[str, ...]) -> list[Harm]:
    unknown = sorted(set(only) - {harm.name for harm in harms})
    if unknown:
        names = ", ".join(harm.name for harm in harms)
        raise UsageError(f"there is no scenario {', '.join(unknown)}; there are: {names}")
    return [harm for harm in harms if not only or harm.name in only]


def _load(plan: Plan) -> Load:
    return Load(backend=plan.backend, jobs=plan.jobs, seconds=plan.seconds, within=plan.within)


def _starts(plan: Plan) -> list[str]:
    if plan.read_starts is not None:
        return output_of(plan.read_starts).split()
    try:
        return plan.starts.read_text().split()
    except FileNotFoundError:
        return []


def _complain(verdict: Verdict) -> None:
    for job in verdict.lost:
        fail(f"{verdict.scenario}: job {job} was accepted and is lost")
    for job in verdict.twice:
        fail(f"{verdict.scenario}: job {job} may not run again, and was started twice")
    if verdict.uncounted:
        jobs = ", ".join(verdict.uncounted)
        fail(f"{verdict.scenario}: completed without a start in the file: {jobs}")
        raise UsageError("starts (or read_starts) does not cover all probes: double runs may hide")
