"""Which router a command speaks to."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.config.load import load_settings
from common.config.problems import ConfigError
from longhaul.datafolder import running_router
from longhaul.exits import UnreachableError

DEFAULT_URL = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    url: str
    key: str = field(default="", repr=False)


def find_target(environ: Mapping[str, str], cwd: Path) -> Target:
    """`LONGHAUL_URL`, else the router that holds the data folder, else this machine's port 8080.

    Raises:
        UnreachableError: The router of the data folder is still starting.
    """
    key = environ.get("LONGHAUL_API_KEY", "").split(",")[0].strip()
    if url := environ.get("LONGHAUL_URL", "").strip():
        return Target(url=url.rstrip("/").removesuffix("/mcp"), key=_bare(key))
    data = data_folder(environ, cwd)
    try:
        router = running_router(data)
    except OSError:
        router = None  # somebody else's folder says nothing to us
    if router is None:
        return Target(url=DEFAULT_URL, key=_bare(key))
    if not router.address:
        raise UnreachableError(f"the router on {data} is still starting; try again in a moment")
    return Target(url=router.address, key=_bare(key) or router.key)


def data_folder(environ: Mapping[str, str], cwd: Path) -> Path:
    """As the router itself would find it; a broken configuration says nothing about it."""
    try:
        loaded = load_settings(config_file=None, environ=environ, cwd=cwd, overrides={})
    except ConfigError:
        places = ("HOME", "XDG_STATE_HOME", "LONGHAUL_DATA")
        few = {name: environ[name] for name in places if name in environ}
        loaded = load_settings(config_file=None, environ=few, cwd=Path(os.sep), overrides={})
    return Path(loaded.settings.data)


def _bare(key: str) -> str:
    """The router's variable may say `name=key`; a key that ends in `=` names nobody."""
    name, separator, rest = key.partition("=")
    return rest if separator and name and rest.strip("=") else key
