"""Every setting from the environment; keys and secrets from files; variables nobody knows."""

from pathlib import Path

from common.config.api_keys import caller_of
from tests.support.configuration import load, refused


def test_sections_are_reached_with_two_underscores(tmp_path: Path) -> None:
    text = "mcpServers: {My-Exporter: {command: x}}\nqueues: {big-jobs: {slots: 1}}"
    settings = load(
        tmp_path,
        text,
        {
            "LONGHAUL_ANSWERING__CALL_WAIT": "2s",
            "LONGHAUL_RETENTION__COMPLETED": "1h",
            "LONGHAUL_MCPSERVERS__MY_EXPORTER__REPLICAS": "5",
            "LONGHAUL_QUEUES__BIG_JOBS__SLOTS": "7",
            "LONGHAUL_QUEUES__NEW__SLOTS": "8",
            "LONGHAUL_TOOLS": '{"My-Exporter__*": {"queue": "new"}}',
            "LONGHAUL_NAMESPACES": "false",
            "LONGHAUL_STORE_URL": "",
        },
    ).settings
    assert settings.answering.call_wait == 2.0
    assert settings.retention.completed == 3600.0
    assert settings.backends[0].replicas == 5
    assert {name: queue.slots for name, queue in settings.queues.items()} == {
        "big-jobs": 7,
        "new": 8,
    }
    assert settings.tools["My-Exporter__*"].queue == "new"
    assert not settings.namespaces


def test_lists_are_separated_by_commas(tmp_path: Path) -> None:
    listen = load(
        tmp_path,
        environ={
            "LONGHAUL_ALLOWED_HOSTS": "a.example, b.example",
            "LONGHAUL_ALLOWED_ORIGINS": '["https://c.example"]',
        },
    ).settings.listen
    assert listen.allowed_hosts == ("a.example", "b.example")
    assert listen.allowed_origins == ("https://c.example",)


def test_a_key_names_its_caller_or_gets_a_stable_one(tmp_path: Path) -> None:
    environ = {"LONGHAUL_API_KEY": "ci=abc, plain,c2VjcmV0MQ=="}
    keys = load(tmp_path, environ=environ).settings.listen.api_keys
    assert [(key.caller, key.key) for key in keys] == [
        ("ci", "abc"),
        (caller_of("plain"), "plain"),
        (caller_of("c2VjcmV0MQ=="), "c2VjcmV0MQ=="),
    ]
    assert caller_of("plain") == "key-a116c9ed"  # printf plain | sha256sum
    assert "abc" not in repr(keys)


def test_the_same_key_for_two_callers_is_refused(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, environ={"LONGHAUL_API_KEY": "a=1,b=1"})
    assert problem.key == "listen.api_keys"
    assert str(problem.origin) == "environment LONGHAUL_API_KEY"


def test_a_key_that_no_header_carries_is_refused(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, environ={"LONGHAUL_API_KEY": "a=1,b=schlüssel"})
    assert problem.key == "listen.api_keys"
    assert "printable ASCII" in problem.message
    assert "schlüssel" not in str(problem)


def test_secrets_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("ci=abc\nplain\n")
    loaded = load(tmp_path, environ={"LONGHAUL_API_KEY_FILE": "keys"})
    assert [key.key for key in loaded.settings.listen.api_keys] == ["abc", "plain"]
    assert loaded.provenance["listen.api_keys"] == "environment LONGHAUL_API_KEY_FILE"
    assert loaded.warnings == ()


def test_a_secret_file_that_is_missing_or_doubled_is_refused(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, environ={"LONGHAUL_API_KEY_FILE": "gone"})
    assert str(problem.origin) == "environment LONGHAUL_API_KEY_FILE"
    environ = {"LONGHAUL_API_KEY_FILE": "keys", "LONGHAUL_API_KEY": "a"}
    (problem,) = refused(tmp_path, environ=environ)
    assert "keep one" in problem.message


def test_an_unknown_variable_is_a_warning_with_the_nearest_known_one(tmp_path: Path) -> None:
    environ = {
        "LONGHAUL_BROKR_URL": "x",
        "LONGHAUL_LISTEN__PROT": "1",
        "LONGHAUL_TEST_ANYTHING": "x",
        "LONGHAUL_URL": "http://x",
        "LONGHAUL_SECRET_KEY": "x",
        "OTHER": "x",
    }
    warnings = load(tmp_path, environ=environ).warnings
    assert [(str(warning.origin), warning.nearest) for warning in warnings] == [
        ("environment LONGHAUL_BROKR_URL", "LONGHAUL_BROKER_URL"),
        ("environment LONGHAUL_LISTEN__PROT", "LONGHAUL_LISTEN__PORT"),
    ]
