"""Configurations for tests: a text on disk, an environment without anything of this machine."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from common.config.load import ConfigError, Loaded, Problem, load_settings

FIXTURES = Path(__file__).parents[1] / "fixtures" / "config"
HOME = {"HOME": "/home/ada"}


def load(
    folder: Path,
    text: str | None = None,
    environ: Mapping[str, str] = HOME,
    overrides: Mapping[str, object] | None = None,
    name: str = "longhaul.yaml",
) -> Loaded:
    """Load the default file of a folder, written from `text` when one is given."""
    if text is not None:
        (folder / name).write_text(text, encoding="utf-8")
    return load_settings(
        config_file=None, environ={**HOME, **environ}, cwd=folder, overrides=overrides or {}
    )


def refused(
    folder: Path,
    text: str | None = None,
    environ: Mapping[str, str] = HOME,
    overrides: Mapping[str, object] | None = None,
) -> tuple[Problem, ...]:
    """The problems of a configuration that must not load."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, environ, overrides)
    return caught.value.problems


def lines(problems: tuple[Problem, ...]) -> set[tuple[int | None, str]]:
    return {(problem.line, problem.key) for problem in problems}
