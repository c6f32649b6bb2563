"""`up`, `ingress`, `worker`: the processes."""

from collections.abc import Coroutine
from functools import partial
from typing import Annotated, Any

import typer
import uvloop

from common.config.load import Loaded
from common.config.model import Settings
from common.errors import LonghaulError
from common.routing.rules import Rules
from common.telemetry.logging import configure_logging
from longhaul import configured
from longhaul.assignment import Assignment, RoleError, needs_shared_servers, slots_of
from longhaul.commands.options import (
    AnyPort,
    AsJson,
    ConfigFile,
    Host,
    IdleExit,
    NoAuth,
    Port,
    seconds,
)
from longhaul.exits import UsageError
from longhaul.garbage import collect_seldom
from longhaul.reload import HangUps, Reload
from longhaul.screen.output import warn
from longhaul.screen.ready import announcing

Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        "-q",
        metavar="NAME[=SLOTS]",
        help="A queue to serve, with its slots; repeatable. Default: all of them.",
        show_default=False,
    ),
]
WorkerPort = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=65_535,
        help="Serve /livez, /readyz and /metrics here; default: not at all.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    app.command()(up)
    app.command()(ingress)
    app.command()(worker)


def up(
    config: ConfigFile = None,
    host: Host = None,
    port: Port = None,
    no_auth: NoAuth = False,
    any_port: AnyPort = False,
    idle_exit: IdleExit = None,
    as_json: AsJson = False,
) -> None:
    """Run everything in one process; embedded, unless broker and store are given."""
    hang_ups = HangUps()
    idle = seconds(idle_exit, "--idle-exit")
    settings = _settings(config, host=host, port=port, no_auth=no_auth)
    if not settings.backends:
        warn("no backends are configured: write longhaul.yaml or mcp.json with mcpServers")
    from longhaul.compose import serve_up  # noqa: PLC0415 - see `_run`

    ready = announcing(as_json=as_json)
    reload = Reload(
        settings, partial(configured.load, config, host=host, port=port, no_auth=no_auth)
    )
    reloads = reload.at(hang_ups.heard())
    _run(serve_up(settings, ready, reloads, any_port=any_port, idle_exit=idle))


def ingress(
    config: ConfigFile = None,
    host: Host = None,
    port: Port = None,
    no_auth: NoAuth = False,
    as_json: AsJson = False,
) -> None:
    """Run the face for agents; jobs wait for workers elsewhere."""
    hang_ups = HangUps()
    settings = _settings(config, host=host, port=port, no_auth=no_auth)
    from longhaul.compose import serve_ingress  # noqa: PLC0415 - see `_run`

    reload = Reload(
        settings, partial(configured.load, config, host=host, port=port, no_auth=no_auth)
    )
    reloads = reload.at(hang_ups.heard())
    _run(serve_ingress(settings, announcing(as_json=as_json), reloads))


def worker(
    queues: Queues = None,
    config: ConfigFile = None,
    host: Host = None,
    port: WorkerPort = None,
    no_auth: NoAuth = False,
    as_json: AsJson = False,
) -> None:
    """Run a worker for some queues, with the backends behind them; it is restarted when it dies."""
    hang_ups = HangUps()
    wanted = queues_of(queues or ())
    loaded = configured.load(config, host=host, no_auth=no_auth)
    if port is not None:
        configured.ready_to_listen(loaded)
    configured.remark(loaded)
    configure_logging(loaded.settings)
    try:
        needs_shared_servers(loaded.settings, "worker")
        slots = slots_of(Rules(loaded.settings), wanted)
    except RoleError as error:
        raise UsageError(str(error)) from error
    given = Assignment(lease="", settings=loaded.settings, slots=slots, port=port, as_json=as_json)

    def read() -> Loaded:
        again = configured.load(config, host=host, no_auth=no_auth)
        slots_of(Rules(again.settings), wanted)  # a queue of its command line may be gone
        return again

    _supervise(given, Reload(loaded.settings, read), wanted, hang_ups)


def _supervise(
    given: Assignment, reload: Reload, wanted: dict[str, int | None], hang_ups: HangUps
) -> None:
    from longhaul.serving import PortTakenError  # noqa: PLC0415 - see `_run`
    from longhaul.succession import supervise  # noqa: PLC0415 - see `_run`

    def reread() -> Assignment | None:
        settings = reload()
        if settings is None:
            return None
        configure_logging(settings)
        return given.model_copy(
            update={"settings": settings, "slots": slots_of(Rules(settings), wanted)}
        )

    try:
        raise typer.Exit(supervise(given, reread, hang_ups.heard()))
    except PortTakenError as error:
        raise UsageError(str(error)) from error


def queues_of(words: list[str] | tuple[str, ...]) -> dict[str, int | None]:
    """`NAME` or `NAME=SLOTS`. Raises: UsageError."""
    wanted: dict[str, int | None] = {}
    for word in words:
        name, separator, slots = word.partition("=")
        if not name or (separator and not (slots.isascii() and slots.isdigit() and int(slots))):
            raise UsageError(f"--queue {word}: write NAME or NAME=SLOTS, with one slot or more")
        wanted[name] = int(slots) if separator else None
    return wanted


def _settings(config: Any, **listen: Any) -> Settings:
    loaded = configured.load(config, **listen)
    configured.ready_to_listen(loaded)
    configured.remark(loaded)
    configure_logging(loaded.settings)
    return loaded.settings


def _run(role: Coroutine[Any, Any, None]) -> None:
    """To its end. What cannot be started is said in a sentence.

    The roles' own libraries take a second to import, and the other commands do without: that is
    why each command imports its role when its options are known to be good.
    """
    from longhaul.serving import PortTakenError  # noqa: PLC0415 - as said

    collect_seldom()
    try:
        uvloop.run(role)
    except (PortTakenError, RoleError, LonghaulError) as error:
        raise UsageError(str(error)) from error
