"""Reading a configuration: which file, which source wins, where each value came from."""

from pathlib import Path

import pytest

from common.config.load import ConfigError, load_settings
from tests.support.configuration import HOME, lines, load, refused


def test_without_a_file_everything_is_default_and_embedded(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded.file is None
    assert loaded.settings.backends == ()
    assert loaded.settings.embedded
    assert loaded.settings.data == "/home/ada/.local/state/longhaul"
    assert loaded.settings.store_url == "sqlite:////home/ada/.local/state/longhaul/longhaul.db"
    assert set(loaded.provenance.values()) == {"default"}


def test_every_value_names_its_source(tmp_path: Path) -> None:
    text = "namespace: file\nlisten:\n  host: localhost\n  port: 1\n"
    environ = {"LONGHAUL_LISTEN__PORT": "2", "XDG_STATE_HOME": "/state"}
    loaded = load(tmp_path, text, environ, {"listen.host": "::1", "log_level": None})
    assert (loaded.settings.listen.host, loaded.settings.listen.port) == ("::1", 2)
    assert loaded.provenance["namespace"] == "longhaul.yaml:1"
    assert loaded.provenance["listen.host"] == "command line"
    assert loaded.provenance["listen.port"] == "environment LONGHAUL_LISTEN__PORT"
    assert loaded.provenance["data"] == "environment XDG_STATE_HOME"
    assert loaded.provenance["log_level"] == "default"


def test_the_yaml_file_is_found_before_the_json_one(tmp_path: Path) -> None:
    (tmp_path / "mcp.json").write_text('{"mcpServers": {"a": {"command": "a"}}}')
    assert [backend.name for backend in load(tmp_path).settings.backends] == ["a"]
    assert load(tmp_path, "namespace: ours").settings.namespace == "ours"


def test_a_named_file_wins_over_the_variable_and_both_over_the_defaults(tmp_path: Path) -> None:
    for name in ("longhaul", "variable", "option"):
        (tmp_path / f"{name}.yaml").write_text(f"namespace: {name}")
    environ = {**HOME, "LONGHAUL_CONFIG": "variable.yaml"}
    assert load(tmp_path, environ=environ).settings.namespace == "variable"
    loaded = load_settings(
        config_file=Path("option.yaml"), environ=environ, cwd=tmp_path, overrides={}
    )
    assert loaded.settings.namespace == "option"
    assert loaded.file == tmp_path / "option.yaml"


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, environ={"LONGHAUL_CONFIG": "gone.yaml"})
    assert problem.file == "gone.yaml"
    assert "there is no file" in problem.message


MISTAKEN = """\
listen: {prot: 1}
brocker_url: x
defaults: {replicas: zero}
queues:
mcpServers:
  a b: {command: x}
  exporter:
    command: x
    commnd: python
    type: http
    health: {interval: soon}
    env: {A: "${NOPE}"}
  c: {}
  d: {url: "ftp://x"}
  e: {command: x, url: "http://x"}
  f: {command: x, transport: http}
  g: {url: "http://x", args: [a]}
tools:
  "x*": {timeout: {run: 0}, priority: 12}
clients: {z: {call_wait: abc}}
retention: {dead: true}
"""
MISTAKES = {
    (1, "listen.prot"),
    (2, "brocker_url"),
    (3, "defaults.replicas"),
    (6, "mcpServers.a b"),
    (9, "mcpServers.exporter.commnd"),
    (10, "mcpServers.exporter.type"),
    (11, "mcpServers.exporter.health.interval"),
    (12, "mcpServers.exporter.env.A"),
    (13, "mcpServers.c"),
    (14, "mcpServers.d.url"),
    (15, "mcpServers.e"),
    (16, "mcpServers.f"),
    (17, "mcpServers.g"),
    (19, "tools.x*.timeout.run"),
    (19, "tools.x*.priority"),
    (20, "clients.z.call_wait"),
    (21, "retention.dead"),
    (None, "listen.port"),
    (None, "queues"),
    (None, "nope"),
}


def test_all_mistakes_of_all_sources_are_told_at_once(tmp_path: Path) -> None:
    environ = {"LONGHAUL_LISTEN__PORT": "abc", "LONGHAUL_QUEUES": "{a: ["}
    problems = refused(tmp_path, MISTAKEN, environ, {"nope": 1})
    assert lines(problems) == MISTAKES
    nearest = {problem.key: problem.nearest for problem in problems if problem.nearest}
    assert nearest == {
        "listen.prot": "port",
        "brocker_url": "broker_url",
        "mcpServers.exporter.commnd": "command",
        "mcpServers.exporter.type": "transport",
    }
    first = str(problems[0])
    assert first == "longhaul.yaml:1: listen.prot: unknown key (did you mean port?)"
    assert "environment LONGHAUL_LISTEN__PORT" in {str(problem.origin) for problem in problems}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1,\nb: }", 2),
        ("\n- a list", 2),
        ("listen:\n  port: 1\n  port: 2", 3),
        ("\nqueues: &q\n  a: *q", 2),
        ("listen: !!python/name:os.system x", 1),
    ],
)
def test_what_is_not_a_configuration_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int
) -> None:
    (problem,) = refused(tmp_path, text)
    assert (problem.file, problem.line) == ("longhaul.yaml", line)


