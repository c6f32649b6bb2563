"""`dead`: jobs that need a person. Look at them, replay them, drop them."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from longhaul.arguments import arguments_of, unnamed
from longhaul.client import Client
from longhaul.commands.options import Arguments, AsJson, Pairs, moment
from longhaul.commands.speaking import connect
from longhaul.exits import Exit, NotThereError, UsageError
from longhaul.screen.dead import letter_card, letter_groups, letter_list, replay_counts, replay_list
from longhaul.screen.output import print_json, say, show, warn
from longhaul.screen.words import now

_PAGE = 200

Json = dict[str, Any]
LetterId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.")]
LetterIds = Annotated[
    list[str] | None, typer.Argument(metavar="ID", help="Jobs' ids.", show_default=False)
]
State = Annotated[
    Literal["dead", "lost"] | None,
    typer.Option(help="Only `dead` (tries used up) or `lost` (may have run).", show_default=False),
]
Tool = Annotated[str | None, typer.Option(help="Only jobs of this tool.", show_default=False)]
CallerName = Annotated[str | None, typer.Option(help="Only this caller's.", show_default=False)]
ErrorText = Annotated[
    str | None, typer.Option("--error", help="Only with this in their error.", show_default=False)
]
Since = Annotated[
    str | None,
    typer.Option(help="Only those that died from then on: a time, or as 2h.", show_default=False),
]
Until = Annotated[
    str | None,
    typer.Option(help="Only those that died before then.", show_default=False),
]
Everything = Annotated[bool, typer.Option("--all", help="All that match; instead of ids.")]
FromStart = Annotated[
    bool, typer.Option("--from-start", help="Not from their checkpoints, where they have some.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")]


def register(app: typer.Typer) -> None:
    dead = typer.Typer(help="Jobs that need a person: dead and lost ones.", no_args_is_help=True)
    dead.command("ls")(ls)
    dead.command("show")(show_one)
    dead.command("replay")(replay)
    dead.command("drop")(drop)
    app.add_typer(dead, name="dead")


def ls(
    state: State = None,
    tool: Tool = None,
    caller: CallerName = None,
    error: ErrorText = None,
    since: Since = None,
    until: Until = None,
    each: Annotated[bool, typer.Option("--each", help="One line for each, not by error.")] = False,
    replayed: Annotated[
        bool, typer.Option("--replayed", help="Those that were replayed, instead.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many with --each.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List what needs a person, counted by error; --each lists them one by one."""
    wanted = _filter(state, tool, caller, error, since, until) | (
        {"replayed": True} if replayed else {}
    )
    with connect() as router:
        if each:
            found, more = _some(router, wanted, limit)
            _show_each(found, more=more, limit=limit, as_json=as_json)
        else:
            _show_groups(router.dead_letters(group="error", **wanted), as_json=as_json)


def _show_each(found: list[Json], *, more: bool, limit: int, as_json: bool) -> None:
    if as_json:
        print_json({"letters": found})
    elif found:
        show(letter_list(found, now()))
        if more:
            say(f"There are more; --limit {limit * 10} shows them.")
    else:
        say("No dead letters.")


def _show_groups(listed: Json, *, as_json: bool) -> None:
    if as_json:
        print_json({"groups": listed["groups"], "complete": listed["complete"]})
    elif listed["groups"]:
        show(letter_groups(listed["groups"], now()))
        if not listed["complete"]:
            warn("there are more than were counted: narrow it down with --since, --tool or --error")
    else:
        say("No dead letters.")


def show_one(letter: LetterId, as_json: AsJson = False) -> None:
    """Everything about one: what it died of, and every try with its error and worker."""
    with connect() as router:
        found = router.dead_letter(letter)
    if as_json:
        print_json(found)
    else:
        show(letter_card(found, now()))


