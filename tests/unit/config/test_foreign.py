"""The JSON of other programs is read as it is; what has no meaning here is told."""

from pathlib import Path

import pytest

from common.config.load import Loaded, load_settings
from common.config.model import Backend
from tests.support.configuration import FIXTURES, HOME, load, refused


def read(path: str, **environ: str) -> Loaded:
    return load_settings(
        config_file=FIXTURES / path, environ={**HOME, **environ}, cwd=FIXTURES, overrides={}
    )


def by_name(loaded: Loaded) -> dict[str, Backend]:
    return {backend.name: backend for backend in loaded.settings.backends}


def ignored(loaded: Loaded) -> set[tuple[int, str]]:
    return {(item.line, item.key) for item in loaded.ignored}


def test_claude_desktop() -> None:
    loaded = read("claude-desktop/claude_desktop_config.json")
    backends = by_name(loaded)
    assert set(backends) == {"filesystem", "My-Notes"}
    assert backends["filesystem"].command == "npx"
    assert backends["filesystem"].args[-1] == "/srv/files"
    assert backends["filesystem"].env == {"LOG_LEVEL": "debug", "RETRIES": "3"}
    assert ignored(loaded) == {(2, "globalShortcut"), (12, "mcpServers.My Notes.extensionId")}
    (warning,) = loaded.warnings
    assert (warning.line, warning.message) == (9, "is called My-Notes here")


def test_claude_code() -> None:
    loaded = read("claude-code/.mcp.json", ISSUES_TOKEN="secret")
    backends = by_name(loaded)
    assert backends["issues"].transport == "http"
    assert backends["issues"].urls == ("https://issues.example/mcp",)
    assert backends["issues"].headers == {"Authorization": "Bearer secret"}
    assert backends["issues"].timeout == 600.0
    assert loaded.warnings == ()
    assert (backends["events"].transport, backends["events"].timeout) == ("sse", None)
    assert backends["events"].urls == ("https://events.example/sse",)
    assert backends["files"].transport == "stdio"
    assert backends["files"].args == ("/home/ada/files.js",)
    assert ignored(loaded) == {
        (8, "mcpServers.issues.alwaysLoad"),
        (13, "mcpServers.events.timeout"),
        (14, "mcpServers.events.oauth"),
    }


def test_cursor() -> None:
    loaded = read("cursor/.cursor/mcp.json", DATABASE_USER="ada", DESIGN_KEY="secret")
    backends = by_name(loaded)
    folder = FIXTURES / "cursor"
    assert backends["database"].args == (f"{folder}/server.py", "--user", "ada")
    # What the entry says itself wins over its file.
    assert backends["database"].env == {"DATABASE_PASSWORD": "open sesame", "MODE": "read"}
    assert backends["design"].headers == {"X-Key": "secret"}
    assert ignored(loaded) == {
        (13, "mcpServers.design.envFile"),
        (14, "mcpServers.design.auth"),
    }


def test_vs_code() -> None:
    loaded = read("vscode/.vscode/mcp.json")
    backends = by_name(loaded)
    assert set(backends) == {"pages", "local"}
    assert backends["pages"].urls == ("https://pages.example/mcp",)
    assert backends["local"].command == "/home/ada/bin/server"
    assert backends["local"].cwd == str(FIXTURES / "vscode" / "sub")
    assert ignored(loaded) == {
        (3, "inputs"),
        (15, "servers.local.dev"),
        (17, "servers.tracker"),
    }
    (warning,) = loaded.warnings
    assert (warning.line, warning.key) == (17, "servers.tracker")
    assert "${input:tracker-key}" in warning.message


def test_cline() -> None:
    loaded = read("cline/cline_mcp_settings.json")
    backends = by_name(loaded)
    exporter = backends["github-com-acme-exporter"]
    assert (exporter.timeout, exporter.disabled) == (7200.0, False)
    # Nothing is asked of the environment for a backend that is switched off.
    assert backends["paused"].disabled
    assert (backends["old"].transport, backends["new"].transport) == ("sse", "http")
    assert backends["new"].timeout == 30.0
    assert ignored(loaded) == {(7, "mcpServers.github.com/acme/exporter.autoApprove")}


@pytest.mark.parametrize(
    ("written", "seconds"), [("90", 90.0), ("3600", 3600.0), ("60000", 60.0), ('"90s"', 90.0)]
)
def test_a_time_out_without_a_known_unit_is_guessed_aloud(
    tmp_path: Path, written: str, seconds: float
) -> None:
    text = f'{{"mcpServers": {{"a": {{"command": "a",\n"timeout": {written}}}}}}}'
    loaded = load(tmp_path, text, name="mcp.json")
    assert loaded.settings.backends[0].timeout == seconds
    assert [warning.line for warning in loaded.warnings] == ([] if "s" in written else [2])


def test_environment_and_defaults_apply_to_foreign_files_too(tmp_path: Path) -> None:
    text = '{"mcpServers": {"a": {"command": "a"}}}'
    environ = {"LONGHAUL_DEFAULTS__CONCURRENCY": "2", "LONGHAUL_MCPSERVERS__A__TRUSTED": "true"}
    (backend,) = load(tmp_path, text, environ, name="mcp.json").settings.backends
    assert (backend.concurrency, backend.trusted) == (2, True)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('{"mcpServers": {"a": {"command": 1,\n"args": "x"}}}', 2, "should be a list"),
        ('{"mcpServers": {"a":\n{"serverUrl": "x"}}}', 1, "needs a command"),
        ('{"other": {}}', 1, "neither mcpServers nor servers"),
        ('{"mcpServers": [\n]}', 1, "section"),
        ('{"mcpServers": {\n"a": 1}}', 2, "section"),
        ('{"mcpServers": {"a b": {"command": "x"},\n"a.b": {"command": "x"}}}', 2, "rename"),
        ('{"mcpServers": {"a": {"command": "x",\n"envFile": "gone"}}}', 2, "there is no file"),
        ('{"mcpServers": {"a": {"command": "x",\n"env": {"A": "${NOPE}"}}}}', 2, "NOPE"),
        ('{"mcpServers":\n{"a" 1}}', 2, "colon"),
        ('{"mcpServers":\n{"a": {}', 2, "} is missing"),
        ('{"mcpServers": {}}\nx', 2, "more text"),
    ],
)
def test_a_mistake_in_json_names_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    (tmp_path / "mcp.json").write_text(text)
    (problem,) = refused(tmp_path)
    assert (problem.file, problem.line) == ("mcp.json", line)
    assert said in problem.message


def test_a_transport_longhaul_does_not_speak_leaves_the_others_working(tmp_path: Path) -> None:
    text = '{"mcpServers": {"a": {"type": "ws", "url": "ws://x"}, "b": {"command": "b"}}}'
    loaded = load(tmp_path, text, name="mcp.json")
    assert set(by_name(loaded)) == {"b"}
    assert [warning.key for warning in loaded.warnings] == ["mcpServers.a"]
