"""Which router a command speaks to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from common.config.api_keys import can_be_sent
from common.config.load import load_settings
from common.config.problems import ConfigError
from longhaul.datafolder import Announced, running_router
from longhaul.exits import UnreachableError, UsageError

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    url: str
    key: str = field(default="", repr=False)


def find_target(environ: Mapping[str, str], cwd: Path) -> Target:
    """`LONGHAUL_URL`, else the router that holds the data folder, else this machine's port 8080.

    Raises:
        UnreachableError: The router of the data folder is still starting.
        UsageError: `LONGHAUL_URL` is no address, or `LONGHAUL_API_KEY` no key.
    """
    if (given := given_target(environ)) is not None:
        return given
    data = data_folder(environ, cwd)
    try:
        router = running_router(data)
    except OSError:
        router = None  # somebody else's folder says nothing to us
    if router is None:
        return Target(url=DEFAULT_URL, key=_key(environ))
    if not router.address:
        raise UnreachableError(f"the router on {data} is still starting; try again in a moment")
    return announced_target(router, environ)


def given_target(environ: Mapping[str, str]) -> Target | None:
    """The router that `LONGHAUL_URL` names. Raises: UsageError: It names none."""
    url = environ.get("LONGHAUL_URL", "").strip()
    if not url:
        return None
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise UsageError("LONGHAUL_URL is not an address: write http://HOST:PORT")
    return Target(url=url.rstrip("/").removesuffix("/mcp"), key=_key(environ))


def announced_target(router: Announced, environ: Mapping[str, str]) -> Target:
    """A router that told its address; its local key serves who has no other."""
    return Target(url=router.address, key=_key(environ) or router.key)


def data_folder(environ: Mapping[str, str], cwd: Path) -> Path:
    """As the router itself would find it; a broken configuration says nothing about it."""
    try:
        loaded = load_settings(config_file=None, environ=environ, cwd=cwd, overrides={})
    except ConfigError:
        places = ("HOME", "XDG_STATE_HOME", "LONGHAUL_DATA")
        few = {name: environ[name] for name in places if name in environ}
        loaded = load_settings(config_file=None, environ=few, cwd=Path(os.sep), overrides={})
    return Path(loaded.settings.data)


def _key(environ: Mapping[str, str]) -> str:
    """The first one. The router's variable may say `name=key`; ending in `=` it names nobody.

    Raises:
        UsageError: No request can carry it.
    """
    key = environ.get("LONGHAUL_API_KEY", "").split(",")[0].strip()
    if not can_be_sent(key):
        raise UsageError("LONGHAUL_API_KEY is no key: it has characters that no header carries")
    name, separator, rest = key.partition("=")
    return rest if separator and name and rest.strip("=") else key
