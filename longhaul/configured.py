"""The configuration of a role or of `check`, from its options and the environment."""

import os
from pathlib import Path

from common.config.load import Loaded, load_settings
from common.config.validate import check_listen
from longhaul.exits import UsageError
from longhaul.screen.output import say, warn


def load(
    config: Path | None,
    *,
    host: str | None = None,
    port: int | None = None,
    no_auth: bool = False,
) -> Loaded:
    """Raises: ConfigError: With every problem."""
    overrides = {
        "listen.host": host,
        "listen.port": port,
        "listen.insecure_no_auth": no_auth or None,
    }
    return load_settings(
        config_file=config, environ=os.environ, cwd=Path.cwd(), overrides=overrides
    )


def ready_to_listen(loaded: Loaded) -> None:
    """Raises: UsageError: It would be open to others without a key."""
    problem = check_listen(loaded.settings.listen)
    if problem is not None:
        raise UsageError(problem.message)


def remark(loaded: Loaded) -> None:
    """What a person who starts a role should know of the configuration."""
    for warning in loaded.warnings:
        warn(str(warning))
    if loaded.ignored:
        keys = ", ".join(dict.fromkeys(each.key for each in loaded.ignored))
        say(f"ignored: {keys}; `longhaul check` says why")
