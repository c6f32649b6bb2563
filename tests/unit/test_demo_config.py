"""The configuration of `make demo` and `make up` is one that Longhaul takes without a word."""

from pathlib import Path

from common.config.load import load_settings
from examples.children import DATA

ROOT = Path(__file__).parents[2]


def test_loads_without_warning_and_starts_everything_in_the_root() -> None:
    loaded = load_settings(
        config_file=ROOT / "examples" / "demo.yaml",
        environ={"HOME": str(ROOT)},
        cwd=ROOT,
        overrides={},
    )
    assert not loaded.warnings
    backends = {backend.name: backend for backend in loaded.settings.backends}
    assert {name: backend.transport for name, backend in backends.items()} == {
        "desk": "http",
        "exporter": "stdio",
        "time": "stdio",
    }
    for started in ("exporter", "time"):
        assert Path(backends[started].cwd or "").resolve() == ROOT
    assert loaded.settings.queues["exports"].slots == 1


def test_what_make_up_keeps_is_in_no_commit_and_gone_after_make_clean() -> None:
    assert DATA.parent == ROOT
    assert f"{DATA.name}/" in (ROOT / ".gitignore").read_text().splitlines()
    (clean,) = (line for line in (ROOT / "Makefile").read_text().splitlines() if "rm -rf" in line)
    assert DATA.name in clean.split()