def test_no_message_shows_a_value_of_the_environment(tmp_path: Path) -> None:
    text = "broker_url: ${SECRET}\nstore_url: '${SECRET}'\nmcpServers: {a: {url: '${SECRET}'}}"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, {"SECRET": "hunter2hunter2", "LONGHAUL_NAMESPACE": "hunter2 "})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("broker", "store", "works"),
    [
        ("memory:", "sqlite:///x.db", True),
        ("amqp://b/", "redis://s", True),
        ("amqps://b/", "rediss://s", True),
        ("memory:", "redis://s", False),
        ("amqp://b/", "", False),
        ("amqp://b/", "sqlite:///x.db", False),
        ("kafka://b", "redis://s", False),
        ("memory:", "sqlite:", False),
    ],
)
def test_broker_and_store_are_both_shared_or_both_inside(
    tmp_path: Path, broker: str, store: str, works: bool
) -> None:
    environ = {"LONGHAUL_BROKER_URL": broker, "LONGHAUL_STORE_URL": store}
    if works:
        load(tmp_path, environ=environ)
    else:
        (problem,) = refused(tmp_path, environ=environ)
        assert problem.key in {"broker_url", "store_url"}


def test_paths_of_our_own_are_absolute(tmp_path: Path) -> None:
    text = "store_url: sqlite:///jobs.db\ndata: ~/longhaul\nmcpServers: {a: {command: x, cwd: sub}}"
    settings = load(tmp_path, text).settings
    assert settings.store_url == f"sqlite:///{tmp_path}/jobs.db"
    assert settings.data == "/home/ada/longhaul"
    assert settings.backends[0].cwd == str(tmp_path / "sub")


def test_defaults_hold_for_every_backend_that_says_nothing(tmp_path: Path) -> None:
    text = """\
defaults:
  concurrency: 9
  health: {interval: 7s}
mcpServers:
  a: {command: a, health: {timeout: 1s}}
  b: {command: b, concurrency: 1}
"""
    loaded = load(tmp_path, text, {"LONGHAUL_DEFAULTS__REPLICAS": "3"})
    a, b = loaded.settings.backends
    assert (a.concurrency, b.concurrency, a.replicas) == (9, 1, 3)
    assert (a.health.interval, a.health.timeout) == (7.0, 1.0)
    assert loaded.provenance["mcpServers.a.concurrency"] == "longhaul.yaml:2"
    assert loaded.provenance["mcpServers.a.replicas"] == "environment LONGHAUL_DEFAULTS__REPLICAS"


def test_text_stays_as_it_was_written(tmp_path: Path) -> None:
    text = """\
mcpServers:
  a: {command: a, args: [8080, yes, 007, 1e3, 2026-01-01], env: {ON: on, NONE: }}
"""
    (backend,) = load(tmp_path, text).settings.backends
    assert backend.args == ("8080", "yes", "007", "1e3", "2026-01-01")
    assert backend.env["ON"] == "on"


def test_anchors_and_merge_keys_work(tmp_path: Path) -> None:
    text = """\
mcpServers:
  a: &a {command: a, replicas: 2}
  b: {<<: *a, replicas: 3}
"""
    a, b = load(tmp_path, text).settings.backends
    assert (a.command, b.command, a.replicas, b.replicas) == ("a", "a", 2, 3)


def test_a_second_load_sees_the_file_as_it_is_then(tmp_path: Path) -> None:
    assert load(tmp_path, "namespace: one").settings.namespace == "one"
    assert load(tmp_path, "namespace: two").settings.namespace == "two"


def test_what_routing_cannot_use_is_warned_of_with_its_line(tmp_path: Path) -> None:
    text = """\
mcpServers: {exporter: {command: x}}
queues:
  exporter: {slots: 1}
  export: {slots: 1}
tools:
  "exporter__*": {priority: 1}
  "exprter__*": {priority: 1}
"""
    warnings = load(tmp_path, text).warnings
    assert lines(warnings) == {(4, "queues.export"), (7, "tools.exprter__*")}
    assert {warning.nearest for warning in warnings} == {"exporter"}


def test_the_example_loads_without_a_word(tmp_path: Path) -> None:
    example = Path(__file__).parents[3] / "examples" / "longhaul.yaml"
    loaded = load_settings(
        config_file=example, environ={**HOME, "ACME_TOKEN": "t"}, cwd=tmp_path, overrides={}
    )
    assert loaded.warnings == ()
    assert [backend.name for backend in loaded.settings.backends] == [
        "exporter",
        "search",
        "render",
    ]
    assert loaded.settings.tools["exporter__export_*"].queue == "exports"
    written = set(example.read_text().split())
    sections = set(type(loaded.settings).model_fields) - {"backends"} | {"defaults", "mcpServers"}
    assert {name for name in sections if f"{name}:" not in written} == set()
