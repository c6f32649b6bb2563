"""What cannot be sent is refused in a sentence, before anything is."""

from pathlib import Path

import pytest

from longhaul.cli import run
from longhaul.exits import Exit

NO_TEXT = "\udcff"  # a byte that is no UTF-8, as the system passes it on


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is no router: what is refused here is refused without one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LONGHAUL_URL", "http://127.0.0.1:9")


@pytest.mark.parametrize(
    "words",
    [
        ["jobs", "show", NO_TEXT],
        ["call", "tool", "--arguments", f'{{"a": "{NO_TEXT}"}}'],
        ["call", NO_TEXT, "--arg", "a=b"],
    ],
)
def test_what_is_not_utf_8(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == Exit.USAGE
    assert "not UTF-8" in capsys.readouterr().err


def test_a_key_that_no_header_carries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LONGHAUL_API_KEY", "schlüssel")
    assert run(["jobs", "ls"]) == Exit.USAGE
    said = capsys.readouterr().err
    assert "LONGHAUL_API_KEY is no key" in said
    assert "schlüssel" not in said
