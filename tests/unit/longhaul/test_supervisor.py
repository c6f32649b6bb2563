"""What a parent tells its worker, and what it says itself at the end."""

import signal
from pathlib import Path

import pytest

from common.config.load import load_settings
from longhaul.assignment import Assignment
from longhaul.supervisor import exit_code

EXAMPLE = Path(__file__).parents[3] / "examples" / "longhaul.yaml"
TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL


def test_settings_arrive_as_they_are() -> None:
    environ = {"LONGHAUL_API_KEY": "alice=one,two", "ACME_TOKEN": "t", "SEARCH_TOKEN": "s"}
    settings = load_settings(
        config_file=EXAMPLE, environ=environ, cwd=EXAMPLE.parent, overrides={}
    ).settings
    given = Assignment(lease="l", settings=settings, slots={"b": 2}, port=0, restarts=3)
    assert Assignment.model_validate_json(given.model_dump_json()) == given


@pytest.mark.parametrize(
    ("status", "asked", "code"),
    [
        (0, [TERM], 0),
        (0, [], 0),  # somebody asked the worker itself
        (2, [], 2),
        (-TERM, [TERM], 0),  # asked before it could listen
        (-TERM, [TERM, TERM], 143),  # in a hurry
        (-INT, [INT, INT], 130),
        (-KILL, [TERM], 137),
    ],
)
def test_the_parents_exit_code(status: int, asked: list[signal.Signals], code: int) -> None:
    assert exit_code(status, asked) == code