def replay(
    letters: LetterIds = None,
    everything: Everything = False,
    state: State = None,
    tool: Tool = None,
    caller: CallerName = None,
    error: ErrorText = None,
    since: Since = None,
    until: Until = None,
    pairs: Pairs = None,
    arguments: Arguments = None,
    lost: Annotated[
        bool, typer.Option("--lost", help="Also what may have run: you looked whether it did.")
    ] = False,
    from_start: FromStart = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Run dead letters again as new jobs, each at most once; with --arg or --json '{…}' edited."""
    wanted = _filter(state, tool, caller, error, since, until)
    ids = _chosen(letters, everything=everything, filtered=bool(wanted))
    with connect() as router:
        if pairs or arguments:
            if len(ids) != 1 or dry_run:
                raise UsageError("arguments are edited for one ID at a time, without --dry-run")
            came_of = [_edited(router, ids[0], pairs, arguments, lost=lost)]
        else:
            request = {"ids": ids} if ids else {"all": True, **wanted}
            request |= {"lost": lost, "dry_run": dry_run, "from_start": from_start}
            came_of = _replay_all(router, request)
    _report(came_of, named=bool(ids), dry_run=dry_run, as_json=as_json)


def _edited(
    router: Client, letter: str, pairs: list[str] | None, arguments: str | None, *, lost: bool
) -> Json:
    found = router.dead_letter(letter)
    if found["tool"] is None:
        raise UsageError(f"{letter} is a token without a job; it can only be dropped")
    schema = router.tool(found["tool"])["input_schema"]
    for remark in unnamed(schema, pairs or ()):
        warn(remark)
    own = {} if arguments is not None else found["arguments"] or {}
    edited = own | arguments_of(schema, arguments, pairs or ())
    return router.replay(letter, {"arguments": edited, "lost": lost})


def _replay_all(router: Client, request: Json) -> list[Json]:
    came_of: list[Json] = []
    for start in range(0, max(1, len(request.get("ids", ()))), _PAGE):
        part = dict(request)
        if "ids" in request:
            part["ids"] = request["ids"][start : start + _PAGE]
        while True:
            answer = router.replay_many(part)
            came_of += answer["letters"]
            if answer["cursor"] is None:
                break
            part["cursor"] = answer["cursor"]
    return came_of


def _report(came_of: list[Json], *, named: bool, dry_run: bool, as_json: bool) -> None:
    refused = [each for each in came_of if each["refused"]]
    if as_json:
        print_json({"dry_run": dry_run, "letters": came_of})
    else:
        if came_of:
            show(replay_list(came_of, dry_run=dry_run))
        say(replay_counts(came_of, dry_run=dry_run))
    if named and refused:
        missing = all(each["missing"] for each in refused)
        raise typer.Exit(Exit.NOT_FOUND if missing else Exit.USAGE)


def drop(
    letters: LetterIds = None,
    everything: Everything = False,
    state: State = None,
    tool: Tool = None,
    caller: CallerName = None,
    error: ErrorText = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Forget dead letters, with everything that is kept of them."""
    wanted = _filter(state, tool, caller, error, since, until)
    ids = _chosen(letters, everything=everything, filtered=bool(wanted))
    with connect() as router:
        found = [router.dead_letter(each) for each in ids] if ids else list(_all(router, wanted))
        dropped = found if dry_run else list(_dropped(router, found, named=bool(ids)))
    if as_json:
        print_json({"dry_run": dry_run, "letters": dropped})
        return
    if dropped:
        show(letter_list(dropped, now()))
    say(f"{len(dropped)} {'would be ' if dry_run else ''}dropped")


def _dropped(router: Client, found: list[Json], *, named: bool) -> Iterator[Json]:
    for letter in found:
        try:
            yield router.drop(letter["id"])
        except NotThereError:  # somebody else was faster
            if named:
                raise


def _chosen(letters: list[str] | None, *, everything: bool, filtered: bool) -> list[str]:
    """The ids given; none with --all."""
    if bool(letters) == everything:
        raise UsageError("name dead letters by their ids, or say --all, with filters if you like")
    if letters and filtered:
        raise UsageError("filters go with --all, not with ids")
    return letters or []


def _filter(
    state: str | None,
    tool: str | None,
    caller: str | None,
    error: str | None,
    since: str | None,
    until: str | None,
) -> Json:
    given = {"state": state, "tool": tool, "caller": caller, "error": error}
    times = {"since": moment(since, "--since"), "until": moment(until, "--until")}
    return {name: value for name, value in (given | times).items() if value is not None}


def _some(router: Client, wanted: Json, limit: int) -> tuple[list[Json], bool]:
    found: list[Json] = []
    cursor: str | None = None
    while True:
        size = min(_PAGE, limit - len(found))
        page = router.dead_letters(limit=size, cursor=cursor, **wanted)
        found += page["letters"]
        cursor = page["cursor"]
        if cursor is None or len(found) >= limit:
            return found, cursor is not None


def _all(router: Client, wanted: Json) -> Iterator[Json]:
    cursor: str | None = None
    while True:
        page = router.dead_letters(limit=_PAGE, cursor=cursor, **wanted)
        yield from page["letters"]
        cursor = page["cursor"]
        if cursor is None:
            return
