"""`keys`: make, list and revoke API keys."""

from typing import Annotated

import typer

from common.api_keys import Role
from longhaul.commands.options import AsJson, seconds
from longhaul.commands.speaking import connect
from longhaul.screen.keys import key_list
from longhaul.screen.output import out, print_json, say, show
from longhaul.screen.words import local_time, now

Name = Annotated[str, typer.Argument(metavar="NAME", help="The key's name.")]
RoleOption = Annotated[
    Role, typer.Option("--role", "-r", help="What it allows; each role allows those before it.")
]
CallerName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Whose jobs it sees; default: its name. A key that replaces another has its caller.",
        show_default=False,
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="How long it lives, as 90d; default: for ever.", show_default=False
    ),
]


def register(app: typer.Typer) -> None:
    about = "API keys with roles: user, operator, admin."
    keys = typer.Typer(help=about, no_args_is_help=True)
    keys.command("create")(create)
    keys.command("ls")(ls)
    keys.command("revoke")(revoke)
    app.add_typer(keys, name="keys")


def create(
    name: Name,
    role: RoleOption = Role.USER,
    caller: CallerName = None,
    expires: Expires = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it. It is shown once: nobody can read it again."""
    life = seconds(expires, "--expires")
    with connect() as router:
        made = router.create_key(name, role=role, caller=caller, life=life)
    if as_json:
        print_json(made)
        return
    out.print(made["key"], markup=False, soft_wrap=True)
    until = f", until {local_time(made['expires_at'])}" if made["expires_at"] else ""
    whose = f"key {name} for {made['caller']}, role {made['role']}{until}"
    say(f"{whose}; keep it: it is not shown again")


def ls(as_json: AsJson = False) -> None:
    """List the keys that were made here; those of LONGHAUL_API_KEY are not among them."""
    with connect() as router:
        listed = router.get("/v1/keys")
    if as_json:
        print_json(listed)
    elif listed["keys"]:
        show(key_list(listed["keys"], now()))
    else:
        say("No keys yet; `longhaul keys create NAME` makes one.")


def revoke(name: Name, as_json: AsJson = False) -> None:
    """Revoke a key: within a second it opens nothing, on any router. Its jobs go on."""
    with connect() as router:
        router.revoke_key(name)
    if as_json:
        print_json({"name": name, "revoked": True})
    else:
        say(f"revoked key {name}")
