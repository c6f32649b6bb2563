"""A slip between `queue` and `queues` is answered with the command that was meant."""

import pytest

from longhaul.cli import run
from longhaul.exits import Exit


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ("queues pause naps", "longhaul queue pause"),
        ("queues resume naps", "longhaul queue resume"),
        ("batch ls", "longhaul batches ls"),
        ("batch show 01m7", "longhaul batches show"),
        ("queue ls", "longhaul queues"),
    ],
)
def test_the_command_that_was_meant_is_named(
    words: str, right: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == Exit.USAGE
    assert f"Did you mean `{right}`?" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["queue pause", "jobs show", "queues wash", "call"])
def test_any_other_slip_is_not_guessed_at(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == Exit.USAGE
    assert "Did you mean" not in capsys.readouterr().err
