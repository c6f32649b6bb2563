"""What `longhaul check` prints of a configuration: everything but its secrets."""

from pathlib import Path

import pytest

from common.config.explain import explain
from common.config.urls import mask_url
from tests.support.configuration import load

TEXT = """\
broker_url: amqp://user:hunter2@broker/?token=hunter2
store_url: redis://:hunter2@store
mcpServers:
  a:
    command: run
    args: [--token, hunter2, --api-key=hunter2, "--x", "${PASSED}", "http://u:hunter2@h/"]
    env: {PASSWORD: hunter2}
  b:
    url: https://u:hunter2@b.example/mcp?key=hunter2
    headers: {Authorization: Bearer hunter2}
  c:
    urls: ["https://c.example/${PASSED}"]
"""


def test_no_secret_is_shown_and_every_source_is(tmp_path: Path) -> None:
    environ = {"LONGHAUL_API_KEY": "ci=hunter2", "PASSED": "hunter2"}
    rows = explain(load(tmp_path, TEXT, environ))
    shown = {row.setting: row.value for row in rows}
    assert "hunter2" not in str(rows)
    assert shown["broker_url"] == "amqp://user:***@broker/?token=***"
    assert shown["listen.api_keys"] == "[ci=***]"
    assert shown["mcpServers.a.args"] == (
        "[--token, ***, --api-key=***, --x, ${PASSED}, http://u:***@h/]"
    )
    assert shown["mcpServers.c.urls"] == "[https://c.example/${PASSED}]"
    assert shown["mcpServers.b.headers.Authorization"] == "***"
    assert shown["retention.dead"] == "2592000s"
    sources = {row.setting: row.source for row in rows}
    assert sources["mcpServers.b.urls"] == "longhaul.yaml:9"
    assert sources["mcpServers.a.env.PASSWORD"] == "longhaul.yaml:7"
    assert sources["mcpServers.a.concurrency"] == "default"


def test_settings_do_not_print_their_secrets(tmp_path: Path) -> None:
    settings = load(tmp_path, TEXT, {"LONGHAUL_API_KEY": "ci=hunter2", "PASSED": "x"}).settings
    shown = repr(settings.model_copy(update={"backends": settings.backends[1:]}))
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("amqp://u:p@ss@h/v", "amqp://u:***@h/v"),
        ("redis://:p@h", "redis://:***@h"),
        ("https://ghp_1@h/x", "https://***@h/x"),
        ("https://h/x?a=1&b=2#c", "https://h/x?a=***&b=***#c"),
        ("see http://u:p@[::1", "see http://u:***@[::1"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_an_address_without_secrets_is_shown_whole() -> None:
    for url in ("memory:", "sqlite:////x/y.db", "redis://h:6379/0", "not a url", "a@b: c@d"):
        assert mask_url(url) == url
